/** What the journal asks of the place the data lies in: a disk, or memory. */
import type { CommittedChange, Entry, Slice, StoreHealth } from './store.ts';

export type LoggedWrite = {
  key: string;
  value: string | undefined;
  previous: string | undefined;
  /** Revision `previous` was written at; 0: there was none. */
  was: number;
};

/** A commit as the change log keeps it: enough to tell it, and to take it back. */
export type LoggedChange = { revision: number; at: number; writes: LoggedWrite[] };

/** The log's entries after `from` up to and including `to` go. */
export type Trim = { from: number; to: number };

export type MediumSnapshot = {
  /** May run ahead of the journal's, as in `list`. */
  revision: number;
  entries(): AsyncIterable<Entry>;
  close(): Promise<void>;
};

export interface Medium {
  /**
   * All changes and the trim, or nothing; durable when it resolves. After a rejection it is unknown which of the two
   * happened, and the journal calls `disown` and `recover` before anything else.
   */
  append(changes: readonly LoggedChange[], trim: Trim): Promise<void>;
  /** Values in the order of the keys; every key exists. */
  values(keys: readonly string[]): string[] | Promise<string[]>;
  get(key: string): Promise<Entry | undefined>;
  /** `revision` may run ahead of the journal's by what `append` has made durable but not yet answered. */
  list(prefix: string, slice: Slice | undefined): Promise<{ revision: number; entries: Entry[] }>;
  /** Some changes after `after`, contiguous, `newest` at most; none: the log does not reach back to there. */
  read(after: number, newest: number): readonly CommittedChange[] | Promise<readonly CommittedChange[]>;
  /** At once: nothing written later is in it. */
  snapshot(): MediumSnapshot;
  /** A part of the log goes, by itself. After a rejection the same holds as for `append`. */
  cut(trim: Trim): Promise<void>;
  /** Gives back the room of what was deleted. */
  compact(): Promise<void>;
  health(): Promise<Pick<StoreHealth, 'schema' | 'bytes' | 'free'>>;
  /** Notes durably that what lies beyond revision `after` never happened. */
  disown(after: number): Promise<void>;
  /** Makes the medium take writes again, with nothing beyond revision `after`. Resolves to the log's `oldest`. */
  recover(after: number): Promise<number>;
  close(): Promise<void>;
}

/** A change as watchers see it. */
export function told(change: LoggedChange): CommittedChange {
  return {
    revision: change.revision,
    at: change.at,
    writes: change.writes.map(({ key, value, previous }) => ({ key, value, previous })),
  };
}
