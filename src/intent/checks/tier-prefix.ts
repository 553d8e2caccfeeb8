/** The prefixes of a tier: inside its network's, apart from the other tiers and from whatever else has addresses there. */
import { canonicalIpPrefix, containsIpPrefix, formatIpPrefix, type IpPrefix } from '../ip.ts';
import { SortedMap } from '../sorted.ts';
import type { State } from '../state.ts';
import { cidrOf, families, prefixIn } from '../versions.ts';
import type { Concern, Draft } from './concern.ts';
import { judgeSubnet, type Lengths } from './prefixes.ts';
import { tiersAt } from './tier-families.ts';

/**
 * Longest and shortest prefix of a tier. In IPv6, interface identifiers have 64 bits (RFC 4291, 2.5.1), so that nobody
 * needs more than a /64; a /126 has a gateway and two hosts, as an IPv4 /30 has one.
 */
export const tierLengths: Readonly<Record<4 | 6, Lengths>> = {
  4: { shortest: 8, longest: 30 },
  6: { shortest: 64, longest: 126 },
};

export const tierPrefix: Concern<'tier'> = {
  normalise(spec) {
    if (spec.ipv6Cidr !== undefined) spec.ipv6Cidr = canonicalIpPrefix(spec.ipv6Cidr);
  },

  judge(spec, report) {
    for (const family of families) {
      const text = spec[cidrOf[family]];
      if (text !== undefined) judgeSubnet(text, tierLengths[family], `/${cidrOf[family]}`, report);
    }
  },

  // What is there never changes.
  release({ state, log }, before, after) {
    if (after !== undefined) return;
    for (const family of families) {
      const prefix = prefixIn(before.spec, family);
      if (prefix !== undefined)
        log.writeIn(state.prefixes, before.parent, () => new SortedMap(), prefix.value, undefined);
    }
  },

  claim({ state, log, isBroken }, draft, before, report) {
    const network = state.getAs('network', draft.parent);
    for (const family of families) {
      const prefix = prefixIn(draft.spec, family);
      if (prefix === undefined) continue;
      const field = `/${cidrOf[family]}`;
      const text = draft.spec[cidrOf[family]]!;
      if (network !== undefined && !isBroken(network.path)) {
        const around = prefixIn(network.spec, family);
        if (around === undefined)
          report(field, 'address.outside', `${text}: network ${network.name} has no ${cidrOf[family]}`);
        else if (!containsIpPrefix(around, prefix))
          report(field, 'address.outside', `${text} is not inside ${formatIpPrefix(around)} of the network`);
      }
      if (before?.spec[cidrOf[family]] !== undefined) continue;
      for (const other of overlapping(state, draft, prefix))
        report(field, 'address.overlap', `${text} overlaps ${other}`);
      if (state.prefixes.get(draft.parent)?.get(prefix.value) === undefined)
        log.writeIn(state.prefixes, draft.parent, () => new SortedMap(), prefix.value, draft.path);
    }
  },
};

function* overlapping(state: State, { path, parent }: Draft<'tier'>, prefix: IpPrefix): Iterable<string> {
  for (const tier of tiersAt(state, parent, prefix))
    if (tier.path !== path) yield `tier ${tier.name} (${tier.spec[cidrOf[prefix.family]]})`;
  for (const pair of state.pairs.overlapping(parent, prefix))
    yield `${formatIpPrefix(pair.prefix)}, an allowed address pair of ${pair.path}`;
  for (const { path: route } of state.destinations.inside(parent, prefix)) yield `the destination of ${route}`;
}
