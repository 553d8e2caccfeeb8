/** The journal's medium on LevelDB. Layout: records.ts. */
import { randomUUID } from 'node:crypto';
import { readdir, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import type { Level } from 'level';
import { Problem } from '../problems.ts';
import type { Opening } from './journal.ts';
import { type LoggedChange, type Medium, type MediumSnapshot, type Trim, told } from './medium.ts';
import { Recent } from './recent.ts';
import {
  dataPrefix,
  decodeChange,
  decodeValue,
  encodeChange,
  encodeValue,
  logKey,
  metaKeys,
  prefixEnd,
} from './records.ts';
import type { CommittedChange, Entry, Slice, StoreHealth } from './store.ts';
import type { VoidMark } from './void-mark.ts';

export type Database = Level<string, string>;

/** What LevelDB has beside what the published type, of every platform's database, names. */
type Compactable = Database & { compactRange(start: string, end: string): Promise<void> };

const durable = { sync: true };

/** So many values are read in the caller's turn (2 to 5 µs each); for more the detour over a thread is cheaper. */
const readInPlace = 64;

/** What a watcher that is behind reads at once. */
const readAtOnce = { changes: 256, characters: 1 << 20 };

/** What a snapshot reads at once. */
const entriesAtOnce = { entries: 512, bytes: 256 << 10 };

/** Newest changes held for live watchers. */
const recentlyHeld = { changes: 1024, characters: 8 << 20 };

/** Deletions in one batch while an oversized log is cut at the start. */
const cutAtOnce = 10_000;

export class LevelMedium implements Medium {
  #database: Database;
  readonly #mark: VoidMark;
  readonly #reopen: () => Promise<Database>;
  readonly #release: () => Promise<void>;
  readonly #session: string;
  readonly #schema: number;
  readonly #recent = new Recent(recentlyHeld.changes, recentlyHeld.characters);
  #lost: Problem | undefined;

  private constructor(
    database: Database,
    mark: VoidMark,
    reopen: () => Promise<Database>,
    release: () => Promise<void>,
    session: string,
    schema: number,
  ) {
    this.#database = database;
    this.#mark = mark;
    this.#reopen = reopen;
    this.#release = release;
    this.#session = session;
    this.#schema = schema;
  }

  /** @param reopen A new, open database on the same place. @param release Called before the lock is given up for good. */
  static async take(
    database: Database,
    mark: VoidMark,
    reopen: () => Promise<Database>,
    release: () => Promise<void>,
    schema: number,
  ): Promise<LevelMedium> {
    const session = randomUUID();
    await database.put(metaKeys.session, session, durable);
    return new LevelMedium(database, mark, reopen, release, session, schema);
  }

  async append(changes: readonly LoggedChange[], trim: Trim): Promise<void> {
    const batch = this.#database.batch();
    for (const change of changes) {
      const { revision } = change;
      for (const { key, value } of change.writes) {
        if (value === undefined) batch.del(dataPrefix + key);
        else batch.put(dataPrefix + key, encodeValue(revision, value));
      }
      batch.put(logKey(revision), encodeChange(change));
    }
    for (let revision = trim.from + 1; revision <= trim.to; revision++) batch.del(logKey(revision));
    if (trim.to > trim.from) batch.put(metaKeys.oldest, String(trim.to));
    batch.put(metaKeys.revision, String(changes.at(-1)!.revision));
    await batch.write(durable);
    for (const change of changes) this.#recent.add(told(change));
  }

  values(keys: readonly string[]): string[] | Promise<string[]> {
    const found = (text: string | undefined, at: number) => {
      if (text === undefined) throw new Error(`${keys[at]} is not on the disk`);
      return decodeValue(text).value;
    };
    const stored = keys.map((key) => dataPrefix + key);
    if (keys.length <= readInPlace) return stored.map((key, at) => found(this.#database.getSync(key), at));
    return this.#database.getMany(stored).then((texts) => texts.map(found));
  }

  async get(key: string): Promise<Entry | undefined> {
    const text = await reading(() => this.#database.get(dataPrefix + key));
    return text === undefined ? undefined : { key, ...decodeValue(text) };
  }

  list(prefix: string, slice: Slice | undefined): Promise<{ revision: number; entries: Entry[] }> {
    return reading(async () => {
      const database = this.#database;
      const start = dataPrefix + prefix;
      const end = prefixEnd(start);
      const range: { gt?: string; gte?: string; lt: string } = { gte: start, lt: end };
      if (slice?.after !== undefined) {
        const after = dataPrefix + slice.after;
        if (slice.reverse === true && after < end) range.lt = after;
        if (slice.reverse !== true && after >= start) {
          delete range.gte;
          range.gt = after;
        }
      }
      const snapshot = database.snapshot();
      try {
        const revision = Number(database.getSync(metaKeys.revision, { snapshot }));
        const part = { limit: slice?.limit ?? -1, reverse: slice?.reverse ?? false };
        const entries: Entry[] = [];
        for (const [stored, text] of await database.iterator({ ...range, ...part, snapshot }).all()) {
          entries.push({ key: stored.slice(dataPrefix.length), ...decodeValue(text) });
        }
        return { revision, entries };
      } finally {
        await snapshot.close();
      }
    });
  }

  read(after: number, newest: number): CommittedChange[] | Promise<CommittedChange[]> {
    return this.#recent.read(after, newest) ?? reading(() => this.#readLog(after, newest));
  }

  async #readLog(after: number, newest: number): Promise<CommittedChange[]> {
    const range = { gte: logKey(after + 1), lte: logKey(Math.min(newest, after + readAtOnce.changes)) };
    const changes: CommittedChange[] = [];
    let characters = 0;
    for await (const [key, text] of this.#database.iterator(range)) {
      const revision = after + 1 + changes.length;
      if (key !== logKey(revision)) break;
      changes.push(told(decodeChange(revision, text)));
      characters += text.length;
      if (characters > readAtOnce.characters) break;
    }
    return changes;
  }

  snapshot(): MediumSnapshot {
    const database = this.#database;
    const snapshot = database.snapshot();
    const revision = Number(database.getSync(metaKeys.revision, { snapshot }));
    const range = { gte: dataPrefix, lt: prefixEnd(dataPrefix), highWaterMarkBytes: entriesAtOnce.bytes };
    async function* entries(): AsyncGenerator<Entry, void, void> {
      const iterator = database.iterator({ ...range, snapshot });
      try {
        for (;;) {
          const part = await reading(() => iterator.nextv(entriesAtOnce.entries));
          if (part.length === 0) return;
          for (const [stored, text] of part) yield { key: stored.slice(dataPrefix.length), ...decodeValue(text) };
        }
      } finally {
        await iterator.close();
      }
    }
    return { revision, entries, close: () => snapshot.close() };
  }

  async cut(trim: Trim): Promise<void> {
    const batch = this.#database.batch();
    for (let revision = trim.from + 1; revision <= trim.to; revision++) batch.del(logKey(revision));
    batch.put(metaKeys.oldest, String(trim.to));
    await batch.write(durable);
  }

  async compact(): Promise<void> {
    await reading(() => (this.#database as Compactable).compactRange('', prefixEnd('')));
  }

  async health(): Promise<Pick<StoreHealth, 'schema' | 'bytes' | 'free'>> {
    const { location } = this.#database;
    const sizes = (await readdir(location)).map(async (name) => {
      try {
        return (await stat(join(location, name))).size;
      } catch (error) {
        // LevelDB removes files as it goes.
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0;
        throw error;
      }
    });
    const { bavail, bsize } = await statfs(location);
    const bytes = (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
    return { schema: this.#schema, bytes, free: bavail * bsize };
  }

  async disown(after: number): Promise<void> {
    await this.#mark.set(after);
  }

  /**
   * The database is opened anew whatever the error was: after a failed append LevelDB would go on behind a torn record,
   * and what it acknowledged there could not be read back.
   */
  async recover(after: number): Promise<number> {
    if (this.#lost !== undefined) throw this.#lost;
    await this.#database.close();
    const database = await this.#reopen();
    this.#database = database;
    if ((await database.get(metaKeys.session)) !== this.#session) {
      // The lock was free for a moment, and somebody who waited for it has written since.
      this.#lost = new Problem('store.unavailable', 'Another process has taken over the store.');
      await database.close();
      throw this.#lost;
    }
    await takeBack(database, after);
    await this.#mark.clear();
    return Number(await database.get(metaKeys.oldest));
  }

  async close(): Promise<void> {
    await this.#mark.close();
    if (this.#lost === undefined) await this.#release();
    await this.#database.close();
  }
}

/** Undoes every commit beyond revision `after`, newest first, in one durable step. */
export async function takeBack(database: Database, after: number): Promise<void> {
  const newest = Number(await database.get(metaKeys.revision));
  if (newest <= after) return;
  const batch = database.batch();
  for (let revision = newest; revision > after; revision--) {
    const text = await database.get(logKey(revision));
    if (text === undefined) throw new Error(`The change log lacks revision ${revision}`);
    for (const { key, previous, was } of decodeChange(revision, text).writes) {
      if (previous === undefined) batch.del(dataPrefix + key);
      else batch.put(dataPrefix + key, encodeValue(was, previous));
    }
    batch.del(logKey(revision));
  }
  batch.put(metaKeys.revision, String(after));
  await batch.write(durable);
}

/** Where the store stands. A log longer than `changes` (they were more once) is cut. */
export async function load(database: Database, changes: number): Promise<Opening> {
  const revision = Number(await database.get(metaKeys.revision));
  let oldest = Number(await database.get(metaKeys.oldest));
  while (oldest < revision - changes) {
    const to = Math.min(oldest + cutAtOnce, revision - changes);
    const batch = database.batch();
    for (let cut = oldest + 1; cut <= to; cut++) batch.del(logKey(cut));
    batch.put(metaKeys.oldest, String(to));
    await batch.write(durable);
    oldest = to;
  }
  const revisions = new Map<string, number>();
  const range = { gte: dataPrefix, lt: prefixEnd(dataPrefix), highWaterMarkBytes: 1 << 20 };
  for await (const [key, text] of database.iterator(range)) {
    revisions.set(key.slice(dataPrefix.length), decodeValue(text).revision);
  }
  return { revision, oldest, revisions };
}

/** Readers get a problem to answer with; the database's own message is its detail. */
async function reading<T>(read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    throw new Problem('store.unavailable', `The store could not be read: ${detail}`);
  }
}
