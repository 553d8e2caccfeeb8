/**
 * Units of access rules. All rules of one network with the same priority and action are compiled together: where two of
 * them say the same of a packet the one with the lower id has the flow, so no two units ever claim one match. Rules match
 * by address within the network, so their flows are the same wherever the network is, for sender and receiver.
 */
import type { Path, Resource, View } from '../intent/model.ts';
import type { Flow } from '../pipeline/flow.ts';
import { type Decider, decidingFlow, judgeNetwork } from '../pipeline/stages/judge.ts';
import { liveNetwork, liveRule } from '../pipeline/stages/liveness.ts';
import { addressesOf, alternativeKey, alternativesOf, servicesOf } from './alternatives.ts';
import { denyEpoch, ruleEpoch } from './epochs.ts';
import { switchesOf } from './routing.ts';
import type { CompileState, Unit } from './state.ts';

type Action = 'allow' | 'deny';

export function rulesUnit(state: CompileState, network: Path, priority: number, action: Action): Unit[] {
  const { view } = state;
  const owner = view.getAs('network', network);
  if (owner === undefined) return [];
  const on = switchesOf(state, network);
  if (on.length === 0) return [];
  const rules = [...view.children('rule', network)].filter(
    (r) => r.spec.priority === priority && r.spec.action === action,
  );
  rules.sort((a, b) => a.id - b.id);
  const flows: Flow[] = [];
  const claimed = new Set<string>();
  for (const rule of rules) {
    const decider = deciderOf(view, rule);
    for (const alternative of ruleAlternatives(view, rule)) {
      const key = alternativeKey(alternative);
      if (claimed.has(key)) continue;
      claimed.add(key);
      flows.push(decidingFlow(decider, { network: owner.id }, priority, alternative));
    }
    if (action === 'allow') flows.push(liveRule(decider, owner.id));
  }
  return flows.length === 0 ? [] : [{ key: `rules/${owner.number}/${priority}/${action}`, on, flows }];
}

function deciderOf(view: View, rule: Resource<'rule'>): Decider {
  const { number, id, spec } = rule;
  return { number, id, epoch: ruleEpoch(view, rule), action: spec.action, log: spec.log ?? false };
}

function ruleAlternatives(view: View, { parent, spec }: Resource<'rule'>) {
  return alternativesOf(addressesOf(view, parent, spec.from), addressesOf(view, parent, spec.to), servicesOf(spec));
}

/** What holds for a whole network before its rules: without it nothing there is allowed. */
export function judgeUnit(state: CompileState, network: Path): Unit[] {
  const owner = state.view.getAs('network', network);
  if (owner === undefined) return [];
  const on = switchesOf(state, network);
  if (on.length === 0) return [];
  const { number, id } = owner;
  const epoch = denyEpoch(state.view, network);
  const flows = [judgeNetwork(number, id, epoch, owner.spec.logDenied ?? false), liveNetwork(number, id, epoch)];
  return [{ key: `judge/${number}`, on, flows }];
}
