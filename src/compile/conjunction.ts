/**
 * A rule as matches: either one for each combination of source, destination and service, or a conjunction (ovs-fields(7),
 * "Conjunctive Match"), which costs a sum and not a product: a flow for each source, each destination and each service, and
 * one that says what follows. Rules of one bucket share the flows of what they have in common.
 */
import { type Family, families } from '../intent/versions.ts';
import type { Match } from '../pipeline/flow.ts';
import { serviceMatch } from '../pipeline/stages/judge.ts';
import { ethType, fromPrefix, type IpPrefix, toPrefix } from '../pipeline/stages/ports.ts';
import type { AddressSet } from './address-set.ts';
import { isSilent, type Statement } from './arrangement.ts';
import { serviceKey } from './service-set.ts';

/** What packets are told apart by. */
type Axis = 'sources' | 'destinations' | 'services';

/** Dimensions of the conjunction, two or three; undefined: each combination by itself. */
export type Form = readonly Axis[] | undefined;

export type Formed<T extends Statement> = { rule: T; form: Form };

/** That a flow is one of the clauses of a rule's conjunction; `clause` is counted from 1. */
export type Conjunct<T extends Statement> = { rule: T; clause: number; clauses: number };

export type Piece<T extends Statement> =
  | { kind: 'combination'; rule: T; match: Match }
  | { kind: 'clause'; conjuncts: readonly Conjunct<T>[]; match: Match; lane: number }
  | { kind: 'conjunction'; rule: T };

/** A conjunction that saves no more flows than these is not worth being harder to read. */
const worthwhile = 16;

/**
 * Conjunctions in one lane. A flow can be a clause of about 4,000 (they must fit its flow_mod); those of another lane match
 * something more that always holds, so that their clauses are other flows.
 */
const perLane = 1000;

/** Which form each rule has. What a conjunction costs depends on what the others share with it. */
export function formed<T extends Statement>(rules: readonly T[]): Formed<T>[] {
  const users = { sources: new Map<unknown, number>(), destinations: new Map(), services: new Map() };
  const dimensions = rules.map((rule) => {
    const own = dimensionsOf(rule);
    for (const axis of own) {
      const set = identity(rule, axis);
      users[axis].set(set, (users[axis].get(set) ?? 0) + 1);
    }
    return own;
  });
  return rules.map((rule, at) => {
    const own = dimensions[at]!;
    let combinations = 0;
    let sum = 1;
    for (const family of families) {
      if (isSilent(rule, family)) continue;
      combinations += axes.reduce((product, axis) => product * rule[axis].of(family).length, 1);
      for (const axis of own) sum += rule[axis].of(family).length / users[axis].get(identity(rule, axis))!;
    }
    const plain = own.length < 2 || combinations <= sum + Math.min(sum, worthwhile);
    return { rule, form: plain ? undefined : own };
  });
}

const axes: readonly Axis[] = ['sources', 'destinations', 'services'];

const identity = (rule: Statement, axis: Axis): AddressSet | string =>
  axis === 'services' ? rule.services.key : rule[axis];

/** Axes on which the rule doesn't take everything. */
function dimensionsOf(rule: Statement): Axis[] {
  const limited = (set: AddressSet) => families.some((family) => !isSilent(rule, family) && !set.isAll(family));
  return axes.filter((axis) => (axis === 'services' ? !rule.services.isAll : limited(rule[axis])));
}

/**
 * Matches of rules in one table at one priority, no two the same. Where two rules make one of the same combination it is
 * the first's; and a combination that is just a clause stands in its place, as every packet of the clause is its.
 */
export function* pieces<T extends Statement>(rules: readonly Formed<T>[]): Iterable<Piece<T>> {
  const claimed = new Set<string>();
  for (const { rule, form } of rules) {
    if (form !== undefined) continue;
    for (const family of families) {
      for (const service of rule.services.of(family)) {
        const served = serviceMatch(service);
        for (const source of rule.sources.of(family)) {
          const from = fromPrefix(source);
          for (const destination of rule.destinations.of(family)) {
            const key = keyOf(family, source, destination, serviceKey(service));
            if (claimed.has(key)) continue;
            claimed.add(key);
            yield { kind: 'combination', rule, match: { ...from, ...toPrefix(destination), ...served } };
          }
        }
      }
    }
  }
  const conjoined = rules.filter(({ form }) => form !== undefined);
  for (let lane = 0; lane * perLane < conjoined.length; lane++) {
    const own = conjoined.slice(lane * perLane, (lane + 1) * perLane);
    const taken = lane === 0 ? claimed : none;
    for (const [match, conjuncts] of clauses(own, taken)) yield { kind: 'clause', conjuncts, match, lane };
    for (const { rule } of own) yield { kind: 'conjunction', rule };
  }
}

const none: ReadonlySet<string> = new Set();

type Clause<T extends Statement> = [match: Match, conjuncts: readonly Conjunct<T>[]];

