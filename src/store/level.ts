/** The embedded store: LevelDB in a directory, one fdatasync per group of commits. */
import { mkdir, open } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { Level } from 'level';
import { Problem } from '../problems.ts';
import { describeHolder, forgetHolder, noteHolder } from './holder.ts';
import { defaultLimits, Journal, type Report } from './journal.ts';
import { type Database, LevelMedium, load, takeBack } from './level-medium.ts';
import { metaKeys } from './records.ts';
import { schema as currentSchema, migrate, readVersion, type Schema } from './schema.ts';
import type { Limits, Store } from './store.ts';
import { VoidMark } from './void-mark.ts';

export type LevelStoreOptions = Partial<Limits> & {
  report?: Report;
  /** Tests put a disk that fails here. */
  database?: (location: string) => Database;
  /** Tests put another version here. */
  schema?: Schema;
};

/**
 * The store's in the directory: `journal/` is LevelDB's, `void` is void-mark.ts, `holder.json` says who has it open.
 * What does not exist is made with mode 0700.
 *
 * @throws Problem `store.unavailable` when another process holds it or the disk refuses, `store.too-new` when a newer
 * Keyway wrote it.
 */
export async function openLevelStore(directory: string, options: LevelStoreOptions = {}): Promise<Store> {
  const { database = plain, schema = currentSchema, report, ...given } = options;
  const limits: Limits = { ...defaultLimits, ...given };
  const location = join(directory, 'journal');
  const holder = join(directory, 'holder.json');
  const openDatabase = () => openLocked(database(location), directory, holder);
  try {
    await makeDirectory(location);
    const opened = await openDatabase();
    let mark: VoidMark | undefined;
    try {
      await noteHolder(holder);
      mark = await VoidMark.open(join(directory, 'void'));
      const opening = await bringUp(opened, mark, schema, directory, limits);
      const release = () => forgetHolder(holder);
      const medium = await LevelMedium.take(opened, mark, openDatabase, release, schema.version);
      return new Journal(medium, opening, limits, report);
    } catch (error) {
      await mark?.close();
      await opened.close();
      throw error;
    }
  } catch (error) {
    if (error instanceof Problem) throw error;
    throw new Problem('store.unavailable', `${directory} could not be opened: ${reason(error)}`);
  }
}

function plain(location: string): Database {
  return new Level(location);
}

async function bringUp(database: Database, mark: VoidMark, schema: Schema, directory: string, limits: Limits) {
  const version = await readVersion(database, schema, directory);
  if (version === undefined) {
    const initial = { [metaKeys.schema]: schema.version, [metaKeys.revision]: 0, [metaKeys.oldest]: 0 };
    const operations = Object.entries(initial).map(([key, value]) => ({
      type: 'put' as const,
      key,
      value: `${value}`,
    }));
    await database.batch(operations, { sync: true });
  }
  const after = await mark.read();
  if (after !== undefined) {
    await takeBack(database, after);
    await mark.clear();
  }
  if (version !== undefined) await migrate(database, schema, version);
  return await load(database, limits.changes);
}

async function openLocked(database: Database, directory: string, holder: string): Promise<Database> {
  try {
    await database.open();
    return database;
  } catch (error) {
    const cause = error instanceof Error ? error.cause : undefined;
    if (cause instanceof Error && 'code' in cause && cause.code === 'LEVEL_LOCKED') {
      throw new Problem('store.unavailable', `${directory} is in use, by ${await describeHolder(holder)}.`);
    }
    throw error;
  }
}

/** Makes the directory and what is missing above it, such that it is still there after a power cut. */
async function makeDirectory(location: string): Promise<void> {
  const first = await mkdir(location, { recursive: true, mode: 0o700 });
  if (first === undefined) return;
  const top = dirname(resolve(first));
  for (let parent = dirname(resolve(location)); ; parent = dirname(parent)) {
    await using handle = await open(parent, 'r');
    await handle.sync();
    if (parent === top) return;
  }
}

/** The innermost message: abstract-level wraps LevelDB's. */
function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : reason(error.cause);
}
