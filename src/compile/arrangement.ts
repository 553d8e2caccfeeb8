/**
 * What the rules of one bucket (same network, priority and action) have to do with each other. Where several speak of one
 * packet the lowest id has it. The switch can't be left to find that out: of flows of one priority it takes any. So for
 * rules that share packets there is a second table, Precedence, with a priority for each level:
 *
 * - A rule all of whose packets a lower id has says nothing.
 * - A rule that shares packets with a lower id is *behind* it: its flows in the bucket only lead to Precedence.
 * - A rule that shares packets with a higher id is *ahead* of it, and is in Precedence too, on a level before it. One whose
 *   packets all are the higher id's as well is there only, as that one's flows lead there already.
 *
 * So flows are doubled of rules that are ahead of others, and of no other.
 */
import { type Family, families } from '../intent/versions.ts';
import { type AddressSet, meetings } from './address-set.ts';
import type { ServiceSet } from './service-set.ts';

/** What a rule speaks of: packets from the sources to the destinations, of the services. */
export type Statement = {
  /** Rule id, unique in the bucket. */
  id: number;
  sources: AddressSet;
  destinations: AddressSet;
  services: ServiceSet;
  /** Tenants it is for; all when left out. */
  tenants?: ReadonlySet<string> | undefined;
};

export type Placed<T extends Statement> = {
  rule: T;
  /** Whether it has flows in the bucket's own table. */
  inBucket: boolean;
  /** Whether these lead to Precedence. */
  behind: boolean;
  /** Its level in Precedence, 1 comes first; undefined when it is ahead of no other. */
  level: number | undefined;
};

/** Those that say anything, lowest id first. */
export function arrange<T extends Statement>(rules: readonly T[]): Placed<T>[] {
  const speaking = rules.filter((rule) => !families.every((family) => isSilent(rule, family)));
  const neighbours = new Neighbours<T>(speaking);
  const placed: Placed<T>[] = [];
  for (const rule of speaking.sort((a, b) => a.id - b.id)) {
    const lower = [...neighbours.sharing(rule)];
    if (lower.some(({ one }) => isWithin(rule, one.rule))) continue;
    const one: Placed<T> = { rule, inBucket: true, behind: lower.length > 0, level: undefined };
    let level = 1;
    for (const other of lower) {
      other.one.level = other.level;
      level = Math.max(level, other.level + 1);
      if (isWithin(other.one.rule, rule)) other.one.inBucket = false;
    }
    placed.push(one);
    neighbours.add({ one, level });
  }
  return placed;
}

/** Whether there are no packets of that IP version that the rule speaks of. */
export function isSilent({ sources, destinations, services }: Statement, family: Family): boolean {
  return sources.of(family).length === 0 || destinations.of(family).length === 0 || services.of(family).length === 0;
}

/** Whether every packet `a` speaks of is one of `b`. Where that can't be told from single prefixes: no. */
function isWithin(a: Statement, b: Statement): boolean {
  if (b.tenants !== undefined && a.tenants?.isSubsetOf(b.tenants) !== true) return false;
  return families.every(
    (family) =>
      isSilent(a, family) ||
      (a.services.isWithin(b.services, family) &&
        a.sources.isWithin(b.sources, family) &&
        a.destinations.isWithin(b.destinations, family)),
  );
}

/** `level`: the one it has where it is ahead of another. */
type Known<T extends Statement> = { one: Placed<T>; level: number };

type Meetings = Record<Family, Map<AddressSet, Set<AddressSet>>>;

/** Rules by their addresses, so that one is held only against those it may share packets with. */
class Neighbours<T extends Statement> {
  readonly #meetings: Record<'sources' | 'destinations', Meetings>;
  readonly #users = { sources: new Map<AddressSet, Known<T>[]>(), destinations: new Map<AddressSet, Known<T>[]>() };

  /** @param rules all that will be added or asked of */
  constructor(rules: readonly T[]) {
    const of = (axis: 'sources' | 'destinations'): Meetings => {
      const sets = rules.map((rule) => rule[axis]);
      return { 4: meetings(sets, 4), 6: meetings(sets, 6) };
    };
    this.#meetings = { sources: of('sources'), destinations: of('destinations') };
  }

  add(known: Known<T>): void {
    for (const axis of ['sources', 'destinations'] as const) {
      const set = known.one.rule[axis];
      const users = this.#users[axis].get(set);
      if (users === undefined) this.#users[axis].set(set, [known]);
      else users.push(known);
    }
  }

  /** Those added that share packets with the rule. */
  *sharing(rule: T): Iterable<Known<T>> {
    for (const known of this.#fewest(rule)) if (this.#shares(known.one.rule, rule)) yield known;
  }

  /** Those that share sources, or those that share destinations, whichever are fewer. */
  #fewest(rule: T): Known<T>[] {
    const [a, b] = (['sources', 'destinations'] as const).map((axis) => {
      const { 4: four, 6: six } = this.#meetings[axis];
      const lists: Known<T>[][] = [];
      for (const set of four.get(rule[axis])!.union(six.get(rule[axis])!)) {
        const users = this.#users[axis].get(set);
        if (users !== undefined) lists.push(users);
      }
      return { lists, size: lists.reduce((sum, { length }) => sum + length, 0) };
    });
    return (a!.size < b!.size ? a! : b!).lists.flat();
  }

  #shares(a: T, b: T): boolean {
    if (a.tenants !== undefined && b.tenants?.isDisjointFrom(a.tenants) === true) return false;
    return families.some(
      (family) =>
        a.services.meets(b.services, family) &&
        this.#meet('sources', family, a, b) &&
        this.#meet('destinations', family, a, b),
    );
  }
  #meet(axis: 'sources' | 'destinations', family: Family, a: T, b: T): boolean {
    return this.#meetings[axis][family].get(a[axis])!.has(b[axis]);
  }
}
