/** The newest changes in memory, so that live watchers read no disk. */
import type { CommittedChange } from './store.ts';

/** Bounded by the number of changes and by the characters in them, whichever is reached first. */
export class Recent {
  readonly #capacity: number;
  readonly #characters: number;
  /** By revision modulo the capacity. */
  readonly #changes: (CommittedChange | undefined)[];
  #held = 0;
  /** Revisions `#first` to `#last` are held; none when `#first` is above `#last`. */
  #first = 1;
  #last = 0;

  constructor(capacity: number, characters: number) {
    this.#capacity = capacity;
    this.#characters = characters;
    this.#changes = new Array<CommittedChange | undefined>(capacity);
  }

  /** Revisions come without a gap; after one, what was held is forgotten. */
  add(change: CommittedChange): void {
    if (change.revision !== this.#last + 1) {
      while (this.#first <= this.#last) this.#forget();
      this.#first = change.revision;
    }
    this.#last = change.revision;
    if (this.#last - this.#first >= this.#capacity) this.#forget();
    this.#changes[change.revision % this.#capacity] = change;
    this.#held += size(change);
    while (this.#held > this.#characters) this.#forget();
  }

  /** Changes after `after`, `newest` at most; undefined when they are not held. */
  read(after: number, newest: number): CommittedChange[] | undefined {
    if (after + 1 < this.#first || newest > this.#last) return undefined;
    const changes: CommittedChange[] = [];
    for (let revision = after + 1; revision <= newest; revision++) {
      changes.push(this.#changes[revision % this.#capacity]!);
    }
    return changes;
  }

  #forget(): void {
    const slot = this.#first++ % this.#capacity;
    this.#held -= size(this.#changes[slot]!);
    this.#changes[slot] = undefined;
  }
}

function size({ writes }: CommittedChange): number {
  let characters = 0;
  for (const { key, value, previous } of writes) {
    characters += key.length + (value?.length ?? 0) + (previous?.length ?? 0);
  }
  return characters;
}
