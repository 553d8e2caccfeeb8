/** The first admin token: made when there is none, told to whoever may read the data directory, and to no log. */
import { open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { mint, type Tokens } from './tokens.ts';

const fileName = 'admin-token';

export type FirstToken = {
  /** Where it is, or was put once. */
  path: string;
  /** Whether it was made just now. */
  made: boolean;
};

/**
 * When there is no token at all, makes one of role admin and writes it to `admin-token` (mode 0600) in the directory.
 * The file comes first: a stop in between leaves a file that says nothing, and not a token that nobody knows.
 */
export async function ensureFirstToken(tokens: Tokens, directory: string): Promise<FirstToken> {
  const path = join(directory, fileName);
  if (tokens.size > 0) return { path, made: false };
  const minted = mint({ role: 'admin', description: 'Made at the first start' }, Date.now());
  await writeSecret(directory, path, minted.secret);
  try {
    await tokens.add(minted);
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  }
  return { path, made: true };
}

/** Whole or not at all, durable, and never readable to others, not even for a moment. */
async function writeSecret(directory: string, path: string, secret: string): Promise<void> {
  const unfinished = `${path}.new`;
  await rm(unfinished, { force: true });
  {
    await using file = await open(unfinished, 'wx', 0o600);
    await file.writeFile(`${secret}\n`);
    await file.sync();
  }
  await rename(unfinished, path);
  await using parent = await open(directory, 'r');
  await parent.sync();
}
