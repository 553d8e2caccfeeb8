/** Addresses of a tier: which are not for hosts, which can be chosen, and who has one. */
import { formatIp, type Ip, type IpPrefix, lastIpOf, offsetIn, prefixesOverlap } from '../ip.ts';
import type { Path, Resource } from '../model.ts';
import { formatPath } from '../path.ts';
import type { State } from '../state.ts';
import { prefixesOf } from '../versions.ts';

/** Why no host of the prefix may have the address (RFC 1122, 3.2.1.3; RFC 4291, 2.6.1); undefined: it may. */
export function endName(prefix: IpPrefix, ip: Ip): string | undefined {
  if (ip.value === prefix.value) return ip.family === 4 ? 'the network address' : 'the subnet-router anycast address';
  if (ip.family === 4 && ip.value === lastIpOf(prefix).value) return 'the broadcast address';
  return undefined;
}

/** Addresses of a prefix that can be chosen: of a larger one, the first. What lies further may be asked for. */
const choice = 2 ** 24;

/** How many addresses of the prefix can be chosen. */
export function choiceIn(prefix: IpPrefix): number {
  return Math.min(offsetIn(prefix, lastIpOf(prefix)) + 1, choice);
}

/**
 * Tiers with a prefix that overlaps this one: where there are several, two of them. What overlaps begins at or below
 * our first address, or is the next one above it.
 */
export function tiersAt(state: State, network: Path, prefix: IpPrefix): Resource<'tier'>[] {
  const tiers = state.prefixes.get(network);
  const neighbours = new Set([tiers?.floor(prefix.value)?.[1], tiers?.ceiling(prefix.value)?.[1]]);
  return [...neighbours]
    .flatMap((path) => (path === undefined ? [] : (state.getAs('tier', path) ?? [])))
    .filter(({ spec }) => prefixesOf(spec).some((other) => prefixesOverlap(other, prefix)));
}

export function tierPath(network: Path, name: string): Path {
  return formatPath('tier', network, name);
}

/** As it is shown: the address with the name of what holds it. */
export function heldBy(state: State, ip: Ip, holder: Path): string {
  const tier = state.getAs('tier', holder);
  return tier === undefined
    ? `${formatIp(ip)} is taken by ${holder}`
    : `${formatIp(ip)} is the gateway of tier ${tier.name}`;
}
