/** Units of a pool of public addresses on a hypervisor: what its provider network has for them, and how the MAC of its next hop is learnt. */
import type { HypervisorNumber } from '../drivers/switch-plugin.ts';
import type { Path } from '../intent/model.ts';
import { providerNetworkOf } from '../inventory/gateways.ts';
import { poolFlows } from '../pipeline/stages/provider.ts';
import { ip, ipPrefix } from './addresses.ts';
import { type CompileState, providerPatch, type Unit } from './state.ts';

export function ipPoolUnits(state: CompileState, path: Path, here: HypervisorNumber): Unit[] {
  const pool = state.view.getAs('ip-pool', path);
  const network = providerNetworkOf(state.view, path);
  if (pool === undefined || network === undefined || !state.hypervisors.has(here)) return [];
  const [cidr, gateway] = [ipPrefix(pool.spec.cidr), ip(pool.spec.gateway)];
  if (cidr.family !== 4 || gateway.family !== 4) return [];
  const patch = state.patch(here, providerPatch(network.number));
  if (patch === undefined || patch === 0) return [];
  const { flows, meters } = poolFlows({ number: pool.number, cidr, gateway: gateway.value, patch });
  return [{ key: `ip-pool/${pool.number}/${here}`, on: [here], flows, meters }];
}
