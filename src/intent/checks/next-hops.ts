/** Next hops of static routes: addresses of ports, which therefore do not go while a route needs them. */
import { formatIp, hostPrefix, type Ip, isHost, parseAddressOrPrefix, parseIp } from '../ip.ts';
import type { Path, Resource } from '../model.ts';
import { equalJson } from '../spec.ts';
import type { State } from '../state.ts';
import type { Concern, Staging } from './concern.ts';

/** Whether a port has the address, to itself or as an allowed address pair. */
export function isOfPort(state: State, network: Path, ip: Ip): boolean {
  const holder = state.addresses.get(network)?.get(ip.value);
  if (holder !== undefined) return state.getAs('port', holder) !== undefined;
  return state.pairs.same(network, hostPrefix(ip)).next().done !== true;
}

/** A port that is needed as a next hop keeps its addresses, unless the route goes with them. */
export const neededHops: Concern<'port'> = {
  conclude(staging, draft, before, report) {
    if (before === undefined) return;
    const { ips, allowedAddressPairs } = draft.spec;
    const ipsAreSame = equalJson(ips, before.spec.ips);
    if (ipsAreSame && equalJson(allowedAddressPairs, before.spec.allowedAddressPairs)) return;
    for (const [route, ip] of stranded(staging, before)) {
      const member = before.spec.ips.includes(formatIp(ip)) ? 'ips' : 'allowedAddressPairs';
      report(`/${member}`, 'resource.in-use', `${formatIp(ip)} is the next hop of ${route}`);
    }
  },

  gone(staging, before, report) {
    for (const route of new Set([...stranded(staging, before)].map(([path]) => path)))
      report('', 'resource.in-use', route);
  },
};

/** Routes whose next hop was an address of this port and is of no port any more. */
function* stranded({ state, writes, isBroken }: Staging, { parent, spec }: Resource<'port'>): Iterable<[Path, Ip]> {
  const prefixes = [
    ...spec.ips.map((text) => hostPrefix(parseIp(text)!)),
    ...(spec.allowedAddressPairs ?? []).map(({ ip }) => parseAddressOrPrefix(ip)!),
  ];
  for (const prefix of prefixes) {
    if (!isHost(prefix) || isOfPort(state, parent, prefix)) continue;
    // A route of the same transaction tells it itself.
    for (const route of state.nextHops.same(parent, prefix))
      if (!writes(route) && !isBroken(route)) yield [route, prefix];
  }
}
