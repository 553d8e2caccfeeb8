/** Sets of addresses of both IP versions, and how they lie to each other. */
import { type Family, families } from '../intent/versions.ts';
import type { IpPrefix } from '../pipeline/stages/ports.ts';

type Value = IpPrefix['value'];

/** Prefix length -> values. */
type Values = Map<number, Set<Value>>;

/** As the fewest prefixes that are these addresses and no others, so that equal sets have equal prefixes, in one order. */
export class AddressSet {
  readonly #values: Record<Family, Values> = { 4: new Map(), 6: new Map() };
  readonly #prefixes: Record<Family, readonly IpPrefix[]>;

  constructor(prefixes: readonly IpPrefix[]) {
    // What covers another is shorter.
    for (const prefix of [...prefixes].sort((a, b) => a.length - b.length))
      if (!this.covers(prefix)) ofLength(this.#values[prefix.family], prefix.length).add(prefix.value);
    for (const family of families) joinHalves(this.#values[family]);
    this.#prefixes = { 4: sorted(4, this.#values[4]), 6: sorted(6, this.#values[6]) };
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

  isWithin(other: AddressSet, family: Family): boolean {
    return other === this || this.#prefixes[family].every((prefix) => other.covers(prefix));
  }
}

function ofLength(values: Values, length: number): Set<Value> {
  let known = values.get(length);
  if (known === undefined) {
    known = new Set();
    values.set(length, known);
  }
  return known;
}

/** One prefix for each two that are its halves, the longest first. None may lie within another. */
function joinHalves(values: Values): void {
  for (let length = Math.max(0, ...values.keys()); length > 0; length--) {
    const halves = values.get(length);
    if (halves === undefined) continue;
    for (const half of halves) {
      const other =
        typeof half === 'number' ? (half ^ (2 ** (32 - length))) >>> 0 : half ^ (1n << BigInt(128 - length));
      if (other < half || !halves.has(other)) continue;
      halves.delete(half);
      halves.delete(other);
      ofLength(values, length - 1).add(half);
    }
    if (halves.size === 0) values.delete(length);
  }
}

function sorted(family: Family, values: Values): IpPrefix[] {
  return [...values.keys()]
    .sort((a, b) => a - b)
    .flatMap((length) =>
      [...values.get(length)!].sort((a, b) => (a < b ? -1 : 1)).map((value) => ({ family, value, length }) as IpPrefix),
    );
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
