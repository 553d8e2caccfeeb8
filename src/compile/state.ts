/** What the compiler reads. Its output is a function of this and of nothing else. */
import type { HypervisorNumber } from '../drivers/switch-plugin.ts';
import type { Path, View } from '../intent/model.ts';
import type { Placement } from '../inventory/placement.ts';
import type { Flow, Meter } from '../pipeline/flow.ts';

export type CompileState = {
  view: View;
  placement: Placement;
  /** Hypervisors that are programmed: number -> resource number of the hypervisor resource. */
  hypervisors: ReadonlyMap<HypervisorNumber, number>;
  /** Whether routers tell senders of packets larger than the MTU of the network. */
  checkMtu: boolean;
  /** OpenFlow port of the tunnel from one hypervisor to another, where it exists. */
  tunnel(from: HypervisorNumber, to: HypervisorNumber): number | undefined;
  /**
   * Gateways of a network that is in use, the first is in charge: none, one or two. They are programmed hypervisors. What is
   * compiled for them is on `placement.reachOfNetwork`.
   */
  gateways(network: Path): readonly HypervisorNumber[];
  /**
   * OpenFlow port of a patch, or of `services`. 0 while it is remembered from an earlier run and the hypervisor has not told: the
   * others count on it as before, and its own switch is left as it is. Undefined: there is none.
   */
  patch(hypervisor: HypervisorNumber, key: string): number | undefined;
  /** Conntrack zone of the network's NAT there, durable. Undefined where none is needed, or none was left. */
  natZone(hypervisor: HypervisorNumber, network: Path): number | undefined;
  /** MAC of the pool's next hop, given or learnt. */
  nextHopMac(pool: Path): number | undefined;
};

export { providerPatch, vlanPatch } from '../inventory/patch-keys.ts';

/** Flows that are installed, replaced and removed as a whole, the same on every switch named. */
export type Unit = { key: string; on: HypervisorNumber[]; flows: Flow[] /** That the flows use. */; meters?: Meter[] };

/**
 * What units are made for; one subject is compiled as a whole:
 * `base` · `port:PATH` · `tier:PATH` · `route:PATH` · `peering:PATH` · `judge:NETWORK PATH` · `steering:NETWORK PATH` · `extra:NETWORK PATH` · `rules:NETWORK PATH:PRIORITY:ACTION` · `policies:PRIORITY:ACTION` · `tunnel:FROM:TO` · `admit:TENANT PATH`
 * `gateway:NETWORK PATH`: the way out and NAT of a network · `services:NETWORK PATH`: DHCP, DNS and metadata of a network ·
 * `services-port:HYPERVISOR`: the port of a gateway host behind which they are ·
 * `failover:HYPERVISOR`: what a hypervisor has once for all networks that have gateways, see `placement.pairsAt` ·
 * `ip-pool:PATH:HYPERVISOR`: what is there for the pool alone
 */
export type Subject = string;
