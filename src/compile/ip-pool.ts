/** Units of a pool of public addresses: what its provider network has for them, and how the MAC of its next hop is learnt. */
import type { Path } from '../intent/model.ts';
import { providerNetworkOf } from '../inventory/gateways.ts';
import { poolFlows } from '../pipeline/stages/provider.ts';
import { ip, ipPrefix } from './addresses.ts';
import { type CompileState, providerPatch, type Unit } from './state.ts';

export function ipPoolUnits(state: CompileState, path: Path): Unit[] {
  const pool = state.view.getAs('ip-pool', path);
  const network = providerNetworkOf(state.view, path);
  if (pool === undefined || network === undefined) return [];
  const [cidr, gateway] = [ipPrefix(pool.spec.cidr), ip(pool.spec.gateway)];
  if (cidr.family !== 4 || gateway.family !== 4) return [];
  const key = providerPatch(network.number);
  const units: Unit[] = [];
  for (const hypervisor of state.hypervisors.keys()) {
    const patch = state.patch(hypervisor, key);
    if (patch === undefined || patch === 0) continue;
    const { flows, meters } = poolFlows({ number: pool.number, cidr, gateway: gateway.value, patch });
    units.push({ key: `ip-pool/${pool.number}/${hypervisor}`, on: [hypervisor], flows, meters });
  }
  return units;
}
