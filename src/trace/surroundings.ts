/** The running system as trace needs it: switches with what is behind their ports, flows read once, and words. */
import type { HypervisorNumber, InstalledFlow, SwitchPlugin } from '../drivers/switch-plugin.ts';
import type { Path, View } from '../intent/model.ts';
import type { Fleet } from '../inventory/fleet.ts';
import type { Placement } from '../inventory/placement.ts';
import type { Flow } from '../pipeline/flow.ts';
import type { Purpose } from '../reconcile/contract.ts';
import { FlowTables } from './flow-tables.ts';
import type { Attached, Switches } from './walk.ts';

export type Surroundings = {
  view: View;
  fleet: Fleet;
  placement: Placement;
  plugin: SwitchPlugin;
  /** Whom a flow serves. */
  purposeOf(flow: Flow): Purpose;
  /** `tenants/acme/networks/shop` -> `network shop of tenant acme`. */
  inWords(path: Path): string;
};

/** Switches as they are now: each is read once, and only when the packet comes there. */
export class SwitchesNow implements Switches {
  readonly #around: Surroundings;
  readonly #flows = new Map<HypervisorNumber, Promise<InstalledFlow[]>>();
  readonly #tables = new Map<HypervisorNumber, Promise<FlowTables>>();
  readonly #behind = new Map<HypervisorNumber, Map<number, Attached>>();

  constructor(around: Surroundings) {
    this.#around = around;
  }

  attached(hypervisor: HypervisorNumber, ofport: number): Attached | undefined {
    let behind = this.#behind.get(hypervisor);
    if (behind === undefined) {
      behind = new Map();
      const { placement, fleet } = this.#around;
      for (const port of placement.portsOn(hypervisor)) {
        const bound = placement.get(port);
        if (bound !== undefined && bound.ofport !== 0) behind.set(bound.ofport, { kind: 'vm', port });
      }
      for (const [peer, tunnel] of fleet.get(hypervisor)?.tunnels ?? []) behind.set(tunnel, { kind: 'tunnel', peer });
      this.#behind.set(hypervisor, behind);
    }
    return behind.get(ofport);
  }

  tunnelTo(hypervisor: HypervisorNumber, peer: HypervisorNumber): number | undefined {
    return this.#around.fleet.get(hypervisor)?.tunnels.get(peer);
  }

  tables(hypervisor: HypervisorNumber): Promise<FlowTables> {
    let tables = this.#tables.get(hypervisor);
    if (tables === undefined) {
      tables = this.flows(hypervisor).then((flows) => new FlowTables(flows));
      this.#tables.set(hypervisor, tables);
    }
    return tables;
  }

  /** @throws Problem hypervisor.not-connected */
  flows(hypervisor: HypervisorNumber): Promise<InstalledFlow[]> {
    let flows = this.#flows.get(hypervisor);
    if (flows === undefined) {
      flows = this.#around.plugin.installed(hypervisor);
      this.#flows.set(hypervisor, flows);
    }
    return flows;
  }
}
