/**
 * Units that a hypervisor has once for all networks with gateways: whether the first of a pair is alive, and the way to one
 * or the other. `placement.pairsAt` says which pairs are in use there; where the second is the hypervisor itself, it has to
 * know whether the first is alive.
 */
import type { HypervisorNumber } from '../drivers/switch-plugin.ts';
import { gatewayAlive, toEither } from '../pipeline/stages/way-out.ts';
import type { CompileState, Unit } from './state.ts';

export function failoverUnits(state: CompileState, here: HypervisorNumber): Unit[] {
  const { placement, hypervisors } = state;
  if (!hypervisors.has(here)) return [];
  const units = new Map<string, Unit>();
  const add = (name: string, flow: Unit['flows'][number]): void => {
    const key = `failover/${here}/${name}`;
    units.set(key, { key, on: [here], flows: [flow] });
  };
  for (const [first, second] of placement.pairsAt(here)) {
    const resource = hypervisors.get(first);
    if (resource === undefined) continue;
    const toFirst = state.tunnel(here, first);
    if (second === here) {
      // Without a tunnel to it nobody knows whether it is alive: then it is left in charge.
      if (toFirst !== undefined) add(`alive/${first}`, gatewayAlive(first, toFirst, resource));
      continue;
    }
    const tunnels = [toFirst, state.tunnel(here, second)].filter((ofport) => ofport !== undefined);
    if (tunnels.length > 0) add(`${first}/${second}`, toEither(first, second, tunnels, resource));
  }
  return [...units.values()];
}
