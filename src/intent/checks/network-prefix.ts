/** The prefixes of a network: subnets of its own, and around all its tiers. */
import { canonicalIp, canonicalIpPrefix } from '../ip.ts';
import { cidrOf, type Family, families, prefixIn } from '../versions.ts';
import type { Concern } from './concern.ts';
import { judgeAddress, judgeSubnet, type Lengths } from './prefixes.ts';
import { misplaced } from './tier-prefix.ts';

/** Longest and shortest prefix of a network. */
export const networkLengths: Readonly<Record<Family, Lengths>> = {
  4: { shortest: 8, longest: 29 },
  6: { shortest: 16, longest: 126 },
};

/** Resolvers a gateway host asks: addresses of hosts. */
export const resolvers: Concern<'network'> = {
  normalise(spec) {
    spec.dnsServers?.forEach((text, i, all) => {
      all[i] = canonicalIp(text);
    });
  },

  judge(spec, report) {
    spec.dnsServers?.forEach((text, i) => void judgeAddress(text, `/dnsServers/${i}`, report));
  },
};

export const networkPrefix: Concern<'network'> = {
  normalise(spec) {
    if (spec.ipv6Cidr !== undefined) spec.ipv6Cidr = canonicalIpPrefix(spec.ipv6Cidr);
  },

  judge(spec, report) {
    for (const family of families) {
      const text = spec[cidrOf[family]];
      if (text !== undefined) judgeSubnet(text, networkLengths[family], `/${cidrOf[family]}`, report);
    }
  },

  conclude({ state, writes }, draft, before, report) {
    if (before === undefined) return;
    for (const family of families) {
      const member = cidrOf[family];
      const text = draft.spec[member];
      if (before.spec[member] === text) continue;
      for (const tier of state.children('tier', draft.path)) {
        // A tier of the same transaction tells it itself.
        if (writes(tier.path)) continue;
        const inner = prefixIn(tier.spec, family);
        const fault = inner && misplaced(draft, tier.spec, inner);
        if (fault !== undefined)
          report(`/${member}`, fault.code, `Tier ${tier.name} (${tier.spec[member]}) would ${fault.would}`);
      }
    }
  },
};
