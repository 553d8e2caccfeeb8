/** Which tunnels each hypervisor should have: one to every hypervisor it shares a tenant with whose address is known. */
import type { HypervisorNumber, SwitchPlugin } from '../drivers/switch-plugin.ts';
import type { Fleet } from '../inventory/fleet.ts';
import type { Placement } from '../inventory/placement.ts';

const none: ReadonlyMap<HypervisorNumber, string> = new Map();

export class Tunnels {
  readonly #fleet: Fleet;
  readonly #placement: Placement;
  readonly #plugin: SwitchPlugin;
  /** Peer -> encapsulation address, as last asked for. */
  readonly #wanted = new Map<HypervisorNumber, Map<HypervisorNumber, string>>();
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
      const wanted = new Map<HypervisorNumber, string>();
      for (const peer of this.#placement.peersOf(hypervisor)) {
        const ip = this.#fleet.get(peer)?.facts?.encapIp;
        if (ip !== undefined) wanted.set(peer, ip);
      }
      const before = this.#wanted.get(hypervisor);
      if (before !== undefined && sameMap(before, wanted)) continue;
      this.#wanted.set(hypervisor, wanted);
      changed.push(hypervisor);
      this.#plugin.setTunnels(
        hypervisor,
        [...wanted].map(([peer, remoteIp]) => ({ peer, remoteIp })),
      );
    }
    this.#open.clear();
    return changed;
  }

  /** Peer -> encapsulation address, as last asked for. */
  wanted(hypervisor: HypervisorNumber): ReadonlyMap<HypervisorNumber, string> {
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

function sameMap<K, V>(a: ReadonlyMap<K, V>, b: ReadonlyMap<K, V>): boolean {
  if (a.size !== b.size) return false;
  for (const [k, v] of a) if (b.get(k) !== v) return false;
  return true;
}
