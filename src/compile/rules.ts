/**
 * Units of access rules. All rules of one network with the same priority and action are compiled together: where several
 * speak of one packet the one with the lowest id has it (arrangement.ts), and no two units ever claim one match. Rules match
 * by address within the network, so their flows are the same wherever the network is, for sender and receiver.
 */
import type { Path, Resource, View } from '../intent/model.ts';
import { type Decider, judgeNetwork } from '../pipeline/stages/judge.ts';
import { liveNetwork, liveRule } from '../pipeline/stages/liveness.ts';
import { logNetwork } from '../pipeline/stages/log.ts';
import { Ends, servicesOf } from './alternatives.ts';
import { arrange } from './arrangement.ts';
import { bucketFlows, type Deciding } from './bucket.ts';
import { chunked } from './chunks.ts';
import { concerns, denyEpoch, ruleEpoch } from './epochs.ts';
import { switchesOf } from './routing.ts';
import { ServiceSet } from './service-set.ts';
import type { CompileState, Unit } from './state.ts';

type Action = 'allow' | 'deny';

export function ruleUnits(state: CompileState, network: Path, priority: number, action: Action): Unit[] {
  const { view } = state;
  const owner = view.getAs('network', network);
  if (owner === undefined) return [];
  const on = switchesOf(state, network);
  if (on.length === 0) return [];
  const ends = new Ends(view, network);
  const rules: Deciding[] = [];
  for (const rule of view.children('rule', network)) {
    const { id, spec } = rule;
    if (spec.priority !== priority || spec.action !== action) continue;
    rules.push({
      id,
      sources: ends.addresses(spec.from),
      destinations: ends.addresses(spec.to),
      services: new ServiceSet(servicesOf(spec)),
      decider: deciderOf(view, rule),
    });
  }
  if (rules.length === 0) return [];
  const scope = { network: owner.id };
  const flows = bucketFlows(arrange(rules), { scope, priority, action, owner: owner.number });
  if (action === 'allow') for (const { decider } of rules) flows.push(liveRule(decider, owner.id));
  return chunked(`rules/${owner.number}/${priority}/${action}`, on, flows);
}

function deciderOf(view: View, rule: Resource<'rule'>): Decider {
  const { number, id, spec } = rule;
  return { number, id, epoch: ruleEpoch(view, rule), action: spec.action, log: spec.log ?? false };
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
  const units: Unit[] = [{ key: `judge/${number}`, on, flows }];
  if (logsAnything(state.view, owner)) {
    const { flow, meter } = logNetwork(number, id);
    units.push({ key: `log/${number}`, on, flows: [flow], meters: [meter] });
  }
  return units;
}

function logsAnything(view: View, { path, parent, spec }: Resource<'network'>): boolean {
  if (spec.logDenied === true) return true;
  for (const rule of view.children('rule', path)) if (rule.spec.log === true) return true;
  for (const policy of view.children('policy', ''))
    if (policy.spec.log === true && concerns(policy, parent)) return true;
  return false;
}