/** @param taken keys of matches that are there already */
function* clauses<T extends Statement>(rules: readonly Formed<T>[], taken: ReadonlySet<string>): Iterable<Clause<T>> {
  const isFree = (family: Family, source: IpPrefix | undefined, destination: IpPrefix | undefined): boolean =>
    taken.size === 0 || !taken.has(keyOf(family, source, destination, everyService));
  for (const family of families) {
    for (const [prefix, conjuncts] of shared(rules, 'sources', family))
      if (isFree(family, prefix, undefined)) yield [fromPrefix(prefix), conjuncts];
    for (const [prefix, conjuncts] of shared(rules, 'destinations', family))
      if (isFree(family, undefined, prefix)) yield [toPrefix(prefix), conjuncts];
    const services = new Map<string, [match: Match, conjuncts: Conjunct<T>[]]>();
    for (const { rule, form = [] } of rules) {
      const conjunct = conjunctOf(rule, form, 'services');
      if (conjunct === undefined || isSilent(rule, family)) continue;
      for (const service of rule.services.of(family)) {
        const key = keyOf(family, undefined, undefined, serviceKey(service));
        const known = services.get(key);
        if (known !== undefined) known[1].push(conjunct);
        else if (!taken.has(key)) services.set(key, [{ ...versions[family], ...serviceMatch(service) }, [conjunct]]);
      }
    }
    yield* services.values();
  }
}

/** Every prefix that rules have on the axis, and the rules that have it. Those that have the same set are gone through once. */
function* shared<T extends Statement>(
  rules: readonly Formed<T>[],
  axis: 'sources' | 'destinations',
  family: Family,
): Iterable<[IpPrefix, readonly Conjunct<T>[]]> {
  const users = new Map<AddressSet, Conjunct<T>[]>();
  for (const { rule, form = [] } of rules) {
    const conjunct = conjunctOf(rule, form, axis);
    if (conjunct === undefined || isSilent(rule, family)) continue;
    const known = users.get(rule[axis]);
    if (known !== undefined) known.push(conjunct);
    else users.set(rule[axis], [conjunct]);
  }
  const [only, ...more] = users;
  if (only === undefined) return;
  if (more.length === 0) {
    for (const prefix of spelledOut(only[0], family)) yield [prefix, only[1]];
    return;
  }
  const byPrefix = new Map<string, { prefix: IpPrefix; sets: string; conjuncts: readonly Conjunct<T>[] }>();
  // Most prefixes are in the same few sets.
  const joined = new Map<string, readonly Conjunct<T>[]>();
  let number = 0;
  for (const [set, conjuncts] of users) {
    number++;
    for (const prefix of spelledOut(set, family)) {
      const key = `${prefix.value}/${prefix.length}`;
      const known = byPrefix.get(key);
      if (known === undefined) {
        byPrefix.set(key, { prefix, sets: `${number}`, conjuncts });
        continue;
      }
      known.sets += `,${number}`;
      let both = joined.get(known.sets);
      if (both === undefined) {
        both = [...known.conjuncts, ...conjuncts].sort((a, b) => a.rule.id - b.rule.id);
        joined.set(known.sets, both);
      }
      known.conjuncts = both;
    }
  }
  for (const { prefix, conjuncts } of byPrefix.values()) yield [prefix, conjuncts];
}

function conjunctOf<T extends Statement>(rule: T, form: readonly Axis[], axis: Axis): Conjunct<T> | undefined {
  const at = form.indexOf(axis);
  return at < 0 ? undefined : { rule, clause: at + 1, clauses: form.length };
}

/**
 * A flow is one clause of a conjunction at most, so no two dimensions may match the same: where one takes everything in this
 * IP version (and not in the other, else it would be no dimension) its flows are two halves.
 */
function spelledOut(set: AddressSet, family: Family): readonly IpPrefix[] {
  return set.isAll(family) ? halves[family] : set.of(family);
}

const halves: Record<Family, readonly IpPrefix[]> = {
  4: [
    { family: 4, value: 0, length: 1 },
    { family: 4, value: 2 ** 31, length: 1 },
  ],
  6: [
    { family: 6, value: 0n, length: 1 },
    { family: 6, value: 1n << 127n, length: 1 },
  ],
};

const versions: Record<Family, Match> = { 4: { eth_type: ethType.ipv4 }, 6: { eth_type: ethType.ipv6 } };

const everyService = serviceKey({});

/** Two matches with one key are the same. */
function keyOf(
  family: Family,
  source: IpPrefix | undefined,
  destination: IpPrefix | undefined,
  service: string,
): string {
  return `${family}:${addressKey(source)}>${addressKey(destination)}:${service}`;
}

const addressKey = (prefix: IpPrefix | undefined): string =>
  prefix === undefined || prefix.length === 0 ? '' : `${prefix.value}/${prefix.length}`;
