/** Profiles: which controller, with which token, and what parents are meant when none are written. */
import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { UsageError } from './errors.ts';
import type { Io } from './io.ts';
import { model } from './model.ts';

export type Profile = {
  url?: string;
  tokenFile?: string;
  /** Defaults of parents, by kind. */
  defaults: Record<string, string>;
};

export type Profiles = { current: string | undefined; profiles: Record<string, Profile> };

/** Kinds that other resources live in: a profile can name one of each. */
export const parentKinds: readonly string[] = [...new Set(model.kinds.flatMap((kind) => kind.parents))];

function home(io: Io): string {
  return io.env.HOME || homedir();
}

/** `$XDG_CONFIG_HOME/keyway/config.yaml`. */
export function configFile(io: Io): string {
  return join(io.env.XDG_CONFIG_HOME || join(home(io), '.config'), 'keyway', 'config.yaml');
}

/** `$XDG_STATE_HOME/keyway/history`, of `keyway shell`. */
export function historyFile(io: Io): string {
  return join(io.env.XDG_STATE_HOME || join(home(io), '.local', 'state'), 'keyway', 'history');
}

/** The text of a file, undefined when there is none. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new UsageError(`${path}: ${(error as Error).message}`);
  }
}

function text(value: unknown, path: string, where: string): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'string') throw new UsageError(`${path}: ${where} is not a text`);
  return value;
}

function mapping(value: unknown, path: string, where: string): Record<string, unknown> {
  if (value === undefined || value === null) return {};
  if (typeof value !== 'object' || Array.isArray(value)) throw new UsageError(`${path}: ${where} is not a mapping`);
  return value as Record<string, unknown>;
}

/** The profiles in the configuration file. @throws UsageError when it is not what it should be. */
export async function readProfiles(io: Io): Promise<Profiles> {
  const path = configFile(io);
  const content = await readIfThere(path);
  if (content === undefined) return { current: undefined, profiles: {} };
  const { parse } = await import('yaml');
  let document: Record<string, unknown>;
  try {
    document = mapping(parse(content), path, 'the file');
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(
      `${path}: ${(error as Error).message}`,
      'Mend the file, or remove it and use keyway profile set.',
    );
  }
  const profiles: Record<string, Profile> = {};
  for (const [name, value] of Object.entries(mapping(document.profiles, path, 'profiles'))) {
    const members = mapping(value, path, `profile ${name}`);
    const defaults: Record<string, string> = {};
    for (const kind of parentKinds) {
      const found = text(members[kind], path, `${kind} of profile ${name}`);
      if (found !== undefined) defaults[kind] = found;
    }
    const url = text(members.url, path, `url of profile ${name}`);
    const tokenFile = text(members.tokenFile, path, `tokenFile of profile ${name}`);
    profiles[name] = {
      ...(url === undefined ? {} : { url }),
      ...(tokenFile === undefined ? {} : { tokenFile }),
      defaults,
    };
  }
  return { current: text(document.current, path, 'current'), profiles };
}

/** Writes a file whole or not at all, readable by its owner only. */
export async function writePrivately(path: string, content: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const beside = `${path}.${process.pid}`;
  await writeFile(beside, content, { mode: 0o600 });
  await chmod(beside, 0o600);
  await rename(beside, path);
}

/** Changes members of the configuration file and keeps the rest, comments included. `undefined` removes. */
export async function changeProfiles(io: Io, changes: [path: string[], value: unknown][]): Promise<void> {
  const { parseDocument } = await import('yaml');
  const path = configFile(io);
  const document = parseDocument((await readIfThere(path)) ?? '');
  for (const [at, value] of changes) {
    if (value === undefined) document.deleteIn(at);
    else document.setIn(at, value);
  }
  await writePrivately(path, document.toString());
}
