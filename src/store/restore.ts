/** A level store made from a backup, beside no running controller. It is there whole, or not at all. */
import { mkdir, mkdtemp, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { Level } from 'level';
import { Problem } from '../problems.ts';
import { BackupError, type BackupHeader, readBackup } from './backup.ts';
import { dataPrefix, encodeValue, metaKeys } from './records.ts';
import { schema as currentSchema, type Operation, type Schema } from './schema.ts';
import type { Entry } from './store.ts';
import { checkKey, checkValue } from './validity.ts';

/** Entries, and characters of values, made durable at once. */
const atOnce = { entries: 5_000, characters: 4 << 20 };

export type Restored = BackupHeader & { entries: number };

/**
 * Makes the store's directory anew from the backup. Its revision and every entry's are the backup's, so that ETags and
 * cursors mean what they meant; the change log begins there. A backup of an older schema is brought up when the store is opened.
 *
 * @param directory As openLevelStore takes it: must not exist, or be empty.
 * @throws BackupError when the backup is none or not whole, or there is something in the directory.
 * @throws Problem `store.too-new` when a newer Keyway made it. @throws Error of the disk. Nothing is left behind then.
 */
export async function restoreLevelStore(
  directory: string,
  backup: AsyncIterable<Buffer>,
  { schema = currentSchema }: { /** Tests put another version here. */ schema?: Schema } = {},
): Promise<Restored> {
  await mustBeFree(directory);
  const parent = dirname(resolve(directory));
  await mkdir(parent, { recursive: true, mode: 0o700 });
  const unfinished = await mkdtemp(join(parent, `${basename(directory)}.restoring-`));
  try {
    const restored = await write(join(unfinished, 'journal'), backup, schema);
    await sync(join(unfinished, 'journal'));
    await sync(unfinished);
    // Onto an empty directory at most: whoever put something there meanwhile keeps it.
    await rename(unfinished, directory);
    await sync(parent);
    return restored;
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true });
    throw error;
  }
}

async function mustBeFree(directory: string): Promise<void> {
  let found: string[];
  try {
    found = await readdir(directory);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  if (found.length > 0) throw new BackupError(`${directory} is not empty: a store is never restored over another.`);
}

async function write(location: string, backup: AsyncIterable<Buffer>, schema: Schema): Promise<Restored> {
  await mkdir(location, { mode: 0o700 });
  const database = new Level<string, string>(location);
  await database.open();
  try {
    let header: BackupHeader | undefined;
    let waiting: Operation[] = [];
    let characters = 0;
    const flush = async () => {
      await database.batch(waiting, { sync: true });
      waiting = [];
      characters = 0;
    };
    const { entries } = await readBackup(backup, {
      async header(found) {
        if (found.schema > schema.version) {
          throw new Problem(
            'store.too-new',
            `The backup was made by Keyway ${found.keyway} with schema version ${found.schema}; this Keyway knows up to ${schema.version}.`,
          );
        }
        header = found;
      },
      entry(entry) {
        mustBeValid(entry);
        waiting.push({ type: 'put', key: dataPrefix + entry.key, value: encodeValue(entry.revision, entry.value) });
        characters += entry.value.length;
        return waiting.length >= atOnce.entries || characters >= atOnce.characters ? flush() : undefined;
      },
    });
    const { revision, schema: version } = header!;
    const meta = { [metaKeys.schema]: version, [metaKeys.revision]: revision, [metaKeys.oldest]: revision };
    for (const [key, value] of Object.entries(meta)) waiting.push({ type: 'put', key, value: String(value) });
    await flush();
    return { ...header!, entries };
  } finally {
    await database.close();
  }
}

/** @throws BackupError */
function mustBeValid({ key, value }: Entry): void {
  try {
    checkKey(key);
    checkValue(key, value);
  } catch (error) {
    throw new BackupError(`An entry cannot be stored: ${(error as Error).message}`);
  }
}

async function sync(directory: string): Promise<void> {
  await using handle = await open(directory, 'r');
  await handle.sync();
}
