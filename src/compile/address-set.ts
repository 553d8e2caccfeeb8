/** Sets of addresses of both IP versions, and how two of them lie to each other. */
import type { IpPrefix } from '../pipeline/stages/ports.ts';

export type Family = 4 | 6;

export const families: readonly Family[] = [4, 6];

/** How a set lies to another: whether they share anything, whether it is within the other, and the other within it. */
export type Relation = { meet: boolean; within: boolean; around: boolean };

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

  /** As far as single prefixes tell: a prefix covered by several others only together does not count as within. */
  relation(other: AddressSet, family: Family): Relation {
    const own = this.#prefixes[family];
    const others = other.#prefixes[family];
    if (other === this) return { meet: own.length > 0, within: true, around: true };
    const covered = count(own, other);
    const covering = count(others, this);
    return {
      meet: covered > 0 || covering > 0,
      within: covered === own.length,
      around: covering === others.length,
    };
  }
}

function count(prefixes: readonly IpPrefix[], by: AddressSet): number {
  let covered = 0;
  for (const prefix of prefixes) if (by.covers(prefix)) covered++;
  return covered;
}

/** The first `length` bits of the prefix, the others 0. */
function cut({ family, value, length: whole }: IpPrefix, length: number): number | bigint {
  if (length === whole) return value;
  if (family === 4) return length === 0 ? 0 : ((value >>> (32 - length)) << (32 - length)) >>> 0;
  const rest = BigInt(128 - length);
  return (value >> rest) << rest;
}
