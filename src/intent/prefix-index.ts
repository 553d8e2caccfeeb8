/**
 * Who has which prefix, network by network: several may have the same one, and they may lie in each other. What lies in
 * a prefix is found in the order of its addresses, what a prefix lies in by the lengths there are.
 */
import { bitsOf, hostPrefix, type IpPrefix, lastIpOf, prefixOf } from './ip.ts';
import type { Log } from './log.ts';
import type { Path } from './model.ts';
import { SortedMap } from './sorted.ts';

type Found = { prefix: IpPrefix; path: Path };

export class PrefixIndex {
  readonly byAddress = new Map<Path, SortedMap<string, Found>>();
  /** How many prefixes there are of each length; IPv6 after the 33 lengths of IPv4. */
  readonly lengths = new Map<Path, Map<number, number>>();

  /** Each only once. */
  add(log: Log, network: Path, prefix: IpPrefix, path: Path): void {
    const key = keyOf(prefix, path);
    if (this.byAddress.get(network)?.get(key) !== undefined) return;
    log.writeIn(this.byAddress, network, () => new SortedMap(), key, { prefix, path });
    this.#count(log, network, prefix, 1);
  }

  remove(log: Log, network: Path, prefix: IpPrefix, path: Path): void {
    const key = keyOf(prefix, path);
    if (this.byAddress.get(network)?.get(key) === undefined) return;
    log.writeIn(this.byAddress, network, () => new SortedMap(), key, undefined);
    this.#count(log, network, prefix, -1);
  }

  /** Those who have exactly this one. */
  *same(network: Path, prefix: IpPrefix): Generator<Path, void, undefined> {
    const start = startOf(prefix);
    for (const [key, { path }] of this.byAddress.get(network)?.from(start) ?? []) {
      if (!key.startsWith(start)) return;
      yield path;
    }
  }

  /** Those that contain the prefix, this one itself among them. */
  *around(network: Path, prefix: IpPrefix): Generator<Found, void, undefined> {
    const [shortest, longest] = [lengthKey({ ...prefix, length: 0 }), lengthKey(prefix)];
    for (const key of this.lengths.get(network)?.keys() ?? []) {
      if (key < shortest || key > longest) continue;
      const outer = prefixOf(prefix, key - shortest);
      for (const path of this.same(network, outer)) yield { prefix: outer, path };
    }
  }

  /** Those that lie in the prefix, this one itself among them. */
  *inside(network: Path, prefix: IpPrefix): Generator<Found, void, undefined> {
    const end = startOf({ ...hostPrefix(lastIpOf(prefix)), length: bitsOf(prefix) });
    for (const [key, found] of this.byAddress.get(network)?.from(addressKey(prefix)) ?? []) {
      if (key > end && !key.startsWith(end)) return;
      // Wider ones begin at the same address.
      if (found.prefix.length >= prefix.length) yield found;
    }
  }

  *overlapping(network: Path, prefix: IpPrefix): Generator<Found, void, undefined> {
    for (const found of this.around(network, prefix)) if (found.prefix.length < prefix.length) yield found;
    yield* this.inside(network, prefix);
  }

  #count(log: Log, network: Path, prefix: IpPrefix, step: number): void {
    const key = lengthKey(prefix);
    const count = (this.lengths.get(network)?.get(key) ?? 0) + step;
    log.writeIn(this.lengths, network, () => new Map(), key, count === 0 ? undefined : count);
  }
}

function lengthKey({ family, length }: IpPrefix): number {
  return family === 4 ? length : 33 + length;
}

/** Sorts by version, then by number. */
function addressKey({ family, value }: IpPrefix): string {
  return `${family}${value.toString(16).padStart(family === 4 ? 8 : 32, '0')}`;
}

function startOf(prefix: IpPrefix): string {
  return `${addressKey(prefix)}/${String(prefix.length).padStart(3, '0')} `;
}

function keyOf(prefix: IpPrefix, path: Path): string {
  return startOf(prefix) + path;
}
