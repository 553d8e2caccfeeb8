import { accessSync, constants, lstatSync, mkdirSync } from 'node:fs';
import { homedir, tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';

/**
 * Where Keyway keeps what it can make again: $XDG_CACHE_HOME/keyway, else ~/.cache/keyway, else, for users without a
 * home they can write to, a directory of theirs alone under the system's temporary directory.
 * @throws Error when that last one belongs to somebody else.
 */
export function cacheDirectory(): string {
  const base = process.env.XDG_CACHE_HOME || join(homedir(), '.cache');
  try {
    const directory = join(base, 'keyway');
    mkdirSync(directory, { recursive: true });
    accessSync(directory, constants.W_OK);
    return directory;
  } catch (error) {
    if (process.env.XDG_CACHE_HOME) throw error;
  }
  const { uid } = userInfo();
  const directory = join(tmpdir(), `keyway-cache-${uid}`);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const found = lstatSync(directory);
  if (!found.isDirectory() || found.uid !== uid) throw new Error(`${directory} belongs to somebody else`);
  return directory;
}
