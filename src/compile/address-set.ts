/** Sets of addresses of both IP versions, and how they lie to each other. */
import type { IpPrefix } from '../pipeline/stages/ports.ts';

export type Family = 4 | 6;

export const families: readonly Family[] = [4, 6];

/** Made of prefixes; what another prefix of the set covers is left out. In an order that follows from its members alone. */
export class AddressSet {
  readonly #prefixes: Record<Family, IpPrefix[]> = { 4: [], 6: [] };
  /** Prefix length -> values. */
  readonly #values: Record<Family, Map<number, Set<number | bigint>>> = { 4: new Map(), 6: new Map() };

  constructor(prefixes: readonly IpPrefix[]) {
    // What covers another is shorter.
    const sorted = [...prefixes].sort((a, b) => a.length - b.length || (a.value < b.value ? -1 : 1));
    for (const prefix of sorted) {
      const { family, value, length } = prefix;
      if (this.covers(prefix)) continue;
      this.#prefixes[family].push(prefix);
      const known = this.#values[family].get(length);
      if (known === undefined) this.#values[family].set(length, new Set([value]));
      else known.add(value);
    }
  }

  of(family: Family): readonly IpPrefix[] {
    return this.#prefixes[family];
  }

  /** Whether it has every address of the version. */
  isAll(family: Family): boolean {
    return this.#values[family].has(0);
  }

  /** Whether one prefix of the set has all addresses of the one given. */
  covers(prefix: IpPrefix): boolean {
    for (const [length, values] of this.#values[prefix.family])
      if (length <= prefix.length && values.has(cut(prefix, length))) return true;
    return false;
  }

  /** As far as single prefixes tell: one that several of the other cover only together does not count as within. */
  isWithin(other: AddressSet, family: Family): boolean {
    return other === this || this.#prefixes[family].every((prefix) => other.covers(prefix));
  }
}

/**
 * Which of many sets share addresses: each with those, itself among them where it has any.
 * Costs the prefixes there are and what is found, not every pair of sets.
 */
export function meetings(sets: Iterable<AddressSet>, family: Family): Map<AddressSet, Set<AddressSet>> {
  const distinct = [...new Set(sets)];
  const owners = ownersOf(distinct, family);
  const found = new Map(distinct.map((set) => [set, new Set<AddressSet>()]));
  for (const [set, others] of found) {
    const seen = new Set<readonly AddressSet[]>();
    for (const prefix of set.of(family)) {
      for (const [length, ofLength] of owners) {
        const holders = length > prefix.length ? undefined : ofLength.get(cut(prefix, length));
        if (holders === undefined || seen.has(holders)) continue;
        seen.add(holders);
        for (const other of holders) {
          others.add(other);
          found.get(other)!.add(set);
        }
      }
    }
  }
  return found;
}

/** Prefix length -> value -> the sets that have the prefix. Prefixes of the same sets have one list. */
function ownersOf(sets: readonly AddressSet[], family: Family): Map<number, Map<number | bigint, AddressSet[]>> {
  const numbers = new Map<number, Map<number | bigint, number[]>>();
  sets.forEach((set, number) => {
    for (const { value, length } of set.of(family)) {
      let ofLength = numbers.get(length);
      if (ofLength === undefined) {
        ofLength = new Map();
        numbers.set(length, ofLength);
      }
      const known = ofLength.get(value);
      if (known === undefined) ofLength.set(value, [number]);
      else known.push(number);
    }
  });
  const lists = new Map<string, AddressSet[]>();
  const listOf = (of: readonly number[]): AddressSet[] => {
    const key = of.join();
    let list = lists.get(key);
    if (list === undefined) {
      list = of.map((number) => sets[number]!);
      lists.set(key, list);
    }
    return list;
  };
  return new Map(
    [...numbers].map(([length, ofLength]) => [
      length,
      new Map([...ofLength].map(([value, holders]) => [value, listOf(holders)])),
    ]),
  );
}

/** The first `length` bits of the prefix, the others 0. */
function cut({ family, value, length: whole }: IpPrefix, length: number): number | bigint {
  if (length === whole) return value;
  if (family === 4) return length === 0 ? 0 : ((value >>> (32 - length)) << (32 - length)) >>> 0;
  const rest = BigInt(128 - length);
  return (value >> rest) << rest;
}
