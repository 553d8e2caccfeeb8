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
import { type AddressSet, type Family, families, type Relation } from './address-set.ts';
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
  const relations = new Relations();
  const speaking: T[] = [];
  for (const rule of [...rules].sort((a, b) => a.id - b.id)) {
    if (families.every((family) => isSilent(rule, family))) continue;
    if (!speaking.some((lower) => relations.within(rule, lower))) speaking.push(rule);
  }
  const levels: number[] = [];
  const placed: Placed<T>[] = [];
  for (const rule of speaking) {
    const one: Placed<T> = { rule, inBucket: true, behind: false, level: undefined };
    let level = 1;
    placed.forEach((lower, at) => {
      if (!relations.meet(lower.rule, rule)) return;
      one.behind = true;
      lower.level = levels[at]!;
      level = Math.max(level, lower.level + 1);
      if (relations.within(lower.rule, rule)) lower.inBucket = false;
    });
    levels.push(level);
    placed.push(one);
  }
  return placed;
}

/** Whether there are no packets of that IP version that the rule speaks of. */
export function isSilent({ sources, destinations, services }: Statement, family: Family): boolean {
  return sources.of(family).length === 0 || destinations.of(family).length === 0 || services.of(family).length === 0;
}

/** Relations of pairs of rules. Rules of a bucket share most of their sets, so each pair of sets is looked at once. */
class Relations {
  readonly #numbers = new Map<AddressSet | string, number>();
  readonly #known: Record<Family, Map<number, Relation>> = { 4: new Map(), 6: new Map() };

  meet(a: Statement, b: Statement): boolean {
    if (a.tenants !== undefined && b.tenants?.isDisjointFrom(a.tenants) === true) return false;
    return families.some(
      (family) =>
        this.#addresses(a.sources, b.sources, family).meet &&
        this.#addresses(a.destinations, b.destinations, family).meet &&
        this.#services(a.services, b.services, family).meet,
    );
  }

  /** Whether every packet `a` speaks of is one of `b`. Where that can't be told from single prefixes: no. */
  within(a: Statement, b: Statement): boolean {
    if (b.tenants !== undefined && a.tenants?.isSubsetOf(b.tenants) !== true) return false;
    return families.every(
      (family) =>
        isSilent(a, family) ||
        (this.#addresses(a.sources, b.sources, family).within &&
          this.#addresses(a.destinations, b.destinations, family).within &&
          this.#services(a.services, b.services, family).within),
    );
  }

  #addresses(a: AddressSet, b: AddressSet, family: Family): Relation {
    return this.#relation(a, b, family, () => a.relation(b, family));
  }

  #services(a: ServiceSet, b: ServiceSet, family: Family): Relation {
    return this.#relation(a.key, b.key, family, () => a.relation(b, family));
  }

  #relation(a: AddressSet | string, b: AddressSet | string, family: Family, look: () => Relation): Relation {
    // Sets of a bucket are numbered from 0: far fewer than 2^26.
    const pair = this.#number(a) * 2 ** 26 + this.#number(b);
    let relation = this.#known[family].get(pair);
    if (relation === undefined) {
      relation = look();
      this.#known[family].set(pair, relation);
    }
    return relation;
  }

  #number(set: AddressSet | string): number {
    let number = this.#numbers.get(set);
    if (number === undefined) {
      number = this.#numbers.size;
      this.#numbers.set(set, number);
    }
    return number;
  }
}
