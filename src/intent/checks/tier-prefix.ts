/** The prefixes of a tier: inside its network's, apart from the other tiers and from whatever else has addresses there. */
import {
  canonicalIpPrefix,
  containsIpPrefix,
  formatIpPrefix,
  type IpPrefix,
  lastIpOf,
  parseIpPrefix,
  prefixesOverlap,
} from '../ip.ts';
import type { Resource } from '../model.ts';
import { formatPath, tenantOf } from '../path.ts';
import { SortedMap } from '../sorted.ts';
import type { SpecOfKind } from '../spec.ts';
import type { State } from '../state.ts';
import { transitPrefix } from '../transit.ts';
import { cidrOf, families, prefixIn } from '../versions.ts';
import type { Concern, Draft } from './concern.ts';
import { judgeSubnet, type Lengths } from './prefixes.ts';
import { isOpenTo } from './provider-network.ts';
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
    const { cidr, prefixLength, providerNetwork, transit } = spec;
    if (cidr === undefined && (prefixLength === undefined || providerNetwork !== undefined))
      report(
        '/cidr',
        'request.invalid',
        `A tier needs cidr${providerNetwork === undefined ? ', or prefixLength' : ''}`,
      );
    if (cidr !== undefined && prefixLength !== undefined && parseIpPrefix(cidr)?.length !== prefixLength)
      report('/prefixLength', 'request.invalid', `${cidr} is no prefix of length ${prefixLength}`);
    if (providerNetwork !== undefined && transit === true)
      report('/transit', 'request.invalid', 'A tier on a provider network is no transit tier');
    if (spec.ipv6Cidr !== undefined && (providerNetwork !== undefined || transit === true))
      report('/ipv6Cidr', 'request.invalid', 'A tier on a provider network, and a transit tier, has IPv4 only');
    const except = transit === true ? transitPrefix : undefined;
    for (const family of families) {
      const text = spec[cidrOf[family]];
      if (text !== undefined) judgeSubnet(text, tierLengths[family], `/${cidrOf[family]}`, report, except);
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
        const fault = misplaced(network, draft.spec, prefix);
        if (fault !== undefined) report(field, fault.code, fault.is);
      }
      if (before?.spec[cidrOf[family]] !== undefined) continue;
      for (const other of overlapping(state, draft, prefix))
        report(field, 'address.overlap', `${text} overlaps ${other}`);
      if (state.prefixes.get(draft.parent)?.get(prefix.value) === undefined)
        log.writeIn(state.prefixes, draft.parent, () => new SortedMap(), prefix.value, draft.path);
    }
  },

  fill({ state, log, isBroken }, draft, report) {
    const { spec, parent, path } = draft;
    const network = state.getAs('network', parent);
    if (spec.cidr !== undefined || network === undefined || isBroken(network.path)) return;
    const around = spec.transit === true ? transitPrefix : prefixIn(network.spec, 4);
    const prefix = around && nextPrefix(state, draft, around, spec.prefixLength!);
    if (prefix === undefined) {
      const where = around === undefined ? 'the network' : formatIpPrefix(around);
      report('/prefixLength', 'address.exhausted', `No prefix of length ${spec.prefixLength} is free in ${where}`);
      return;
    }
    spec.cidr = formatIpPrefix(prefix);
    log.writeIn(state.prefixes, parent, () => new SortedMap(), prefix.value, path);
  },
};

/** On a provider network, for those whom the admin lets there. */
export const onProviderNetwork: Concern<'tier'> = {
  conclude({ state, restrictedAllowed, isBroken }, draft, before, report) {
    const { providerNetwork } = draft.spec;
    if (before !== undefined || providerNetwork === undefined) return;
    const path = formatPath('provider-network', '', providerNetwork);
    const found = state.getAs('provider-network', path);
    const tenant = tenantOf(draft.path)!;
    if (found === undefined || isBroken(path) || isOpenTo(found.spec, tenant)) return;
    // A tenant is told the same as of one there is not.
    if (restrictedAllowed) report('/providerNetwork', 'provider-network.not-open', `${path} is not open to ${tenant}`);
    else report('/providerNetwork', 'reference.dangling', `There is no ${path}`);
  },
};

/** Why a prefix of a tier cannot be where it is, as said of the tier and as said of the network; undefined: it can. */
export function misplaced(
  network: Pick<Resource<'network'>, 'name' | 'spec'>,
  tier: Readonly<SpecOfKind<'tier'>>,
  prefix: IpPrefix,
): { code: 'address.outside' | 'address.overlap'; is: string; would: string } | undefined {
  const around = prefixIn(network.spec, prefix.family);
  const text = formatIpPrefix(prefix);
  const of = around && formatIpPrefix(around);
  if (tier.transit === true) {
    const where = formatIpPrefix(transitPrefix);
    if (containsIpPrefix(transitPrefix, prefix)) return undefined;
    return {
      code: 'address.outside',
      is: `${text} is not inside ${where}, for transit tiers`,
      would: `lie outside ${where}`,
    };
  }
  if (tier.providerNetwork !== undefined) {
    if (around === undefined || !prefixesOverlap(around, prefix)) return undefined;
    return { code: 'address.overlap', is: `${text} overlaps ${of} of the network`, would: `overlap ${of}` };
  }
  if (around === undefined) {
    const member = cidrOf[prefix.family];
    const is = `${text}: network ${network.name} has no ${member}`;
    return { code: 'address.outside', is, would: `have ${member}, and the network none` };
  }
  if (containsIpPrefix(around, prefix)) return undefined;
  return { code: 'address.outside', is: `${text} is not inside ${of} of the network`, would: `lie outside ${of}` };
}

/** The first prefix of the length inside `around` that nothing else has; costs what lies before it. */
function nextPrefix(state: State, draft: Draft<'tier'>, around: IpPrefix, length: number): IpPrefix | undefined {
  if (around.family !== 4) return undefined;
  const size = 2 ** (32 - length);
  const end = (lastIpOf(around).value as number) + 1;
  for (let value = around.value; value + size <= end; ) {
    const prefix: IpPrefix = { family: 4, value, length };
    const last = lastTaken(state, draft, prefix);
    if (last === undefined) return prefix;
    value = Math.ceil((last + 1) / size) * size;
  }
  return undefined;
}

/** The last address of what overlaps the prefix, or its own last one where only a part is taken. */
function lastTaken(state: State, { parent }: Draft<'tier'>, prefix: IpPrefix): number | undefined {
  let last: number | undefined;
  for (const { spec } of tiersAt(state, parent, prefix)) {
    const taken = prefixIn(spec, 4);
    if (taken !== undefined) last = Math.max(last ?? 0, lastIpOf(taken).value as number);
  }
  if (last !== undefined) return last;
  for (const _ of state.pairs.overlapping(parent, prefix)) return lastIpOf(prefix).value as number;
  for (const _ of state.destinations.inside(parent, prefix)) return lastIpOf(prefix).value as number;
  return undefined;
}

function* overlapping(state: State, { path, parent }: Draft<'tier'>, prefix: IpPrefix): Iterable<string> {
  for (const tier of tiersAt(state, parent, prefix))
    if (tier.path !== path) yield `tier ${tier.name} (${tier.spec[cidrOf[prefix.family]]})`;
  for (const pair of state.pairs.overlapping(parent, prefix))
    yield `${formatIpPrefix(pair.prefix)}, an allowed address pair of ${pair.path}`;
  for (const { path: route } of state.destinations.inside(parent, prefix)) yield `the destination of ${route}`;
}
