/** Flows of the rules of one bucket, or of those of its rules that hold in one scope. */
import type { Action, Flow, Match } from '../pipeline/flow.ts';
import type { Decider, Scope } from '../pipeline/stages/judge.ts';
import {
  bucketPlace,
  clause,
  decides,
  leadsOn,
  type Place,
  precedencePlace,
  remains,
} from '../pipeline/stages/precedence.ts';
import type { Placed, Statement } from './arrangement.ts';
import { type Conjunct, type Formed, formed, pieces } from './conjunction.ts';

export type Deciding = Statement & { decider: Decider };

export type Bucket = {
  scope: Scope;
  /** 1 to 32000, lower first. */
  priority: number;
  action: Decider['action'];
  /** Resource number of what the rules belong to: for the cookies of flows that serve several of them. */
  owner: number;
};

export function bucketFlows(placed: readonly Placed<Deciding>[], { scope, priority, action, owner }: Bucket): Flow[] {
  const place = bucketPlace(scope, priority, action);
  const flows: Flow[] = [];
  const inBucket: Formed<Deciding>[] = [];
  const levels = new Map<number, Formed<Deciding>[]>();
  const behind = new Set<Deciding>();
  const forms = formed(placed.map(({ rule }) => rule));
  placed.forEach((one, at) => {
    const form = forms[at]!;
    if (one.inBucket) inBucket.push(form);
    if (one.inBucket && one.behind) behind.add(one.rule);
    if (one.level === undefined) {
      if (one.behind) flows.push(remains(place, one.rule.decider));
      return;
    }
    const level = levels.get(one.level);
    if (level === undefined) levels.set(one.level, [form]);
    else level.push(form);
  });
  add(flows, inBucket, place, owner, (rule, match) =>
    behind.has(rule) ? leadsOn(place, owner, rule.decider, match) : decides(place, rule.decider, match),
  );
  for (const [level, rules] of levels) {
    const there = precedencePlace(place, level);
    add(flows, rules, there, owner, ({ decider }, match) => decides(there, decider, match));
  }
  return flows;
}

function add(
  flows: Flow[],
  rules: readonly Formed<Deciding>[],
  place: Place,
  owner: number,
  outcome: (rule: Deciding, match: Match | 'conjunction') => Flow,
): void {
  const actions = new Map<readonly Conjunct<Deciding>[], Action[]>();
  for (const piece of pieces(rules)) {
    if (piece.kind === 'combination') flows.push(outcome(piece.rule, piece.match));
    else if (piece.kind === 'conjunction') flows.push(outcome(piece.rule, 'conjunction'));
    else {
      const { conjuncts, match, lane } = piece;
      let same = actions.get(conjuncts);
      if (same === undefined) {
        same = conjuncts.map(conjunction);
        actions.set(conjuncts, same);
      }
      const number = conjuncts.length === 1 ? conjuncts[0]!.rule.decider.number : owner;
      flows.push(clause(place, number, match, lane, same));
    }
  }
}

const conjunction = ({ rule, clause: at, clauses }: Conjunct<Deciding>): Action => ({
  type: 'conjunction',
  id: rule.id,
  clause: at,
  clauses,
});
