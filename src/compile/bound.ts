/** Ports where they are bound, as the stages want them. */
import type { HypervisorNumber } from '../drivers/switch-plugin.ts';
import type { Resource } from '../intent/model.ts';
import type { Flow } from '../pipeline/flow.ts';
import { classifyPort } from '../pipeline/stages/classify.ts';
import type { Elsewhere, LocalPort } from '../pipeline/stages/ports.ts';
import { limitFromVm, type Qos } from '../pipeline/stages/qos.ts';
import type { Claimant } from '../pipeline/stages/virtual-address.ts';
import { standBy } from '../pipeline/stages/vlan.ts';
import { portEpoch } from './epochs.ts';
import { portFacts } from './facts.ts';
import type { CompileState } from './state.ts';

/**
 * `ofport` is 0 while the hypervisor has not told of the port since the controller was started: the others send to it as
 * before, and its own switch is left as it is.
 */
export type BoundPort = LocalPort & {
  hypervisor: HypervisorNumber;
  /** Of a device behind a VLAN: the second gateway that has it. */
  standby?: { hypervisor: HypervisorNumber; ofport: number; zone: number };
  /** Name of the VLAN attachment it is behind. */
  attachment?: string;
};

export function boundPort(
  { view, placement, hypervisors }: CompileState,
  port: Resource<'port'> | undefined,
): BoundPort | undefined {
  const bound = port === undefined ? undefined : placement.get(port.path);
  if (port === undefined || bound === undefined || !hypervisors.has(bound.hypervisor)) return undefined;
  const facts = portFacts(view, port);
  if (facts === undefined) return undefined;
  const { hypervisor, ofport, zone, standby } = bound;
  const found: BoundPort = { ...facts, ofport, zone, epoch: portEpoch(port), hypervisor };
  const { attachment } = port.spec;
  if (attachment !== undefined) {
    found.attachment = attachment;
    found.shared = true;
  }
  if (standby !== undefined && hypervisors.has(standby.hypervisor)) found.standby = standby;
  return found;
}

/** A place of a port: `behind` the hypervisor that has it while that one is alive. */
export type Home = { hypervisor: HypervisorNumber; port: LocalPort; behind?: HypervisorNumber };

export function homesOf(bound: BoundPort): readonly [Home, ...Home[]] {
  const { hypervisor, standby } = bound;
  if (standby === undefined) return [{ hypervisor, port: bound }];
  const port = { ...bound, ofport: standby.ofport, zone: standby.zone };
  return [
    { hypervisor, port: bound },
    { hypervisor: standby.hypervisor, port, behind: hypervisor },
  ];
}

/** Where the port is for switches that do not have it. */
export function elsewhere({ hypervisor, standby }: BoundPort): Elsewhere {
  return standby === undefined ? { peer: hypervisor } : { peer: hypervisor, orPeer: standby.hypervisor };
}

/** The Classifier's flows of a port at one of its homes. @param mac see classifyPort */
export function classified({ port, behind }: Home, qos: Qos, mac?: number | 'any'): Flow[] {
  const flows = limitFromVm(classifyPort(port, mac), port, qos);
  return behind === undefined ? flows : standBy(flows, behind);
}

/** Whether the hypervisor is one of those that have it. */
export function isAt({ hypervisor, standby }: BoundPort, here: HypervisorNumber): boolean {
  return hypervisor === here || standby?.hypervisor === here;
}

/** A port that may have an address, and under which MAC. */
export type Claim = { port: BoundPort; mac: number };

/** Devices behind one VLAN that share a MAC get one copy between them: the VLAN brings it to who has it. */
export function onePerSegment<C extends Claim>(claims: readonly C[]): C[] {
  const segments = new Set<string>();
  return claims.filter(({ port: { attachment }, mac }) => {
    if (attachment === undefined) return true;
    const segment = `${attachment} ${mac}`;
    return !segments.has(segment) && segments.add(segment) !== undefined;
  });
}

/**
 * Those that may have it, as that hypervisor's switch reaches them; undefined: a switch that hosts none of them. One that its own
 * switch has not told of is left out there. Undefined where it reaches none.
 */
export function claimantsAt(
  hypervisor: HypervisorNumber | undefined,
  claims: readonly Claim[],
): readonly [Claimant, ...Claimant[]] | undefined {
  const [first, ...others] = onePerSegment(claims).flatMap(({ port, mac }): Claimant[] => {
    const home = homesOf(port).find((h) => h.hypervisor === hypervisor);
    if (home === undefined) return [{ port, mac, at: elsewhere(port) }];
    const { behind } = home;
    return home.port.ofport > 0 ? [{ port, mac, at: behind === undefined ? home.port : { ...home.port, behind } }] : [];
  });
  return first === undefined ? undefined : [first, ...others];
}
