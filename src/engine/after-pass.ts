/** What is to be done at a switch once that has confirmed a pass: a few at a time, and never when it goes away first. */
import type { HypervisorNumber } from '../drivers/switch-plugin.ts';
import type { Progress } from '../reconcile/progress.ts';

type Waiting = {
  at: HypervisorNumber;
  sequence: number;
  /** Milliseconds of the clock: not before, and not after. */
  from: number;
  until: number;
  act(): void;
};

/** Milliseconds between looks at what waits. */
const pace = 20;
/** How long a switch is waited for. */
const patience = 15_000;
/** At one look: a controller that starts has something to do for every address there is. */
const atOnce = 10;

export class AfterPass {
  readonly #progress: Progress;
  readonly #now: () => number;
  #waiting: Waiting[] = [];
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(progress: Progress, now: () => number) {
    this.#progress = progress;
    this.#now = now;
  }

  /** @param later milliseconds to wait in any case */
  run(at: HypervisorNumber, sequence: number, act: () => void, later = 0): void {
    const from = this.#now() + later;
    this.#waiting.push({ at, sequence, from, until: from + patience, act });
    this.#schedule();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  #schedule(): void {
    if (this.#stopped || this.#timer !== undefined || this.#waiting.length === 0) return;
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#look();
      this.#schedule();
    }, pace).unref();
  }

  #look(): void {
    const now = this.#now();
    const ready: Waiting[] = [];
    this.#waiting = this.#waiting.filter((one) => {
      if (now > one.until) return false;
      if (now < one.from || ready.length >= atOnce || !this.#hasConfirmed(one)) return true;
      ready.push(one);
      return false;
    });
    for (const { act } of ready) act();
  }

  #hasConfirmed({ at, sequence }: Waiting): boolean {
    const found = this.#progress.of(at);
    // A pass may have brought it nothing.
    return found?.connected === true && found.acknowledged >= Math.min(sequence, found.sent);
  }
}
