/** The change feed: from the log where a watcher is behind, then live, without a queue per watcher. */
import { Problem } from '../problems.ts';
import type { CommittedChange } from './store.ts';

export type FeedSource = {
  readonly revision: number;
  readonly oldest: number;
  /** Some changes after `after`, contiguous, `newest` at most; none: the log does not reach back to there. */
  read(after: number, newest: number): readonly CommittedChange[] | Promise<readonly CommittedChange[]>;
};

function compacted(from: number, { oldest, revision }: FeedSource): Problem {
  return new Problem('events.compacted', `Revision ${from} was asked for; ${oldest} to ${revision} are kept.`);
}

/**
 * Watchers hold a position and nothing else: a slow one reads the log again in small pieces, and one that falls off
 * the log's end is told so.
 */
export class Feed {
  readonly #source: FeedSource;
  readonly #sleepers = new Set<() => void>();
  #closed = false;

  constructor(source: FeedSource) {
    this.#source = source;
  }

  /** To be called once the source's revision has moved. */
  notify(): void {
    for (const wake of this.#sleepers) wake();
    this.#sleepers.clear();
  }

  /** Every watcher ends. */
  close(): void {
    this.#closed = true;
    this.notify();
  }

  /** As `Store.watch`. @throws Problem `events.compacted`. @throws RangeError when `from` is no revision. */
  async *watch(from: number, signal?: AbortSignal): AsyncGenerator<CommittedChange, void, void> {
    if (!Number.isSafeInteger(from) || from < 0) throw new RangeError(`${from} is not a revision`);
    const source = this.#source;
    if (from > source.revision) throw compacted(from, source);
    let position = from;
    let wake: (() => void) | undefined;
    const ended = () => this.#closed || signal?.aborted === true;
    const abort = () => wake?.();
    signal?.addEventListener('abort', abort, { once: true });
    try {
      while (!ended()) {
        if (position < source.oldest) throw compacted(position, source);
        if (position === source.revision) {
          await new Promise<void>((resolve) => {
            wake = resolve;
            this.#sleepers.add(resolve);
          });
          continue;
        }
        let changes: readonly CommittedChange[];
        try {
          changes = await source.read(position, source.revision);
        } catch (error) {
          if (ended()) return;
          throw error;
        }
        // The log was trimmed between the check above and the reading.
        if (changes.length === 0) throw compacted(position, source);
        for (const change of changes) {
          if (ended()) return;
          position = change.revision;
          yield change;
        }
      }
    } finally {
      signal?.removeEventListener('abort', abort);
      if (wake !== undefined) this.#sleepers.delete(wake);
    }
  }
}
