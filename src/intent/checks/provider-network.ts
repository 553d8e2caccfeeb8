/** Provider networks: one for each VLAN of a physical network, and one for what is untagged on it. */
import { vlanPool } from '../../store/ids.ts';
import type { Resource } from '../model.ts';
import { formatPath, tenantOf } from '../path.ts';
import { rangeAt } from '../ranges.ts';
import { SortedMap } from '../sorted.ts';
import { equalJson } from '../spec.ts';
import type { Concern } from './concern.ts';

/** Place of a flat one among the VLANs of its physical network. */
const untagged = 0;

export const segment: Concern<'provider-network'> = {
  // Neither physicalNetwork nor vlan changes.
  release({ state, log, resting }, { spec }, after) {
    if (after !== undefined) return;
    const { physicalNetwork, vlan = untagged } = spec;
    log.writeIn(state.vlans, physicalNetwork, () => new SortedMap(), vlan, undefined);
    if (vlan !== untagged) resting?.free(vlanPool(physicalNetwork), vlan);
  },

  claim({ state, log, resting }, draft, before, report) {
    if (before !== undefined) return;
    const { physicalNetwork, vlan = untagged } = draft.spec;
    const field = vlan === untagged ? '/physicalNetwork' : '/vlan';
    const what = vlan === untagged ? `What is untagged on ${physicalNetwork}` : `VLAN ${vlan} of ${physicalNetwork}`;
    const holder = state.vlans.get(physicalNetwork)?.get(vlan);
    if (holder !== undefined && state.getAs('provider-network', holder) !== undefined) {
      report(field, 'provider-network.duplicate', `${what} is ${holder}`);
      return;
    }
    const trunk = vlan === untagged ? undefined : rangeAt(state.trunks.get(physicalNetwork), vlan);
    if (trunk !== undefined) report(field, 'vlan.in-use', `${what} is one of ${trunk.path}`);
    else if (holder !== undefined) report(field, 'vlan.in-use', `${what} is taken by ${holder}`);
    else if (vlan !== untagged && resting?.claim(vlanPool(physicalNetwork), vlan) === false)
      report(field, 'vlan.in-use', `${what} was freed, and a switch has yet to confirm it`);
    else log.writeIn(state.vlans, physicalNetwork, () => new SortedMap(), vlan, draft.path);
  },

  conclude({ state, writes }, draft, before, report) {
    if (before === undefined || equalJson(before.spec.tenants, draft.spec.tenants)) return;
    for (const tier of state.referrers(draft.path))
      if (tier.kind === 'tier' && !isOpenTo(draft.spec, tenantOf(tier.path)!) && !writes(tier.path))
        report('/tenants', 'resource.in-use', `${tier.path} is on it`);
  },
};

/** Whether the tenant may have tiers straight on it. */
export function isOpenTo(spec: Resource<'provider-network'>['spec'], tenant: string): boolean {
  return spec.tenants?.some((name) => formatPath('tenant', '', name) === tenant) === true;
}
