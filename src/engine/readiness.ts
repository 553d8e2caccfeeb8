/**
 * When a switch may be written to: once everything that belongs on it is known, its interfaces and the ports of its tunnels and
 * patches. And for how long what concerns it is waited for.
 */
import type { Logger } from 'pino';
import type { HypervisorNumber, SwitchPlugin } from '../drivers/switch-plugin.ts';
import type { Fleet, Member } from '../inventory/fleet.ts';
import type { Progress } from '../reconcile/progress.ts';
import { hypervisorFields } from './naming.ts';
import type { Patches } from './patches.ts';
import type { Tunnels } from './tunnels.ts';

/** How long a hypervisor's tunnels and patches are waited for before its switch is brought in line without them, milliseconds. */
const patience = 3_000;

export type ReadinessOptions = {
  fleet: Fleet;
  tunnels: Tunnels;
  patches: Patches;
  plugin: SwitchPlugin;
  progress: Progress;
  log: Logger;
};

export class Readiness {
  readonly #options: ReadinessOptions;
  /** Hypervisors that have told their interfaces and whose switches are not to be written to yet. */
  readonly #unready = new Set<Member>();
  /** Hypervisors whose tunnels are being waited for. */
  readonly #patient = new Set<HypervisorNumber>();
  /** Hypervisors whose tunnels or patches have changed, or should. */
  readonly #changed = new Set<HypervisorNumber>();
  /** Hypervisors that were asked for patches a moment ago. */
  readonly #awaited = new Set<HypervisorNumber>();
  #stopped = false;

  constructor(options: ReadinessOptions) {
    this.#options = options;
  }

  /** Its interfaces are known. */
  reported(member: Member): void {
    member.reported = true;
    if (!member.ready) this.#unready.add(member);
  }

  /** Its tunnels or patches have changed, or should, or whether it is there. */
  changed(hypervisor: HypervisorNumber): void {
    this.#changed.add(hypervisor);
  }

  /** It was asked for other patches. */
  asked(hypervisor: HypervisorNumber): void {
    const { fleet, patches } = this.#options;
    if (this.#awaited.has(hypervisor) || patches.missing(hypervisor) === 0) {
      this.#changed.add(hypervisor);
      return;
    }
    this.#awaited.add(hypervisor);
    // Before the pass begins that it is waited with.
    this.#tell(hypervisor);
    setTimeout(() => {
      this.#awaited.delete(hypervisor);
      if (!this.#stopped && fleet.get(hypervisor) !== undefined) this.#tell(hypervisor);
    }, patience).unref();
  }

  /** Those of them whose patches are waited for. */
  lacking(hypervisors: Iterable<HypervisorNumber>): HypervisorNumber[] {
    if (this.#awaited.size === 0) return [];
    const { patches } = this.#options;
    return [...new Set(hypervisors)].filter((h) => this.#awaited.has(h) && patches.missing(h) > 0);
  }

  settle(): void {
    for (const h of this.#changed) this.#tell(h);
    this.#changed.clear();
    for (const member of this.#unready) this.#readyIfComplete(member);
  }

  stop(): void {
    this.#stopped = true;
  }

  /**
   * A hypervisor without an OVSDB session is not connected: nobody waits for tunnels and patches that it cannot be told to make.
   * Nor for long for a patch: the other bridge may not be there.
   */
  #tell(hypervisor: HypervisorNumber): void {
    const { fleet, tunnels, patches, progress } = this.#options;
    const present = fleet.get(hypervisor)?.present === true;
    const awaited = this.#awaited.has(hypervisor) ? patches.missing(hypervisor) : 0;
    progress.tunnelsMissing(hypervisor, present ? tunnels.missing(hypervisor) + awaited : 0);
  }

  #readyIfComplete(member: Member): void {
    const { fleet, tunnels, patches, log } = this.#options;
    const { number } = member;
    if (member.ready || !member.reported) return;
    if (tunnels.missing(number) === 0 && patches.untold(number) === 0) {
      this.#ready(member);
      return;
    }
    if (this.#patient.has(number)) return;
    this.#patient.add(number);
    setTimeout(() => {
      this.#patient.delete(number);
      if (member.ready || !member.reported || this.#stopped) return;
      log.warn(
        { ...hypervisorFields(fleet, number), tunnels: tunnels.missing(number), patches: patches.untold(number) },
        'tunnels or patches are missing; the switch is programmed without them',
      );
      this.#ready(member);
    }, patience).unref();
  }

  #ready(member: Member): void {
    const { fleet, plugin } = this.#options;
    this.#unready.delete(member);
    if (fleet.get(member.number) !== member) return;
    member.ready = true;
    plugin.ready(member.number);
  }
}
