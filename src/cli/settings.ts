/** Which controller, token and defaults a command uses: flags before environment before profile. */
import { readFile } from 'node:fs/promises';
import { isAbsolute, resolve as resolvePath } from 'node:path';
import type { Arguments } from './arguments.ts';
import { UsageError } from './errors.ts';
import type { Io } from './io.ts';
import { type Defaults, defaultVariable } from './names.ts';
import { configFile, type Profile, parentKinds, readProfiles } from './profiles.ts';
import { didYouMean } from './suggest.ts';

export const defaultUrl = 'http://127.0.0.1:8080';

export type Settings = {
  url: string;
  /** Name of the profile in use. */
  profile: string | undefined;
  defaults: Defaults;
  /** The token, undefined when none is set. @throws UsageError when its file cannot be read. */
  token(): Promise<string | undefined>;
};

async function tokenFrom(path: string, from: string): Promise<string> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw new UsageError(`The token file ${path} (${from}) cannot be read: ${(error as Error).message}`);
  }
  const token = text.trim();
  if (token === '') throw new UsageError(`The token file ${path} (${from}) is empty`);
  return token;
}

async function profileOf(io: Io, named: string | undefined): Promise<{ name: string | undefined; profile: Profile }> {
  const { current, profiles } = await readProfiles(io);
  const name = named ?? current;
  if (name === undefined) return { name, profile: { defaults: {} } };
  const profile = profiles[name];
  if (!profile) {
    const names = Object.keys(profiles);
    throw new UsageError(
      `There is no profile ${name} in ${configFile(io)}.${didYouMean(name, names)}`,
      'List them: keyway profile list',
    );
  }
  return { name, profile };
}

/** Settings of one run. @throws UsageError */
export async function settingsOf(io: Io, args: Arguments): Promise<Settings> {
  const { env } = io;
  const { name, profile } = await profileOf(io, args.value('profile') ?? (env.KEYWAY_PROFILE || undefined));
  const elsewhere = args.value('url') ?? (env.KEYWAY_URL || undefined);
  const defaults = new Map(Object.entries(profile.defaults));
  for (const kind of parentKinds) {
    const value = env[defaultVariable(kind)];
    // Empty is an answer too: none.
    if (value === '') defaults.delete(kind);
    else if (value !== undefined) defaults.set(kind, value);
  }
  const token = async () => {
    const file = args.value('token-file');
    if (file !== undefined) return tokenFrom(file, '--token-file');
    if (env.KEYWAY_TOKEN) return env.KEYWAY_TOKEN.trim();
    if (env.KEYWAY_TOKEN_FILE) return tokenFrom(env.KEYWAY_TOKEN_FILE, 'KEYWAY_TOKEN_FILE');
    // A profile's token is for the profile's controller: it is not handed to another one named on the way.
    if (profile.tokenFile === undefined || (elsewhere !== undefined && elsewhere !== profile.url)) return undefined;
    const path = isAbsolute(profile.tokenFile)
      ? profile.tokenFile
      : resolvePath(configFile(io), '..', profile.tokenFile);
    return tokenFrom(path, `profile ${name}`);
  };
  return { url: elsewhere ?? profile.url ?? defaultUrl, profile: name, defaults, token };
}
