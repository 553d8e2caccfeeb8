/**
 * What every store shares: expectations, the commit queue with one sync for all who wait, the log's window, and what
 * happens when the disk refuses. Where the data lies is the medium's business.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Problem } from '../problems.ts';
import { Feed } from './feed.ts';
import type { LoggedChange, LoggedWrite, Medium, Trim } from './medium.ts';
import type {
  Change,
  CommitResult,
  CommittedChange,
  Entry,
  Limits,
  Slice,
  Snapshot,
  Store,
  StoreHealth,
} from './store.ts';
import { checkKey, checkValue } from './validity.ts';

export const defaultLimits: Limits = { writes: 50_000, changes: 100_000 };

/** Where a medium stands when it is opened. */
export type Opening = {
  revision: number;
  oldest: number;
  /** Of every key. Values stay with the medium. */
  revisions: Map<string, number>;
};

type Waiting = {
  /** Undefined: a conflict with commits still on their way, answered once these are durable. */
  change: LoggedChange | undefined;
  result: CommitResult;
  resolve: (result: CommitResult) => void;
  reject: (problem: Problem) => void;
};

type Cut = {
  /** The log is to begin behind this revision. */
  to: number;
  resolve: () => void;
  reject: (problem: Problem) => void;
};

/** `value` undefined: deleted. */
type PendingWrite = { revision: number; value: string | undefined };

/** Milliseconds between attempts to get a refusing disk back. */
const firstPause = 100;
const longestPause = 2_000;

/** Changes of the log cut in one go; commits have their turn in between. */
const cutAtOnce = 2_000;

/** What belongs in the controller's log: that the disk refuses, why it still does, that it is back. */
export type Report = (message: string) => void;

export class Journal implements Store {
  readonly limits: Limits;
  readonly #report: Report;
  readonly #medium: Medium;
  readonly #revisions: Map<string, number>;
  readonly #feed: Feed;
  /** Newest write of each key that is queued or under way. */
  readonly #pending = new Map<string, PendingWrite>();
  #revision: number;
  #oldest: number;
  /** Revision of the next commit: ahead of `#revision` by what is pending. */
  #next: number;
  #queue: Waiting[] = [];
  #cuts: Cut[] = [];
  #lastWrite: { took: number; at: number } | undefined;
  #state: 'serving' | 'refused' | 'closed' = 'serving';
  #flushing: Promise<void> | undefined;
  /** The group under way. */
  #settling: Promise<void> | undefined;
  #recovering: Promise<void> | undefined;
  readonly #closing = new AbortController();
  #closed: Promise<void> | undefined;

