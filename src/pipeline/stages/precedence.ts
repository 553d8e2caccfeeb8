/**
 * Flows of rules and policies where they are many, or share packets: clauses of conjunctions (ovs-fields(7)), and table
 * Precedence, which says of several rules of one priority that speak of a packet which one has it. What led there is in
 * register `bucket`; `rule` names one of the rules that speak of the packet, whichever the switch came upon.
 */
import { cookie } from '../cookie.ts';
import type { Action, Flow, Match } from '../flow.ts';
import { load, matching, registers } from '../registers.ts';
import { rulePriority, type Table, tables } from '../tables.ts';
import { type Decider, decision, type Scope, scopeMatch } from './judge.ts';

/** Where flows are: a table, a priority, and what all of them match there. */
export type Place = { table: Table; priority: number; match: Match };

/** Priorities of Precedence: levels, the first on top; and what remains when no level speaks of the packet. */
export const firstLevel = 65_000;
const remaining = 1;

/** Where rules of a bucket are. @param priority 1 to 32000, lower first */
export function bucketPlace(scope: Scope, priority: number, action: Decider['action']): Place {
  const table = typeof scope === 'object' && 'network' in scope ? tables.Rules : tables.Policies;
  return { table, priority: rulePriority(priority, action), match: scopeMatch({}, scope) };
}

/** Bits 16 to 23: the table; the others: the priority there. */
const bucketNumber = ({ table, priority }: Place): number => table.id * 2 ** 16 + priority;

/** @param level from 1, which comes first */
export function precedencePlace(bucket: Place, level: number): Place {
  const priority = firstLevel - level;
  if (priority <= remaining) throw new Error(`level ${level} of precedence: there are no more`);
  return { table: tables.Precedence, priority, match: matching(bucket.match, registers.bucket, bucketNumber(bucket)) };
}

/** @param conjunction rather than a match of its own: what follows where all clauses of the rule's conjunction match */
export function decides(place: Place, decider: Decider, match: Match | 'conjunction'): Flow {
  return flow(place, decider.number, own(match, decider), decision(decider));
}

/** As `decides`, where Precedence has the last word. @param owner resource number of what all rules here belong to */
export function leadsOn(place: Place, owner: number, decider: Decider, match: Match | 'conjunction'): Flow {
  const actions = [load(registers.rule, decider.id), load(registers.bucket, bucketNumber(place))];
  return { ...flow(place, owner, own(match, decider), actions), goto: tables.Precedence.id };
}

/** What is left in Precedence to a rule that led there and is ahead of none. */
export function remains(bucket: Place, decider: Decider): Flow {
  const place = { ...precedencePlace(bucket, 1), priority: remaining };
  return flow(place, decider.number, matching({}, registers.rule, decider.id), decision(decider));
}

/**
 * @param number resource number
 * @param lane Conjunctions of lanes above 0 match a register besides that is 0 there anyway, under another mask each.
 */
export function clause(place: Place, number: number, match: Match, lane: number, actions: Action[]): Flow {
  const { field } = registers.ruleEpoch;
  return flow(place, number, lane === 0 ? match : { ...match, [field]: { value: 0, mask: lane } }, actions);
}

const own = (match: Match | 'conjunction', { id }: Decider): Match =>
  match === 'conjunction' ? { conj_id: id } : match;

function flow({ table, priority, match: common }: Place, number: number, match: Match, actions: Action[]): Flow {
  return { table: table.id, priority, cookie: cookie(table.id, number), match: { ...match, ...common }, actions };
}
