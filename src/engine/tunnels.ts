/**
 * Which tunnels each hypervisor should have: one to every hypervisor it shares a tenant with whose address is known. Those from
 * and to gateways are fast: what is dead is noticed there within a third of a second.
 */
import type { HypervisorNumber, SwitchPlugin, TunnelSpec } from '../drivers/switch-plugin.ts';
import type { Fleet } from '../inventory/fleet.ts';
import type { Placement } from '../inventory/placement.ts';

type Wanted = { remoteIp: string; fast: boolean };

const none: ReadonlyMap<HypervisorNumber, Wanted> = new Map();

export class Tunnels {
  readonly #fleet: Fleet;
  readonly #placement: Placement;
  readonly #plugin: SwitchPlugin;
  /** By peer, as last asked for. */
  readonly #wanted = new Map<HypervisorNumber, Map<HypervisorNumber, Wanted>>();
  /** Hypervisors to look at again. */
  readonly #open = new Set<HypervisorNumber>();

  constructor(fleet: Fleet, placement: Placement, plugin: SwitchPlugin) {
    this.#fleet = fleet;
    this.#placement = placement;
    this.#plugin = plugin;
  }

  /** Its peers, or its own or a peer's address, may have changed. */
  reconsider(hypervisor: HypervisorNumber): void {
    this.#open.add(hypervisor);
  }

  forget(hypervisor: HypervisorNumber): void {
    this.#wanted.delete(hypervisor);
  }

  /** Asks the plugin for what differs. @returns hypervisors whose set has changed */
  settle(): HypervisorNumber[] {
    const changed: HypervisorNumber[] = [];
    for (const hypervisor of this.#open) {
      if (this.#fleet.get(hypervisor) === undefined) continue;
      const wanted = new Map<HypervisorNumber, Wanted>();
      const isGateway = this.#placement.isGateway(hypervisor);
      for (const peer of this.#placement.peersOf(hypervisor)) {
        const remoteIp = this.#fleet.get(peer)?.facts?.encapIp;
        if (remoteIp !== undefined) wanted.set(peer, { remoteIp, fast: isGateway || this.#placement.isGateway(peer) });
      }
      const before = this.#wanted.get(hypervisor);
      if (before !== undefined && sameTunnels(before, wanted)) continue;
      this.#wanted.set(hypervisor, wanted);
      changed.push(hypervisor);
      this.#plugin.setTunnels(
        hypervisor,
        [...wanted].map(([peer, { remoteIp, fast }]): TunnelSpec => ({ peer, remoteIp, ...(fast ? { fast } : {}) })),
      );
    }
    this.#open.clear();
    return changed;
  }

  /** By peer, as last asked for. */
  wanted(hypervisor: HypervisorNumber): ReadonlyMap<HypervisorNumber, Wanted> {
    return this.#wanted.get(hypervisor) ?? none;
  }

  /** Tunnels asked for that do not exist yet. */
  missing(hypervisor: HypervisorNumber): number {
    const there = this.#fleet.get(hypervisor)?.tunnels;
    let missing = 0;
    for (const peer of this.#wanted.get(hypervisor)?.keys() ?? []) if (there?.has(peer) !== true) missing++;
    return missing;
  }
}

function sameTunnels(a: ReadonlyMap<HypervisorNumber, Wanted>, b: ReadonlyMap<HypervisorNumber, Wanted>): boolean {
  if (a.size !== b.size) return false;
  for (const [peer, { remoteIp, fast }] of a) {
    const other = b.get(peer);
    if (other === undefined || other.remoteIp !== remoteIp || other.fast !== fast) return false;
  }
  return true;
}
