/** Where a public address is at home: which switches take what is sent to it and give out what comes from it. */
import type { HypervisorNumber } from '../drivers/switch-plugin.ts';
import type { Path, Resource } from '../intent/model.ts';
import { providerNetworkOf } from '../inventory/gateways.ts';
import { type CompileState, providerPatch } from './state.ts';

type Places = Pick<CompileState, 'view' | 'placement' | 'hypervisors' | 'gateways' | 'patch'>;

/** NAT rules of the address, the oldest first. */
export function rulesOf({ view }: Pick<CompileState, 'view'>, address: Path): Resource<'nat-rule'>[] {
  const rules: Resource<'nat-rule'>[] = [];
  for (const r of view.referrers(address)) if (r.kind === 'nat-rule') rules.push(r);
  return rules.sort((a, b) => a.number - b.number);
}

/** Key of the patch to the address's provider network. */
export function patchKeyOf({ view }: Pick<CompileState, 'view'>, { spec }: Resource<'public-ip'>): string | undefined {
  const network = providerNetworkOf(view, `ip-pools/${spec.pool}`);
  return network === undefined ? undefined : providerPatch(network.number);
}

/**
 * Static NAT is where its port is, as long as that hypervisor has the provider network; everything else at the gateways of
 * the network, of which the first is in charge. A device behind a VLAN is at the gateways itself; and what is steered through
 * other ports leaves from where those are, so in a network that steers anything all of it is at the gateways.
 */
export function publicHomes(state: Places, address: Resource<'public-ip'>): readonly HypervisorNumber[] {
  const key = patchKeyOf(state, address);
  if (key === undefined) return [];
  const isSteered = state.view.count('steering', address.parent) > 0;
  for (const { parent, spec } of rulesOf(state, address.path)) {
    if (spec.type !== 'static' || isSteered) continue;
    const bound = state.placement.get(`${parent}/ports/${spec.port}`);
    if (bound === undefined || bound.standby !== undefined || !state.hypervisors.has(bound.hypervisor)) continue;
    if (state.patch(bound.hypervisor, key) !== undefined) return [bound.hypervisor];
  }
  return state.gateways(address.parent);
}

/** Whether it is the gateways' affair. */
export function isAtGateways(state: Places, address: Resource<'public-ip'>): boolean {
  const gateways = state.gateways(address.parent);
  return gateways.length > 0 && publicHomes(state, address) === gateways;
}