  constructor(medium: Medium, opening: Opening, limits: Limits, report: Report = () => {}) {
    this.#medium = medium;
    this.#revision = opening.revision;
    this.#oldest = opening.oldest;
    this.#next = opening.revision + 1;
    this.#revisions = opening.revisions;
    this.limits = limits;
    this.#report = report;
    const journal = this;
    this.#feed = new Feed({
      get revision() {
        return journal.#revision;
      },
      get oldest() {
        return journal.#oldest;
      },
      read: (after, newest) => {
        if (journal.#state === 'refused') journal.#mustServe();
        return medium.read(after, newest);
      },
    });
  }

  get revision(): number {
    return this.#revision;
  }

  get next(): number {
    return this.#next;
  }

  get oldest(): number {
    return this.#oldest;
  }

  async get(key: string): Promise<Entry | undefined> {
    this.#mustServe();
    if (!this.#revisions.has(key)) return undefined;
    const entry = await this.#medium.get(key);
    if (entry !== undefined) await this.#mustHaveReached(entry.revision);
    return entry;
  }

  async list(prefix: string, slice?: Slice): Promise<{ revision: number; entries: Entry[] }> {
    this.#mustServe();
    if (slice !== undefined && !(Number.isSafeInteger(slice.limit) && slice.limit > 0)) {
      throw new RangeError(`${slice.limit} is not a limit`);
    }
    const listed = await this.#medium.list(prefix, slice);
    await this.#mustHaveReached(listed.revision);
    return listed;
  }

  watch(from: number, signal?: AbortSignal): AsyncIterable<CommittedChange> {
    return this.#feed.watch(from, signal);
  }

  async snapshot(): Promise<Snapshot> {
    this.#mustServe();
    const snapshot = this.#medium.snapshot();
    try {
      await this.#mustHaveReached(snapshot.revision);
    } catch (error) {
      await snapshot.close();
      throw error;
    }
    const { revision } = snapshot;
    return {
      revision,
      entries: () => this.#whileOpen(snapshot.entries()),
      [Symbol.asyncDispose]: () => snapshot.close(),
    };
  }

  async *#whileOpen(entries: AsyncIterable<Entry>): AsyncGenerator<Entry, void, void> {
    for await (const entry of entries) {
      if (this.#state === 'closed') this.#mustServe();
      yield entry;
    }
  }

  async compact(changes: number): Promise<void> {
    if (!(Number.isSafeInteger(changes) && changes >= 0)) throw new RangeError(`${changes} is no number of changes`);
    this.#mustServe();
    await this.#cutTo(this.#revision - changes);
    await this.#medium.compact();
  }

  #cutTo(to: number): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#cuts.push({ to, resolve, reject });
    this.#flushing ??= this.#flush();
    return promise;
  }

  async health(): Promise<StoreHealth> {
    const { schema, bytes, free } = await this.#medium.health();
    return { state: this.#state, schema, bytes, free, lastWrite: this.#lastWrite };
  }

  async commit(change: Change): Promise<CommitResult> {
    // Everything up to the queue happens within the call, which is what makes the order of calls the order of judgement.
    this.#mustServe();
    const count = (change.put?.size ?? 0) + (change.delete?.length ?? 0);
    if (count > this.limits.writes) {
      throw new Problem('request.too-large', `${count} writes in one commit; ${this.limits.writes} at most.`);
    }
    const conflicts: string[] = [];
    let onPending = false;
    for (const [key, expected] of change.expect ?? []) {
      const pending = this.#pending.get(key);
      const actual = pending === undefined ? (this.#revisions.get(key) ?? 0) : currentRevision(pending);
      if (actual === expected) continue;
      conflicts.push(key);
      onPending ||= pending !== undefined;
    }
    if (conflicts.length === 0) {
      const logged = this.#prepare(change);
      this.#next++;
      return await this.#enqueue(logged, { ok: true, revision: logged.revision });
    }
    // Judged by what may yet fail: the answer waits for it, and the caller then reads what it was judged by.
    if (onPending) return await this.#enqueue(undefined, { ok: false, conflicts });
    return { ok: false, conflicts };
  }

  /** Commits already called are still made durable. Watchers end. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#state = 'closed';
    this.#closing.abort();
    await this.#flushing;
    await this.#recovering;
    this.#feed.close();
    await this.#medium.close();
  }

  #mustServe(): void {
    if (this.#state === 'refused') throw unavailable('The disk refused a write, and has not come back yet.');
    if (this.#state === 'closed') throw unavailable('The store is closed.');
  }

  /** What was read may be durable and not yet answered; it is shown once it is. */
  async #mustHaveReached(revision: number): Promise<void> {
    if (revision > this.#revision) await this.#settling;
    if (revision > this.#revision) throw unavailable('The disk refused a write while this was read.');
  }

  /** The writes with what they replace as far as that is in memory; the rest is read before the write. */
  #prepare(change: Change): LoggedChange {
    const revision = this.#next;
    const writes: LoggedWrite[] = [];
    const keys = new Set<string>();
    const add = (key: string, value: string | undefined) => {
      checkKey(key);
      if (keys.has(key)) throw new TypeError(`${key} is written twice in one commit`);
      keys.add(key);
      const pending = this.#pending.get(key);
      const was = pending === undefined ? (this.#revisions.get(key) ?? 0) : currentRevision(pending);
      if (value !== undefined || was > 0) writes.push({ key, value, previous: pending?.value, was });
    };
    for (const [key, value] of change.put ?? []) {
      checkValue(key, value);
      add(key, value);
    }
    for (const key of change.delete ?? []) add(key, undefined);
    // Only now: a change that is not valid must leave no trace.
    for (const { key, value } of writes) this.#pending.set(key, { revision, value });
    return { revision, at: Date.now(), writes };
  }

  #enqueue(change: LoggedChange | undefined, result: CommitResult): Promise<CommitResult> {
    const { promise, resolve, reject } = Promise.withResolvers<CommitResult>();
    this.#queue.push({ change, result, resolve, reject });
    this.#flushing ??= this.#flush();
    return promise;
  }

  async #flush(): Promise<void> {
    // Whoever commits in the same turn shares the first sync.
    await Promise.resolve();
    do {
      this.#settling = this.#settle(this.#takeGroup());
      await this.#settling;
      await this.#cutSome();
    } while (this.#queue.length > 0 || this.#cuts.length > 0);
    this.#flushing = undefined;
  }

  /** A piece of the cut that is due: nothing is under way meanwhile that might have to be taken back. Never rejects. */
  async #cutSome(): Promise<void> {
    const cut = this.#cuts[0];
    if (cut === undefined) return;
    const to = Math.min(cut.to, this.#oldest + cutAtOnce);
    if (to > this.#oldest) {
      try {
        await this.#medium.cut({ from: this.#oldest, to });
      } catch (error) {
        this.#recovering = this.#refuse([], error);
        return;
      }
      this.#oldest = to;
    }
    if (this.#oldest < cut.to && this.#state !== 'closed') return;
    this.#cuts.shift();
    if (this.#oldest < cut.to) cut.reject(unavailable('The store closed before the log was cut.'));
    else cut.resolve();
  }

  /** Makes the group durable and answers it. Never rejects. */
  async #settle(group: Waiting[]): Promise<void> {
    const changes = group.flatMap(({ change }) => change ?? []);
    if (changes.length > 0) {
      const begun = performance.now();
      try {
        await this.#write(changes);
        this.#lastWrite = { took: performance.now() - begun, at: Date.now() };
      } catch (error) {
        // Nothing is awaited in between: no commit may be judged by what has just failed.
        this.#recovering = this.#refuse(group, error);
        return;
      }
      this.#apply(changes);
    }
    for (const { resolve, result } of group) resolve(result);
  }

  /** One sync takes what waits, up to the size of the largest single commit. */
  #takeGroup(): Waiting[] {
    let writes = 0;
    const end = this.#queue.findIndex(({ change }, at) => {
      writes += change?.writes.length ?? 0;
      return at > 0 && writes > this.limits.writes;
    });
    return this.#queue.splice(0, end < 0 ? this.#queue.length : end);
  }

  async #write(changes: readonly LoggedChange[]): Promise<void> {
    // A key written earlier in the group was pending then, so `previous` is known: only the disk's values are missing.
    const unread = changes.flatMap(({ writes }) => writes.filter((w) => w.was > 0 && w.previous === undefined));
    if (unread.length > 0) {
      const read = this.#medium.values(unread.map(({ key }) => key));
      const values = read instanceof Promise ? await read : read;
      unread.forEach((write, at) => {
        write.previous = values[at];
      });
    }
    await this.#medium.append(changes, this.#trim(changes.length));
  }

  /** What is not durable yet is never trimmed: it could not be taken back. The log is longer by that group for a while. */
  #trim(added: number): Trim {
    const wanted = this.#revision + added - this.limits.changes;
    return { from: this.#oldest, to: Math.max(this.#oldest, Math.min(wanted, this.#revision)) };
  }

  #apply(changes: readonly LoggedChange[]): void {
    this.#oldest = this.#trim(changes.length).to;
    for (const { revision, writes } of changes) {
      for (const { key, value } of writes) {
        if (value === undefined) this.#revisions.delete(key);
        else this.#revisions.set(key, revision);
        if (this.#pending.get(key)?.revision === revision) this.#pending.delete(key);
      }
      this.#revision = revision;
    }
    this.#feed.notify();
  }

  /** Fails everything under way, and stays until the disk is back with nothing of it on it. */
  async #refuse(group: readonly Waiting[], cause: unknown): Promise<void> {
    if (this.#state === 'serving') this.#state = 'refused';
    const queued = [...this.#queue, ...this.#cuts];
    this.#queue = [];
    this.#cuts = [];
    this.#pending.clear();
    this.#next = this.#revision + 1;
    const reason = message(cause);
    const problem = unavailable(`The disk refused the write: ${reason}`);
    this.#report(problem.detail);
    // These have not been near the disk.
    for (const { reject } of queued) reject(problem);
    const after = this.#revision;
    let answered = false;
    try {
      await this.#medium.disown(after);
      for (const { reject } of group) reject(problem);
      answered = true;
    } catch (error) {
      // What the group left on the disk might come back after a restart, so that the answer "nothing has changed" would
      // be a guess: it waits for the disk.
      this.#report(`The refusal could not be noted either, ${group.length} commits wait: ${message(error)}`);
    }
    const recovered = await this.#recover(after);
    if (answered) return;
    const unknown = unavailable(`The disk refused the write (${reason}) and the store closed: its outcome is unknown.`);
    for (const { reject } of group) reject(recovered ? problem : unknown);
  }

  async #recover(after: number): Promise<boolean> {
    for (let pause = firstPause; !this.#closing.signal.aborted; pause = Math.min(pause * 2, longestPause)) {
      try {
        this.#oldest = await this.#medium.recover(after);
        if (this.#state === 'refused') this.#state = 'serving';
        this.#report(`The disk takes writes again; nothing is kept beyond revision ${after}.`);
        return true;
      } catch (error) {
        // Every commit and read says so meanwhile.
        this.#report(`The disk still refuses: ${message(error)}`);
        // Ends early, by a rejection, when the store closes.
        await sleep(pause, undefined, { signal: this.#closing.signal, ref: false }).catch(() => undefined);
      }
    }
    return false;
  }
}

function currentRevision({ revision, value }: PendingWrite): number {
  return value === undefined ? 0 : revision;
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function unavailable(detail: string): Problem {
  return new Problem('store.unavailable', detail);
}
