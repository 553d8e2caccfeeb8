/** The running system as trace needs it: switches with what is behind their ports, flows read once, and words. */
import type { HypervisorNumber, InstalledFlow, SwitchPlugin, TunnelHealth } from '../drivers/switch-plugin.ts';
import { servicesPatch } from '../drivers/switch-plugin.ts';
import type { Path, View } from '../intent/model.ts';
import type { Fleet } from '../inventory/fleet.ts';
import { patchedResource } from '../inventory/patch-keys.ts';
import type { Bound, Home, Placement } from '../inventory/placement.ts';
import type { Flow } from '../pipeline/flow.ts';
import { Problem } from '../problems.ts';
import type { Purpose } from '../reconcile/contract.ts';
import { FlowTables } from './flow-tables.ts';
import type { Live } from './interpreter.ts';
import type { Attached, Switches } from './walk.ts';

export type Surroundings = {
  view: View;
  fleet: Fleet;
  placement: Placement;
  plugin: SwitchPlugin;
  /** MAC of a pool's next hop; undefined where nobody has told. */
  nextHopMac?(pool: Path): number | undefined;
  /** Whom a flow serves. */
  purposeOf(flow: Flow): Purpose;
  /** `tenants/acme/networks/shop` -> `network shop of tenant acme`. */
  inWords(path: Path): string;
};

/** Switches as they are now: each is read once, and only when the packet comes there. */
export class SwitchesNow implements Switches {
  readonly #around: Surroundings;
  readonly #down: ReadonlySet<HypervisorNumber>;
  readonly #flows = new Map<HypervisorNumber, Promise<InstalledFlow[]>>();
  readonly #tables = new Map<HypervisorNumber, Promise<FlowTables>>();
  readonly #behind = new Map<HypervisorNumber, Map<number, Attached>>();
  readonly #live = new Map<HypervisorNumber, Promise<Live>>();

  /** @param down hypervisors that are taken to be dead */
  constructor(around: Surroundings, down: ReadonlySet<HypervisorNumber> = new Set()) {
    this.#around = around;
    this.#down = down;
  }

  isDown(hypervisor: HypervisorNumber): boolean {
    return this.#down.has(hypervisor);
  }

  attached(hypervisor: HypervisorNumber, ofport: number): Attached | undefined {
    let behind = this.#behind.get(hypervisor);
    if (behind === undefined) {
      behind = new Map(this.#all(hypervisor));
      this.#behind.set(hypervisor, behind);
    }
    return behind.get(ofport);
  }

  *#all(hypervisor: HypervisorNumber): Iterable<[ofport: number, attached: Attached]> {
    const { placement, fleet, view } = this.#around;
    const member = fleet.get(hypervisor);
    for (const [key, ofport] of member?.patches ?? []) {
      if (ofport === 0) continue;
      const number = patchedResource(key);
      const resource = number === undefined ? undefined : view.byNumber(number);
      if (resource?.kind === 'provider-network') yield [ofport, { kind: 'provider', network: resource.path }];
      else if (key === servicesPatch) yield [ofport, { kind: 'services' }];
    }
    for (const [peer, tunnel] of member?.tunnels ?? []) yield [tunnel, { kind: 'tunnel', peer }];
    for (const port of placement.portsOn(hypervisor)) {
      const home = homeAt(placement.get(port), hypervisor);
      if (home !== undefined && home.ofport !== 0) yield [home.ofport, { kind: 'vm', port }];
    }
  }

  /** By what the hypervisor says of its tunnels; a port of which nothing is said is live. */
  live(hypervisor: HypervisorNumber): Promise<Live> {
    let live = this.#live.get(hypervisor);
    if (live === undefined) {
      live = this.#readLive(hypervisor);
      this.#live.set(hypervisor, live);
    }
    return live;
  }

  async #readLive(hypervisor: HypervisorNumber): Promise<Live> {
    const { plugin, fleet } = this.#around;
    const tunnels = fleet.get(hypervisor)?.tunnels ?? new Map<HypervisorNumber, number>();
    const dead = new Set<number>();
    for (const [peer, ofport] of tunnels) if (this.#down.has(peer)) dead.add(ofport);
    let told: TunnelHealth[] = [];
    try {
      told = (await plugin.health?.(hypervisor))?.tunnels ?? [];
    } catch (error) {
      // Its database cannot be asked just now: what its switch sees is taken to be in order.
      if (!(error instanceof Problem)) throw error;
    }
    for (const { peer, error, bfd } of told) {
      const ofport = tunnels.get(peer);
      if (ofport !== undefined && (error !== undefined || bfd?.forwarding === false)) dead.add(ofport);
    }
    return (ofport) => this.attached(hypervisor, ofport) !== undefined && !dead.has(ofport);
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

/** Where a port is there: a device behind a VLAN is at two gateways. */
export function homeAt(bound: Bound | undefined, hypervisor: HypervisorNumber): Home | undefined {
  if (bound?.hypervisor === hypervisor) return bound;
  return bound?.standby?.hypervisor === hypervisor ? bound.standby : undefined;
}
