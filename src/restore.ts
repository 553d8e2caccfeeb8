/** `keyway restore`: a store from a backup, while no controller runs on it. */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Problem } from './problems.ts';
import { BackupError } from './store/backup.ts';
import { restoreLevelStore } from './store/restore.ts';

/** @returns exit status: 0 restored, 1 the disk failed, 2 wrong usage, file or directory; nothing was written then */
export async function restore(words: readonly string[]): Promise<number> {
  const wrong = (message: string): number => {
    console.error(`keyway restore: ${message}\nTry: keyway restore --help`);
    return 2;
  };
  let file: string;
  let directory: string;
  try {
    const { values, positionals } = parseArgs({
      args: [...words],
      allowPositionals: true,
      options: { 'data-dir': { type: 'string' } },
    });
    const [first, ...rest] = positionals;
    if (first === undefined || rest.length > 0) return wrong('name the file of one backup');
    if (values['data-dir'] === undefined) return wrong('name the data directory: --data-dir DIR');
    file = first;
    directory = values['data-dir'];
  } catch (error) {
    return wrong((error as Error).message);
  }
  try {
    await using opened = await open(file);
    const store = join(directory, 'store');
    const { keyway, revision, entries, at } = await restoreLevelStore(store, opened.createReadStream());
    console.log(
      `${directory} holds revision ${revision}, ${entries} entries: what Keyway ${keyway} had at ${at}. Tokens are those of ` +
        `that time.\nStart it: keyway serve --data-dir ${directory}`,
    );
    return 0;
  } catch (error) {
    const message = error instanceof Problem ? error.detail : (error as Error).message;
    const faulty = error instanceof BackupError || error instanceof Problem || isUnreadable(error, file);
    const advice =
      error instanceof Problem
        ? 'Restore it with the Keyway that made it, or a later one.'
        : faulty
          ? `Give a whole backup, and a data directory without a store in it (${directory}/store).`
          : `Mend what the message says of ${directory}, and try again.`;
    console.error(`keyway restore: ${file}: ${message}\nNothing was written. ${advice}`);
    return faulty ? 2 : 1;
  }
}

function isUnreadable(error: unknown, file: string): boolean {
  return (error as NodeJS.ErrnoException).path === file || (error as NodeJS.ErrnoException).code === 'EISDIR';
}
