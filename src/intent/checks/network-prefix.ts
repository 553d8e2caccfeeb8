/** The prefixes of a network: subnets of its own, and around all its tiers. */
import { canonicalIpPrefix, containsIpPrefix } from '../ip.ts';
import type { Path, Resource } from '../model.ts';
import type { State } from '../state.ts';
import { cidrOf, type Family, families, prefixIn } from '../versions.ts';
import type { Concern } from './concern.ts';
import { judgeSubnet, type Lengths } from './prefixes.ts';
import { misplaced } from './tier-prefix.ts';

/** Longest and shortest prefix of a network. */
export const networkLengths: Readonly<Record<Family, Lengths>> = {
  4: { shortest: 8, longest: 29 },
  6: { shortest: 16, longest: 126 },
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
      if (before.spec[member] === text || allInside(state, draft.path, draft.spec, family)) continue;
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

/** Tiers do not overlap: when the outermost two lie inside, all do, and none is meant to lie outside. */
function allInside(state: State, network: Path, spec: Resource<'network'>['spec'], family: Family): boolean {
  const tiers = state.prefixes.get(network);
  const [lowest, highest] = family === 4 ? [0, 2 ** 32 - 1] : [2n ** 32n, 2n ** 128n - 1n];
  const outermost = [tiers?.ceiling(lowest)?.[1], tiers?.floor(highest)?.[1]];
  const prefix = prefixIn(spec, family);
  return outermost.every((path) => {
    const tier = path === undefined ? undefined : state.getAs('tier', path);
    const inner = tier && prefixIn(tier.spec, family);
    return inner === undefined || (prefix !== undefined && containsIpPrefix(prefix, inner));
  });
}
