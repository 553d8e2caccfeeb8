/** Zones that were given up: flushed once the switch has confirmed that no flow uses them, and free after that. */
import type { Logger } from 'pino';
import type { HypervisorNumber, SwitchPlugin } from '../drivers/switch-plugin.ts';
import type { Zones } from '../inventory/zones.ts';
import type { Progress } from '../reconcile/progress.ts';

export class ZoneFlusher {
  readonly #zones: Zones;
  readonly #plugin: SwitchPlugin;
  readonly #progress: Progress;
  readonly #log: Logger;
  readonly #about: (hypervisor: HypervisorNumber) => object;
  readonly #underWay = new Set<string>();

  constructor(
    zones: Zones,
    plugin: SwitchPlugin,
    progress: Progress,
    log: Logger,
    /** Fields of a line about a hypervisor. */
    about: (hypervisor: HypervisorNumber) => object,
  ) {
    this.#zones = zones;
    this.#plugin = plugin;
    this.#progress = progress;
    this.#log = log;
    this.#about = about;
  }

  /** Flushes what may be flushed now. @param released called whenever a zone has become free */
  run(released: (hypervisor: HypervisorNumber) => void): void {
    for (const hypervisor of this.#zones.withRetired()) {
      const switchProgress = this.#progress.of(hypervisor);
      if (switchProgress?.connected !== true || switchProgress.acknowledged < switchProgress.sent) continue;
      for (const zone of this.#zones.retired(hypervisor)) this.#flush(hypervisor, zone, released);
    }
  }

  #flush(hypervisor: HypervisorNumber, zone: number, released: (hypervisor: HypervisorNumber) => void): void {
    const key = `${hypervisor}/${zone}`;
    if (this.#underWay.has(key)) return;
    this.#underWay.add(key);
    this.#plugin
      .flushZone(hypervisor, zone)
      .then(
        () => {
          this.#zones.release(hypervisor, zone);
          released(hypervisor);
        },
        (error: unknown) =>
          this.#log.warn(
            { ...this.#about(hypervisor), zone, err: error },
            'a conntrack zone could not be flushed; it stays retired',
          ),
      )
      .finally(() => this.#underWay.delete(key));
  }
}
