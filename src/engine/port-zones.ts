/** Conntrack zones of bound ports: given where a port is to be, and taken back where it is no longer. */
import type { HypervisorNumber } from '../drivers/switch-plugin.ts';
import type { Path, View } from '../intent/model.ts';
import { homesOf, type Placement } from '../inventory/placement.ts';
import type { Zones } from '../inventory/zones.ts';

export class PortZones {
  readonly #view: View;
  readonly #zones: Zones;
  readonly #placement: Placement;
  /** Ports that are not bound, or not everywhere they should be, because a hypervisor has no zone left. */
  readonly lacking = new Map<Path, HypervisorNumber>();
  /** Zones of an earlier run whose ports are not bound yet in this one. */
  readonly #remembered = new Map<Path, { hypervisor: HypervisorNumber; uid: string }[]>();

  constructor(view: View, zones: Zones, placement: Placement) {
    this.#view = view;
    this.#zones = zones;
    this.#placement = placement;
  }

  remember(port: Path, uid: string, hypervisor: HypervisorNumber): void {
    const remembered = this.#remembered.get(port) ?? [];
    remembered.push({ hypervisor, uid });
    this.#remembered.set(port, remembered);
  }

  /**
   * The zones of a port that is to be at these hypervisors and nowhere else; undefined where none is left.
   * @param known its uid, where it is in intent no more
   */
  give(port: Path, known: string, at: readonly HypervisorNumber[]): (number | undefined)[] {
    const uid = this.#view.getAs('port', port)?.uid ?? known;
    const bound = this.#placement.get(port);
    for (const { hypervisor, zone } of bound === undefined ? [] : homesOf(bound)) {
      const owner = this.#zones.ownerOf(hypervisor, zone) ?? uid;
      // Another port of the same name may have come in the place of one that is gone: it gets a zone of its own.
      if (owner !== uid || !at.includes(hypervisor)) this.#zones.retire(hypervisor, owner);
    }
    for (const before of this.#remembered.get(port) ?? [])
      if (before.uid !== uid || !at.includes(before.hypervisor)) this.#zones.retire(before.hypervisor, before.uid);
    this.#remembered.delete(port);
    this.lacking.delete(port);
    return at.map((hypervisor) => {
      const zone = this.#zones.allocate(hypervisor, port, uid);
      if (zone === undefined) this.lacking.set(port, hypervisor);
      return zone;
    });
  }
}
