/**
 * Static routes: one per destination, wider than any tier, to an address of a port. A packet for a tier never takes
 * one, so that a next hop in a tier is always reached; one outside the tiers must not be behind the route itself.
 */
import { canonicalIp, canonicalIpPrefix, containsIpPrefix, hostPrefix, isIn, parseIp, parseIpPrefix } from '../ip.ts';
import type { Path, Resource } from '../model.ts';
import type { State } from '../state.ts';
import { transitPrefix } from '../transit.ts';
import { cidrOf, prefixesOf } from '../versions.ts';
import type { Concern } from './concern.ts';
import { isOfPort } from './next-hops.ts';
import { peersAround } from './peers.ts';
import { judgeAddress, judgeMatch } from './prefixes.ts';
import { tiersAt } from './tier-families.ts';

type RouteSpec = Resource<'route'>['spec'];

export const routeMeaning: Concern<'route'> = {
  normalise(spec) {
    spec.destination = canonicalIpPrefix(spec.destination);
    spec.nextHop = canonicalIp(spec.nextHop);
  },

  judge(spec, report) {
    const destination = judgeMatch(spec.destination, '/destination', report);
    const nextHop = judgeAddress(spec.nextHop, '/nextHop', report, transitPrefix);
    if (destination !== undefined && nextHop !== undefined && destination.family !== nextHop.family)
      report('/nextHop', 'address.family-mismatch', `${spec.nextHop} and ${spec.destination} are of two IP versions`);
  },

  release({ state, log }, before, after) {
    if (after !== undefined && sameRoute(before.spec, after)) return;
    state.destinations.remove(log, before.parent, parseIpPrefix(before.spec.destination)!, before.path);
    state.nextHops.remove(log, before.parent, hostPrefix(parseIp(before.spec.nextHop)!), before.path);
  },

  claim({ state, log }, draft, before, report) {
    if (before !== undefined && sameRoute(before.spec, draft.spec)) return;
    const destination = parseIpPrefix(draft.spec.destination)!;
    for (const other of state.destinations.same(draft.parent, destination))
      report('/destination', 'address.overlap', `${draft.spec.destination} is the destination of ${other} too`);
    state.destinations.add(log, draft.parent, destination, draft.path);
    state.nextHops.add(log, draft.parent, hostPrefix(parseIp(draft.spec.nextHop)!), draft.path);
  },

  // Also when it is the same as before: the port may be another, and leave it to this one to tell.
  conclude({ state, restrictedAllowed }, draft, _, report) {
    const { parent, path, spec } = draft;
    const destination = parseIpPrefix(spec.destination)!;
    const nextHop = parseIp(spec.nextHop)!;
    // Of transit tiers a tenant knows nothing, and is told what is said of any link-local address.
    if (!restrictedAllowed && isIn(transitPrefix, nextHop)) {
      judgeAddress(spec.nextHop, '/nextHop', report);
      return;
    }
    const around = tiersAt(state, parent, destination).find((tier) =>
      prefixesOf(tier.spec).some((prefix) => containsIpPrefix(prefix, destination)),
    );
    const isBehindItself = (around !== undefined || isOutside(state, parent, spec)) && isIn(destination, nextHop);
    if (isBehindItself) report('/nextHop', 'route.loop', `${spec.nextHop} lies in ${spec.destination} itself`);
    else if (around !== undefined)
      report(
        '/destination',
        'address.overlap',
        `${spec.destination} lies in tier ${around.name} (${around.spec[cidrOf[destination.family]]})`,
      );
    for (const peer of peersAround(state, parent, destination))
      report(
        '/destination',
        'address.overlap',
        `${spec.destination} lies in ${peer}, which the network is peered with`,
      );
    const holder = state.addresses.get(parent)?.get(nextHop.value);
    if (!isOfPort(state, parent, nextHop))
      report(
        '/nextHop',
        'route.next-hop',
        holder === undefined
          ? `No port of the network has ${spec.nextHop}`
          : `${spec.nextHop} is the gateway of ${holder}`,
      );
    const back = isBehindItself ? undefined : loopFrom(state, parent, path, spec);
    if (back !== undefined)
      report('/nextHop', 'route.loop', `${spec.nextHop} is reached over ${back.join(', ')}, and that over this route`);
  },
};

function sameRoute(a: RouteSpec, b: RouteSpec): boolean {
  return a.destination === b.destination && a.nextHop === b.nextHop;
}

/** Whether the next hop lies outside the tiers. */
function isOutside(state: State, network: Path, { nextHop }: RouteSpec): boolean {
  return tiersAt(state, network, hostPrefix(parseIp(nextHop)!)).length === 0;
}

/** Routes over which the next hop is reached, where they lead back; looked at are those to next hops outside the tiers only. */
function loopFrom(state: State, network: Path, start: Path, spec: RouteSpec): Path[] | undefined {
  const seen = new Set<Path>();
  const search = (from: RouteSpec, way: Path[]): Path[] | undefined => {
    if (!isOutside(state, network, from)) return undefined;
    for (const { path } of state.destinations.around(network, hostPrefix(parseIp(from.nextHop)!))) {
      if (path === start) return way;
      if (seen.has(path)) continue;
      seen.add(path);
      const found = search(state.getAs('route', path)!.spec, [...way, path]);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  return search(spec, []);
}
