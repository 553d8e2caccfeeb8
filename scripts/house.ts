/** Which room imports which: read from the code, held to the directions below, and drawn for docs/architecture.md. */
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));

/**
 * The rooms, from the ground up, and what each may import directly. `*` is any room under src. A room is a folder of
 * src, a file of src, or a plugin.
 */
export const directions: Record<string, readonly string[]> = {
  problems: [],
  version: [],
  validate: ['problems'],
  config: ['problems', 'validate'],
  pipeline: ['problems'],
  store: ['problems'],
  drivers: ['pipeline', 'problems'],
  intent: ['store', 'problems', 'validate'],
  auth: ['store', 'intent', 'problems'],
  catalog: ['intent', 'problems'],
  inventory: ['intent', 'drivers', 'store', 'problems'],
  compile: ['intent', 'catalog', 'inventory', 'pipeline', 'drivers', 'problems'],
  reconcile: ['drivers', 'intent', 'pipeline', 'problems'],
  trace: ['pipeline', 'compile', 'reconcile', 'intent', 'inventory', 'drivers', 'auth', 'problems'],
  usage: ['reconcile', 'inventory', 'intent', 'pipeline', 'drivers', 'problems'],
  engine: [
    'compile',
    'reconcile',
    'inventory',
    'catalog',
    'intent',
    'drivers',
    'pipeline',
    'store',
    'version',
    'problems',
  ],
  api: [
    'config',
    'auth',
    'trace',
    'usage',
    'reconcile',
    'catalog',
    'intent',
    'drivers',
    'pipeline',
    'store',
    'validate',
    'version',
    'problems',
  ],
  cli: ['intent', 'problems'],
  'plugins/openvswitch': ['pipeline', 'drivers', 'problems'],
  'token-care': ['auth', 'intent'],
  'southbound-metrics': ['reconcile', 'plugins/openvswitch'],
  'gateway-host': ['drivers', 'pipeline', 'intent', 'validate', 'problems'],
  'gateway-host-main': ['gateway-host', 'plugins/openvswitch', 'intent'],
  core: ['engine', 'trace', 'usage', 'reconcile', 'intent', 'drivers', 'store'],
  controller: ['*', 'plugins/openvswitch'],
  sandbox: ['*', 'plugins/openvswitch'],
  serve: ['controller', 'config', 'problems'],
  restore: ['store', 'problems'],
  main: ['serve', 'restore', 'gateway-host-main', 'sandbox', 'cli'],
  node24: [],
  lock: [],
  setup: ['sandbox', 'node24', 'lock'],
  keyway: ['main', 'node24'],
};

export type Import = { from: string; to: string; fromFile: string; toFile: string };

async function* sources(folder: string): AsyncIterable<string> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) yield* sources(path);
    else if (/\.(ts|mjs)$/.test(entry.name)) yield path;
  }
}

export function roomOf(file: string): string {
  const parts = relative(root, file).split('/');
  if (parts[0] === 'plugins') return `plugins/${parts[1]}`;
  if (parts.length === 2) return parts[1]!.replace(/\.(ts|mjs)$/, '');
  return parts[1]!;
}

/** Static, dynamic and worker imports by relative path. */
const patterns = [
  /\bfrom\s+'(\.[^']+)'/g,
  /\bimport\(\s*'(\.[^']+)'\s*\)/g,
  /^import\s+'(\.[^']+)'/gm,
  /new URL\(\s*'(\.[^']+\.(?:ts|mjs))'/g,
];

export async function readHouse(): Promise<{ files: string[]; imports: Import[] }> {
  const files: string[] = [];
  const imports: Import[] = [];
  for (const folder of ['src', 'plugins']) {
    for await (const file of sources(join(root, folder))) {
      files.push(relative(root, file));
      const text = await readFile(file, 'utf8');
      for (const pattern of patterns) {
        for (const [, target = ''] of text.matchAll(pattern)) {
          const toFile = resolve(dirname(file), target);
          const [from, to] = [roomOf(file), roomOf(toFile)];
          if (from !== to) imports.push({ from, to, fromFile: relative(root, file), toFile: relative(root, toFile) });
        }
      }
    }
  }
  return { files: files.sort(), imports };
}

export function trespasses(imports: readonly Import[]): string[] {
  return imports
    .filter(({ from, to }) => {
      const allowed = directions[from];
      if (allowed === undefined) return true;
      return !allowed.includes(to) && !(allowed.includes('*') && !to.startsWith('plugins/'));
    })
    .map(({ fromFile, toFile }) => `${fromFile} imports ${toFile}`);
}

/** A Mermaid picture of the rooms; composers at the top, ground floor at the bottom. */
export function picture(imports: readonly Import[]): string {
  const composers = new Set([
    'core',
    'gateway-host-main',
    'token-care',
    'controller',
    'serve',
    'restore',
    'main',
    'sandbox',
    'setup',
    'keyway',
    'node24',
    'lock',
  ]);
  const ground = new Set(['problems', 'validate', 'version']);
  const edges = new Set(
    imports
      .filter(({ from, to }) => !composers.has(from) && !ground.has(to) && !ground.has(from))
      .map(({ from, to }) => `  ${id(from)} --> ${id(to)}`),
  );
  const rooms = Object.keys(directions).filter((r) => !composers.has(r) && !ground.has(r));
  return ['```mermaid', 'graph TD', ...rooms.map((r) => `  ${id(r)}["${r}"]`), ...[...edges].sort(), '```'].join('\n');
}

const id = (room: string) => room.replace(/[^a-z]/g, '_');
