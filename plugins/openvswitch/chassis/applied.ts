/** Whether ovs-vswitchd takes what stands in the database: it copies next_cfg to cur_cfg once it has. */
import type { ChassisLog } from './options.ts';

export class AppliedWatch {
  readonly #log: ChassisLog;
  readonly #patience: number;
  #timer: NodeJS.Timeout | undefined;
  #told = false;

  /** @param patience milliseconds until it is worth a warning. */
  constructor(log: ChassisLog, patience = 10_000) {
    this.#log = log;
    this.#patience = patience;
  }

  see(root: { next_cfg: number; cur_cfg: number }): void {
    if (root.cur_cfg >= root.next_cfg) {
      this.stop();
      if (this.#told) this.#log.info({ configuration: root.cur_cfg }, 'ovs-vswitchd takes its configuration again');
      this.#told = false;
      return;
    }
    if (this.#told) return;
    this.#timer ??= setTimeout(() => {
      this.#told = true;
      this.#log.warn(
        { wanted: root.next_cfg, applied: root.cur_cfg },
        'ovs-vswitchd has not taken its configuration: see on the hypervisor whether it runs, and its log',
      );
    }, this.#patience);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
