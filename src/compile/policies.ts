/**
 * Units of policies, the operator's rules: a bucket for each priority and action, as with access rules (the lowest id has a
 * packet that several speak of, whomever they are for), with a unit for each tenant named and one for policies that hold for
 * all. They are on every switch that hosts a tenant concerned.
 */
import type { HypervisorNumber } from '../drivers/switch-plugin.ts';
import type { Resource } from '../intent/model.ts';
import type { Scope } from '../pipeline/stages/judge.ts';
import { liveRule } from '../pipeline/stages/liveness.ts';
import { Ends, servicesOf } from './alternatives.ts';
import { arrange } from './arrangement.ts';
import { bucketFlows, type Deciding } from './bucket.ts';
import { chunked } from './chunks.ts';
import { policyEpoch } from './epochs.ts';
import { ServiceSet } from './service-set.ts';
import type { CompileState, Unit } from './state.ts';

type Policy = Resource<'policy'>;

export function policyUnits(state: CompileState, priority: number, action: 'allow' | 'deny'): Unit[] {
  const { view } = state;
  const policies = [...view.children('policy', '')].filter(
    (p) => p.spec.priority === priority && p.spec.action === action,
  );
  const ends = new Ends(view, '');
  const placed = arrange(policies.map((policy) => deciding(policy, ends)));
  const units: Unit[] = [];
  const add = (name: string, on: HypervisorNumber[], scope: Scope, owner: number, tenant: string | undefined) => {
    const concerned = placed.filter(({ rule }) =>
      tenant === undefined ? rule.tenants === undefined : rule.tenants?.has(tenant),
    );
    if (on.length === 0 || concerned.length === 0) return;
    const flows = bucketFlows(concerned, { scope, priority, action, owner });
    units.push(...chunked(`policies/${priority}/${action}/${name}`, on, flows));
  };
  const everywhere = [...state.hypervisors.keys()].sort((a, b) => a - b);
  add('all', everywhere, 'all', 0, undefined);
  for (const name of new Set(policies.flatMap((p) => p.spec.tenants ?? []))) {
    const tenant = view.getAs('tenant', `tenants/${name}`);
    if (tenant === undefined) continue;
    const on = state.placement.hostsOfTenant(tenant.path).filter((h) => state.hypervisors.has(h));
    add(`${tenant.number}`, on, { key: tenant.id }, tenant.number, name);
  }
  // Of a policy that is on a switch for several tenants, the label is in force there once.
  if (action === 'allow') {
    for (const policy of policies) {
      const on = new Set<HypervisorNumber>();
      for (const name of policy.spec.tenants ?? [])
        for (const h of state.placement.hostsOfTenant(`tenants/${name}`)) if (state.hypervisors.has(h)) on.add(h);
      const switches = policy.spec.tenants === undefined ? everywhere : [...on].sort((a, b) => a - b);
      if (switches.length > 0)
        units.push({
          key: `live-policy/${policy.number}`,
          on: switches,
          flows: [liveRule(epochOf(policy), undefined)],
        });
    }
  }
  return units;
}

const epochOf = (policy: Policy) => ({ number: policy.number, id: policy.id, epoch: policyEpoch(policy) });

function deciding(policy: Policy, ends: Ends): Deciding {
  const { action, log = false, from, to, tenants } = policy.spec;
  return {
    id: policy.id,
    sources: ends.addresses(from),
    destinations: ends.addresses(to),
    services: new ServiceSet(servicesOf(policy.spec)),
    tenants: tenants === undefined ? undefined : new Set(tenants),
    decider: { ...epochOf(policy), action, log },
  };
}
