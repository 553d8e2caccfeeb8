/** Ports where they are bound, as the stages want them. */
import type { HypervisorNumber } from '../drivers/switch-plugin.ts';
import type { Resource } from '../intent/model.ts';
import type { LocalPort } from '../pipeline/stages/ports.ts';
import type { Claimant } from '../pipeline/stages/virtual-address.ts';
import { portEpoch } from './epochs.ts';
import { portFacts } from './facts.ts';
import type { CompileState } from './state.ts';

/**
 * `ofport` is 0 while the hypervisor has not told of the port since the controller was started: the others send to it as
 * before, and its own switch is left as it is.
 */
export type BoundPort = LocalPort & { hypervisor: HypervisorNumber };

export function boundPort(
  { view, placement, hypervisors }: CompileState,
  port: Resource<'port'> | undefined,
): BoundPort | undefined {
  const bound = port === undefined ? undefined : placement.get(port.path);
  if (port === undefined || bound === undefined || !hypervisors.has(bound.hypervisor)) return undefined;
  const facts = portFacts(view, port);
  if (facts === undefined) return undefined;
  const { hypervisor, ofport, zone } = bound;
  return { ...facts, ofport, zone, epoch: portEpoch(port), hypervisor };
}

/** A port that may have an address, and under which MAC. */
export type Claim = { port: BoundPort; mac: number };

/**
 * Those that may have it, as that hypervisor's switch reaches them; undefined: a switch that hosts none of them. One that its own
 * switch has not told of is left out there. Undefined where it reaches none.
 */
export function claimantsAt(
  hypervisor: HypervisorNumber | undefined,
  claims: readonly Claim[],
): readonly [Claimant, ...Claimant[]] | undefined {
  const [first, ...others] = claims.flatMap(({ port, mac }): Claimant[] => {
    if (port.hypervisor !== hypervisor) return [{ port, mac, at: { peer: port.hypervisor } }];
    return port.ofport > 0 ? [{ port, mac, at: port }] : [];
  });
  return first === undefined ? undefined : [first, ...others];
}
