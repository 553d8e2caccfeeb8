/**
 * When many switches connect at once (this controller was restarted), they are read back a few at a time, in random
 * order, so that none waits for its answers long enough to give up. A slow one gives its place up after a while.
 */

export type ConnectPacing = {
  /** Switches read back at once. */
  atOnce: number;
  /** Milliseconds after which a reading no longer counts. */
  patience: number;
};

export const usualPacing: ConnectPacing = { atOnce: 16, patience: 2_000 };

export class ConnectPacer {
  readonly #pacing: ConnectPacing;
  readonly #waiting: (() => void)[] = [];
  #free: number;

  constructor(pacing: ConnectPacing = usualPacing) {
    this.#pacing = pacing;
    this.#free = pacing.atOnce;
  }

  /** Resolves when it is the caller's turn, with what ends it (idempotent). */
  async turn(): Promise<() => void> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    let over = false;
    const end = (): void => {
      if (over) return;
      over = true;
      clearTimeout(timer);
      this.#pass();
    };
    const timer = setTimeout(end, this.#pacing.patience);
    return end;
  }

  #pass(): void {
    const next = Math.floor(Math.random() * this.#waiting.length);
    const [resolve] = this.#waiting.splice(next, 1);
    if (resolve === undefined) this.#free++;
    else resolve();
  }
}
