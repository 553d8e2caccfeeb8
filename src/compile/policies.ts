/**
 * Units of policies, the operator's rules: a bucket for each priority and action, as with access rules, with a unit for
 * each tenant named and one for policies that hold for all. They are on every switch that hosts a tenant concerned.
 */
import type { HypervisorNumber } from '../drivers/switch-plugin.ts';
import type { Resource } from '../intent/model.ts';
import type { Flow } from '../pipeline/flow.ts';
import { decidingFlow, type Scope } from '../pipeline/stages/judge.ts';
import { liveRule } from '../pipeline/stages/liveness.ts';
import { addressesOf, alternativeKey, alternativesOf, servicesOf } from './alternatives.ts';
import { policyEpoch } from './epochs.ts';
import type { CompileState, Unit } from './state.ts';

type Policy = Resource<'policy'>;

export function policyUnits(state: CompileState, priority: number, action: 'allow' | 'deny'): Unit[] {
  const { view } = state;
  const policies = [...view.children('policy', '')].filter(
    (p) => p.spec.priority === priority && p.spec.action === action,
  );
  policies.sort((a, b) => a.id - b.id);
  const tenants = new Set(policies.flatMap((p) => p.spec.tenants ?? []));
  const units: Unit[] = [];
  const add = (name: string, on: HypervisorNumber[], scope: Scope, concerned: Policy[]) => {
    if (on.length === 0 || concerned.length === 0) return;
    units.push({ key: `policies/${priority}/${action}/${name}`, on, flows: policyFlows(state, concerned, scope) });
  };
  const everywhere = [...state.hypervisors.keys()].sort((a, b) => a - b);
  add(
    'all',
    everywhere,
    'all',
    policies.filter((p) => p.spec.tenants === undefined),
  );
  for (const name of tenants) {
    const tenant = view.getAs('tenant', `tenants/${name}`);
    if (tenant === undefined) continue;
    const on = state.placement.hostsOfTenant(tenant.path).filter((h) => state.hypervisors.has(h));
    add(
      `${tenant.number}`,
      on,
      { key: tenant.id },
      policies.filter((p) => p.spec.tenants?.includes(name)),
    );
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

function policyFlows({ view }: CompileState, policies: Policy[], scope: Scope): Flow[] {
  const flows: Flow[] = [];
  const claimed = new Set<string>();
  for (const policy of policies) {
    const { action, log, from, to, priority } = policy.spec;
    const decider = { ...epochOf(policy), action, log: log ?? false };
    for (const a of alternativesOf(addressesOf(view, '', from), addressesOf(view, '', to), servicesOf(policy.spec))) {
      const key = alternativeKey(a);
      if (claimed.has(key)) continue;
      claimed.add(key);
      flows.push(decidingFlow(decider, scope, priority, a));
    }
  }
  return flows;
}
