/**
 * The journal: an ordered key-value store where every commit is one revision, kept in a bounded change log.
 * Implementations: level (embedded default), memory (tests). One conformance suite holds them to this page.
 */

/**
 * Keys are printable ASCII (0x20-0x7e), 1024 characters at most, so that code units and bytes sort alike. Values are
 * JSON texts; the store does not look inside.
 */
export type Change = {
  /** Revision each key must have right now (0: must not exist), else the commit is a conflict. */
  expect?: ReadonlyMap<string, number>;
  put?: ReadonlyMap<string, string>;
  /** Deleting what is not there is no write, and no error. */
  delete?: readonly string[];
};

export type Entry = {
  key: string;
  value: string /** Revision of the commit that last wrote the key. */;
  revision: number;
};

/** What one commit did, as the feed tells it. `value` undefined: deleted. */
export type CommittedChange = {
  revision: number;
  /** Milliseconds since the epoch, by the clock of the writer. */
  at: number;
  writes: { key: string; value: string | undefined; previous: string | undefined }[];
};

export type CommitResult =
  | { ok: true; revision: number }
  | { ok: false /** Keys whose expectation failed. */; conflicts: string[] };

export type Limits = {
  /** Largest number of writes in one commit. */ writes: number /** Changes the log keeps at least. */;
  changes: number;
};

/** Everything there was at one revision. Until it is closed the medium keeps what was replaced since. */
export interface Snapshot extends AsyncDisposable {
  readonly revision: number;
  /**
   * Every entry, sorted by key; read from the medium as it is consumed, a little at a time.
   * @throws Problem `store.unavailable` when the disk fails, or the store closes, on the way.
   */
  entries(): AsyncIterable<Entry>;
}

/** How the store is, for those who look after it. */
export type StoreHealth = {
  state: 'serving' /** The disk refuses; commits and reads fail meanwhile. */ | 'refused' | 'closed';
  /** Version of the layout on the disk. */
  schema: number | undefined;
  /** Bytes it takes there, and bytes left for it. */
  bytes: number | undefined;
  free: number | undefined;
  /** The newest write: milliseconds until it was durable, and when that was (since the epoch). */
  lastWrite: { took: number; at: number } | undefined;
};

/** A part of a list: so many entries behind a key, in the direction of reading. */
export type Slice = { limit: number; after?: string; reverse?: boolean };

export interface Store {
  /** Revision of the newest durable commit; 0 for an empty store. */
  readonly revision: number;
  /** Revision the next call of `commit` has, unless something under way fails: ahead of `revision` by what is under way. */
  readonly next: number;
  /** Oldest revision from which `watch` can go on. */
  readonly oldest: number;
  readonly limits: Limits;
  /** Everything (or a slice) under the prefix at one revision, sorted by key (code unit order). Costs what it answers. */
  list(prefix: string, slice?: Slice): Promise<{ revision: number; entries: Entry[] }>;
  get(key: string): Promise<Entry | undefined>;
  /**
   * One atomic batch, one revision, durable when the promise resolves. Commits that wait share one sync.
   * Expectations are judged in the order of the calls, those still on their way to disk included.
   * A change without writes is a revision too.
   * @throws Problem `store.unavailable` when the disk refuses; nothing of that commit is then visible, now or later.
   * @throws Problem `request.too-large` beyond `limits.writes`. @throws TypeError for a key or value that is not valid.
   */
  commit(change: Change): Promise<CommitResult>;
  /**
   * Changes after revision `from`, in order, each once, then the new ones as they become durable, until the signal
   * aborts or the store closes. @throws Problem `events.compacted` when the log no longer reaches back to `from`, or
   * `from` lies ahead of the store (it was restored from a backup, say).
   */
  watch(from: number, signal?: AbortSignal): AsyncIterable<CommittedChange>;
  /** What is durable now, to be read at leisure while commits go on. @throws Problem `store.unavailable` */
  snapshot(): Promise<Snapshot>;
  /**
   * Cuts the change log to its newest `changes`, and has the medium give back what was deleted. Commits go on meanwhile.
   * @throws Problem `store.unavailable` when the disk refuses; the log may be shorter then, and nothing else has changed.
   */
  compact(changes: number): Promise<void>;
  health(): Promise<StoreHealth>;
  close(): Promise<void>;
}
