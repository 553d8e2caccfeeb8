/**
 * Asks ovs-vswitchd to look at its configuration again while a tunnel of ours has no OpenFlow port. It can be left so
 * though all is well by then: ovs-vswitchd writes -1 for a configuration that was wrong, and leaves out writing the
 * number it has found since because its own copy of the row does not show the -1 yet (seen on 3.1, where a change by hand
 * and its repair came within milliseconds). Any change of next_cfg makes it write what is.
 */

/** Milliseconds; doubled each time, because a tunnel may lack a port for a reason that lasts. */
const FIRST = 1000;
const LAST = 60_000;

export class Reminder {
  readonly #remind: () => void;
  #timer: NodeJS.Timeout | undefined;
  #pause = FIRST;

  /** @param remind called when it is time to write next_cfg. */
  constructor(remind: () => void) {
    this.#remind = remind;
  }

  /** @param missing whether a tunnel lacks its port now. */
  see(missing: boolean): void {
    if (!missing) {
      this.stop();
      this.#pause = FIRST;
      return;
    }
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#pause = Math.min(2 * this.#pause, LAST);
      this.#remind();
    }, this.#pause);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
