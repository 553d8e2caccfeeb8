/** A store in memory, for tests: the journal's semantics without a disk. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { defaultLimits, Journal } from './journal.ts';
import { type LoggedChange, type Medium, type MediumSnapshot, type Trim, told } from './medium.ts';
import type { CommittedChange, Entry, Limits, Slice, Store } from './store.ts';

/** Changes told at once to a watcher that is behind. */
const readAtOnce = 256;

/** Entries of a snapshot told in one turn of the event loop. */
const entriesAtOnce = 512;

/** What a disk is to the other stores: give it to a second store to see what a restart keeps. */
export class MemoryDisk {
  readonly entries = new Map<string, Entry>();
  readonly log = new Map<number, LoggedChange>();
  revision = 0;
  oldest = 0;
  /** While set, every write is refused with it. */
  refusal: Error | undefined;
}

export type MemoryStoreOptions = Partial<Limits> & { disk?: MemoryDisk };

export function openMemoryStore({ disk = new MemoryDisk(), ...limits }: MemoryStoreOptions = {}): Store {
  const revisions = new Map<string, number>();
  for (const { key, revision } of disk.entries.values()) revisions.set(key, revision);
  const opening = { revision: disk.revision, oldest: disk.oldest, revisions };
  return new Journal(new MemoryMedium(disk), opening, { ...defaultLimits, ...limits });
}

export class MemoryMedium implements Medium {
  readonly #disk: MemoryDisk;
  /** Keys in order; undefined: to be sorted anew. */
  #sorted: string[] | undefined;

  constructor(disk: MemoryDisk) {
    this.#disk = disk;
  }

  async append(changes: readonly LoggedChange[], trim: Trim): Promise<void> {
    const disk = this.#disk;
    if (disk.refusal !== undefined) throw disk.refusal;
    for (const change of changes) {
      const { revision } = change;
      for (const { key, value } of change.writes) {
        if (value === undefined || !disk.entries.has(key)) this.#sorted = undefined;
        if (value === undefined) disk.entries.delete(key);
        else disk.entries.set(key, { key, value, revision });
      }
      disk.log.set(revision, change);
      disk.revision = revision;
    }
    for (let revision = trim.from + 1; revision <= trim.to; revision++) disk.log.delete(revision);
    disk.oldest = trim.to;
  }

  values(keys: readonly string[]): string[] {
    return keys.map((key) => this.#disk.entries.get(key)!.value);
  }

  async get(key: string): Promise<Entry | undefined> {
    const entry = this.#disk.entries.get(key);
    return entry && { ...entry };
  }

  async list(prefix: string, slice: Slice | undefined): Promise<{ revision: number; entries: Entry[] }> {
    const keys = this.#keys();
    let first = position(keys, prefix);
    // Keys end before 0x7f, see checkKey.
    let last = position(keys, `${prefix}\x7f`);
    if (slice?.after !== undefined) {
      if (slice.reverse === true) last = Math.min(last, position(keys, slice.after));
      else first = Math.max(first, position(keys, `${slice.after}\0`));
    }
    if (slice?.reverse === true) first = Math.max(first, last - slice.limit);
    else if (slice !== undefined) last = Math.min(last, first + slice.limit);
    const found = keys.slice(first, Math.max(first, last));
    if (slice?.reverse === true) found.reverse();
    return { revision: this.#disk.revision, entries: found.map((key) => ({ ...this.#disk.entries.get(key)! })) };
  }

  read(after: number, newest: number): CommittedChange[] {
    const changes: CommittedChange[] = [];
    for (let revision = after + 1; revision <= Math.min(newest, after + readAtOnce); revision++) {
      const change = this.#disk.log.get(revision);
      if (change === undefined) break;
      changes.push(told(change));
    }
    return changes;
  }

  snapshot(): MediumSnapshot {
    const { revision, entries } = this.#disk;
    // Entries are replaced, never changed.
    const held = this.#keys().map((key) => entries.get(key)!);
    return { revision, entries: () => slowly(held), close: () => Promise.resolve() };
  }

  async cut(trim: Trim): Promise<void> {
    const disk = this.#disk;
    if (disk.refusal !== undefined) throw disk.refusal;
    for (let revision = trim.from + 1; revision <= trim.to; revision++) disk.log.delete(revision);
    disk.oldest = trim.to;
  }

  async compact(): Promise<void> {}

  async health(): Promise<{ schema: undefined; bytes: undefined; free: undefined }> {
    return { schema: undefined, bytes: undefined, free: undefined };
  }

  /** `append` does all or nothing: there is nothing to take back. */
  async disown(): Promise<void> {}

  async recover(): Promise<number> {
    if (this.#disk.refusal !== undefined) throw this.#disk.refusal;
    return this.#disk.oldest;
  }

  async close(): Promise<void> {}

  #keys(): string[] {
    this.#sorted ??= [...this.#disk.entries.keys()].sort();
    return this.#sorted;
  }
}

async function* slowly(held: readonly Entry[]): AsyncGenerator<Entry, void, void> {
  for (const [at, entry] of held.entries()) {
    if (at % entriesAtOnce === 0) await nextTurn();
    yield { ...entry };
  }
}

/** Where the key is or would be. */
function position(keys: readonly string[], key: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (keys[middle]! < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
