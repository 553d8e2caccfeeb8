/** What the compiler reads. Its output is a function of this and of nothing else. */
import type { HypervisorNumber } from '../drivers/switch-plugin.ts';
import type { View } from '../intent/model.ts';
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
};

/** Flows that are installed, replaced and removed as a whole, the same on every switch named. */
export type Unit = { key: string; on: HypervisorNumber[]; flows: Flow[] /** That the flows use. */; meters?: Meter[] };

/**
 * What units are made for; one subject is compiled as a whole:
 * `base` · `port:PATH` · `tier:PATH` · `route:PATH` · `peering:PATH` · `judge:NETWORK PATH` · `steering:NETWORK PATH` · `extra:NETWORK PATH` · `rules:NETWORK PATH:PRIORITY:ACTION` · `policies:PRIORITY:ACTION` · `tunnel:FROM:TO` · `admit:TENANT PATH`
 */
export type Subject = string;
