/** Values that one resource alone may have: who has them. */
import { release as releaseOffset, take as takeOffset } from '../free-addresses.ts';
import { hostPrefix, type Ip, type IpPrefix, offsetIn } from '../ip.ts';
import type { Log } from '../log.ts';
import type { Path } from '../model.ts';
import { SortedMap } from '../sorted.ts';
import type { Holders, State } from '../state.ts';
import { newMap } from '../state.ts';
import { choiceIn } from './tier-families.ts';

/** Takes an address of a network. @returns the path that has it already, and nothing is taken then */
export function takeAddress(state: State, log: Log, network: Path, ip: Ip, path: Path): Path | undefined {
  const holder = state.addresses.get(network)?.get(ip.value) ?? anotherPair(state, network, ip, path);
  if (holder === undefined) log.writeIn(state.addresses, network, () => new SortedMap(), ip.value, path);
  return holder;
}

export function giveBackAddress(state: State, log: Log, network: Path, ip: Ip): void {
  log.writeIn(state.addresses, network, () => new SortedMap(), ip.value, undefined);
}

/** Another port that may use the address beside its own. */
function anotherPair(state: State, network: Path, ip: Ip, path: Path): Path | undefined {
  for (const found of state.pairs.around(network, hostPrefix(ip))) if (found.path !== path) return found.path;
  return undefined;
}

/** Marks an address of the tier as not to be chosen, or as free again where nobody has it any more. */
export function mark(
  state: State,
  log: Log,
  network: Path,
  tier: Path,
  prefix: IpPrefix,
  ip: Ip,
  taken: boolean,
): void {
  const words = state.taken[ip.family].get(tier);
  const offset = offsetIn(prefix, ip);
  const size = choiceIn(prefix);
  if (words === undefined || offset >= size) return;
  if (taken) takeOffset(log, words, size, offset);
  else if (isFree(state, network, ip)) releaseOffset(log, words, size, offset);
}

function isFree(state: State, network: Path, ip: Ip): boolean {
  return (
    state.addresses.get(network)?.get(ip.value) === undefined &&
    state.pairs.around(network, hostPrefix(ip)).next().done === true
  );
}

/** Takes a MAC of a tenant. @returns the path that has it already, and nothing is taken then */
export function takeMac(state: State, log: Log, tenant: Path, mac: number, path: Path): Path | undefined {
  for (const { port } of sharing(state, tenant, mac)) if (port !== path) return port;
  return takeIn(state.macs, log, tenant, mac, path);
}

export function giveBackMac(state: State, log: Log, tenant: Path, mac: number): void {
  log.writeIn(state.macs, tenant, newMap, mac, undefined);
}

/** Takes a MAC that other ports of the tier may have too. @returns the path that has it to itself, or in another tier */
export function shareMac(state: State, log: Log, tenant: Path, mac: number, port: Path, tier: Path): Path | undefined {
  const holder = state.macs.get(tenant)?.get(mac);
  if (holder !== undefined && holder !== port) return holder;
  for (const other of sharing(state, tenant, mac)) if (other.tier !== tier) return other.port;
  log.writeIn(state.sharedMacs, tenant, () => new SortedMap(), sharedKey(mac, port), tier);
  return undefined;
}

export function giveBackSharedMac(state: State, log: Log, tenant: Path, mac: number, port: Path): void {
  log.writeIn(state.sharedMacs, tenant, () => new SortedMap(), sharedKey(mac, port), undefined);
}

function* sharing(state: State, tenant: Path, mac: number): Generator<{ port: Path; tier: Path }, void, undefined> {
  const start = sharedKey(mac, '');
  for (const [key, tier] of state.sharedMacs.get(tenant)?.from(start) ?? []) {
    if (!key.startsWith(start)) return;
    yield { port: key.slice(start.length), tier };
  }
}

function sharedKey(mac: number, port: Path): string {
  return `${mac.toString(16).padStart(12, '0')} ${port}`;
}

/** Takes a value of the whole cloud. @returns the path that has it already, and nothing is taken then */
export function take<V>(table: Holders<V>, log: Log, value: V, path: Path): Path | undefined {
  const holder = table.get(value);
  if (holder === undefined) log.write(table, value, path);
  return holder;
}

function takeIn<V>(tables: Map<Path, Holders<V>>, log: Log, outer: Path, value: V, path: Path): Path | undefined {
  const holder = tables.get(outer)?.get(value);
  if (holder === undefined) log.writeIn(tables, outer, newMap, value, path);
  return holder;
}
