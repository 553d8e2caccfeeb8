/** Programs that are used where the machine has them, and else unpacked from Debian's packages into the user's cache. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { arch } from 'node:os';
import { delimiter, join } from 'node:path';
import { lock } from '../../lock.mjs';
import { cacheDirectory } from './cache-directory.ts';
import { unpackPackages } from './debian.ts';

export type PackageSet<Found> = {
  /** As people know it: Open vSwitch. */
  title: string;
  /** Directory in the cache; the release of the system and the layout are added to it. */
  name: string;
  /** To be raised when what `prepare` makes changes. */
  layout: number;
  /** What is to be unpacked, given what the machine has. */
  packages(): string[];
  /** Links and the like, once the packages lie under `root`. */
  prepare?(root: string): void;
  /** Looks whether it is there and runs, on the machine (undefined) or under an unpacked root; a string says what is wrong. */
  describe(root: string | undefined): Promise<Found | string>;
};

export type Unavailable = { unavailable: string };

export function searchPath(name: string, directories: readonly string[]): string | undefined {
  return directories.map((directory) => join(directory, name)).find((path) => existsSync(path));
}

/** sbin belongs to the search: on Debian it is not on an ordinary user's PATH. */
export function machineDirectories(): string[] {
  const path = (process.env.PATH ?? '').split(delimiter).filter((part) => part.startsWith('/'));
  return [...new Set([...path, '/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', '/bin'])];
}

/** Where programs of an unpacked root are, and after them the machine's. */
export function programDirectories(root: string | undefined): string[] {
  const own = root === undefined ? [] : ['links', 'usr/sbin', 'usr/bin', 'sbin', 'bin'].map((part) => join(root, part));
  return [...own, ...machineDirectories()];
}

/** Directories under the unpacked root that hold shared libraries, e.g. usr/lib/x86_64-linux-gnu. */
export function libraryDirectories(root: string): string[] {
  const found: string[] = [];
  for (const part of ['usr/lib', 'lib']) {
    const base = join(root, part);
    if (!existsSync(base)) continue;
    for (const entry of readdirSync(base, { withFileTypes: true })) {
      if (entry.isDirectory() && entry.name.includes('linux-gnu')) found.push(join(base, entry.name));
    }
  }
  return found;
}

/** debian-12-x64 and the like; part of the cache's path, since binaries belong to a release. */
function release(): string {
  const text = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  const value = (key: string): string =>
    (new RegExp(`^${key}="?([^"\n]*)`, 'm').exec(text)?.[1] ?? 'unknown').replace(/[^a-z0-9.-]/gi, '-');
  return `${value('ID')}-${value('VERSION_ID')}-${arch()}`;
}

/**
 * The machine's own, else the cache's, else unpacked into the cache now: nothing is installed and no service started.
 * `unavailable` says why it could not be had. Never throws.
 */
export async function findPackageSet<Found extends object>(
  set: PackageSet<Found>,
  line: (text: string) => void = () => {},
): Promise<Found | Unavailable> {
  try {
    const machine = await set.describe(undefined);
    if (typeof machine !== 'string') return machine;
    const cache = cacheDirectory();
    const root = join(cache, `${set.name}-${release()}-${set.layout}`);
    const cached = existsSync(root) ? await set.describe(root) : 'nothing unpacked';
    if (typeof cached !== 'string') return cached;
    if (
      searchPath('apt-get', machineDirectories()) === undefined ||
      searchPath('dpkg', machineDirectories()) === undefined
    ) {
      return {
        unavailable: `${machine}, and packages can be unpacked only where apt-get and dpkg are (Debian, Ubuntu)`,
      };
    }
    const unlock = await lock(`${root}.lock`, (holder) =>
      line(`waiting for process ${holder}, which is unpacking ${set.title}`),
    );
    try {
      // Whoever held the lock may have done the work, or found the cache sound.
      const now = existsSync(root) ? await set.describe(root) : 'nothing unpacked';
      if (typeof now !== 'string') return now;
      return await unpack(set, cache, root, line);
    } finally {
      unlock();
    }
  } catch (error) {
    return { unavailable: error instanceof Error ? error.message : String(error) };
  }
}

async function unpack<Found extends object>(
  set: PackageSet<Found>,
  cache: string,
  root: string,
  line: (text: string) => void,
): Promise<Found | Unavailable> {
  const started = performance.now();
  const working = `unpacking-${set.name}-`;
  // Left by a process that was killed: we hold the lock, so nobody works there now.
  for (const name of readdirSync(cache)) {
    if (name.startsWith(working)) rmSync(join(cache, name), { recursive: true, force: true });
  }
  const work = mkdtempSync(join(cache, working));
  try {
    const fresh = join(work, 'root');
    mkdirSync(fresh);
    const packages = set.packages();
    line(`${set.title} is not installed: unpacking ${packages.join(' ')} into ${root} (nothing is installed)`);
    await unpackPackages(packages, fresh, work, line);
    set.prepare?.(fresh);
    writeFileSync(join(fresh, 'packages.txt'), `${packages.join('\n')}\n`);
    const check = await set.describe(fresh);
    if (typeof check === 'string') return { unavailable: `the unpacked ${set.title} does not run: ${check}` };
    rmSync(root, { recursive: true, force: true });
    renameSync(fresh, root);
    const found = await set.describe(root);
    if (typeof found === 'string') return { unavailable: found };
    line(`${set.title} unpacked in ${((performance.now() - started) / 1000).toFixed(1)} s`);
    return found;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
