/**
 * Units that a hypervisor has once for all networks with gateways: whether the first of a pair is alive, and the way to one
 * or the other. `placement.pairsAt` says which pairs are in use there; where the second is the hypervisor itself, it has to
 * know whether the first is alive.
 */
import type { HypervisorNumber } from '../drivers/switch-plugin.ts';
import type { CompileState, Unit } from './state.ts';

export function failoverUnits(_state: CompileState, _hypervisor: HypervisorNumber): Unit[] {
  return [];
}
