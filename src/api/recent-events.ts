/** The newest commits of intent, kept as messages for everybody who follows: who is further behind reads the store. */
import type { EventEntry } from './event-messages.ts';

/** Changes kept at least, if there were so many. */
const kept = 4_096;

export class RecentEvents {
  #entries: EventEntry[] = [];
  #changes = 0;
  #start: number;

  /** @param start everything after this revision will be added */
  constructor(start: number) {
    this.#start = start;
  }

  /** Every commit after this revision is here. */
  get start(): number {
    return this.#start;
  }

  add(entry: EventEntry): void {
    this.#entries.push(entry);
    this.#changes += entry.messages.length;
    // Trimmed by halves, so that a commit costs no walk over the others.
    if (this.#changes > 2 * kept && this.#entries.length > 1) this.#trim();
  }

  /** The first commit after the revision, which is not before `start`. */
  after(revision: number): EventEntry | undefined {
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#entries[middle]!.revision <= revision) low = middle + 1;
      else high = middle;
    }
    return this.#entries[low];
  }

  #trim(): void {
    let drop = 0;
    while (drop < this.#entries.length - 1 && this.#changes > kept) {
      const { revision, messages } = this.#entries[drop++]!;
      this.#changes -= messages.length;
      this.#start = revision;
    }
    this.#entries.splice(0, drop);
  }
}
