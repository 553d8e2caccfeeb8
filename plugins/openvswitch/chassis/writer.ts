/** One transaction at a time: planned from what the cache shows, sent, and planned anew whatever came of it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { ConnectionClosedError } from '../ovsdb/errors.ts';
import { comment, type Operation } from '../ovsdb/operations.ts';
import type { ChassisLog } from './options.ts';
import type { Plan } from './plan.ts';

export type WriterOptions = {
  /** What differs now; undefined where nothing does. When it throws it is asked again after a while. */
  plan(): Plan | undefined;
  transact(operations: Operation[]): Promise<unknown>;
  log: ChassisLog;
};

/** Transactions within PACE_WINDOW, for one and the same wish, after which somebody must be undoing what we write. */
const PACE_LIMIT = 50;
/** Milliseconds. */
const PACE_WINDOW = 1000;
const FIRST_RETRY = 20;
const LAST_RETRY = 5000;

export class Writer {
  readonly #options: WriterOptions;
  readonly #stopped = new AbortController();
  #running = false;
  #windowStart = 0;
  #inWindow = 0;
  #failures = 0;
  #lastFailure = '';

  constructor(options: WriterOptions) {
    this.#options = options;
  }

  /** Somebody wants something else now: what was written so far was no quarrel. */
  renew(): void {
    this.#inWindow = 0;
    this.wake();
  }

  /** Something may differ. While a transaction is under way what comes is gathered for the next. */
  wake(): void {
    if (this.#running || this.#stopped.signal.aborted) return;
    this.#running = true;
    this.#run().catch((error: unknown) => {
      // Stopping cuts a sleep short.
      if (!this.#stopped.signal.aborted) this.#options.log.error({ err: error }, 'writing to a hypervisor ended');
    });
  }

  /** No more writes; a transaction under way may still take effect. */
  stop(): void {
    this.#stopped.abort();
  }

  async #run(): Promise<void> {
    try {
      while (!this.#stopped.signal.aborted) {
        let plan: Plan | undefined;
        try {
          plan = this.#options.plan();
          if (!plan) return;
          await this.#options.transact([comment(`keyway: ${plan.what}`), ...plan.operations]);
        } catch (error) {
          plan?.failed();
          if (error instanceof ConnectionClosedError) return;
          await this.#failed(error);
          continue;
        }
        this.#failures = 0;
        this.#lastFailure = '';
        this.#options.log.debug({ operations: plan.operations.length }, plan.what);
        await this.#pace();
      }
    } finally {
      // In the very turn in which the plan found nothing to do, or a wake in between would be lost.
      this.#running = false;
    }
  }

  async #failed(error: unknown): Promise<void> {
    const delay = Math.min(FIRST_RETRY * 2 ** this.#failures++, LAST_RETRY);
    const message = error instanceof Error ? error.message : String(error);
    if (this.#failures === 1) {
      // A race with another writer, most likely, whom the next plan has seen.
      this.#options.log.info({ err: error, retryInMs: delay }, 'a hypervisor did not take a change');
    } else if (message !== this.#lastFailure) {
      this.#lastFailure = message;
      this.#options.log.error({ err: error }, 'a hypervisor does not take a change; it is tried again');
    }
    await this.#sleep(delay);
  }

  async #pace(): Promise<void> {
    const now = performance.now();
    if (now - this.#windowStart > PACE_WINDOW) {
      this.#windowStart = now;
      this.#inWindow = 0;
    }
    if (++this.#inWindow < PACE_LIMIT) return;
    this.#options.log.warn({ transactions: this.#inWindow }, 'somebody seems to undo what is written to a hypervisor');
    await this.#sleep(PACE_WINDOW);
  }

  async #sleep(milliseconds: number): Promise<void> {
    await sleep(milliseconds, undefined, { signal: this.#stopped.signal });
  }
}
