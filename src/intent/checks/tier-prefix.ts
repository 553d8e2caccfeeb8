/** The prefix of a tier: inside its network, apart from the other tiers. */
import { containsPrefix, overlaps, parsePrefix } from '../addresses.ts';
import { SortedMap } from '../sorted.ts';
import type { Concern } from './concern.ts';
import { judgeSubnet } from './prefixes.ts';

/** Longest and shortest prefix of a tier. */
export const tierLengths = { shortest: 8, longest: 30 } as const;

export const tierPrefix: Concern<'tier'> = {
  judge(spec, report) {
    judgeSubnet(spec.cidr, tierLengths.shortest, tierLengths.longest, '/cidr', report);
  },

  // It never changes.
  release({ state, log }, before, after) {
    if (after !== undefined) return;
    const { base } = parsePrefix(before.spec.cidr)!;
    log.writeIn(state.prefixes, before.parent, () => new SortedMap(), base, undefined);
  },

  claim({ state, log, isBroken }, draft, before, report) {
    const prefix = parsePrefix(draft.spec.cidr)!;
    const network = state.getAs('network', draft.parent);
    if (network !== undefined && !isBroken(network.path) && !containsPrefix(parsePrefix(network.spec.cidr)!, prefix))
      report('/cidr', 'address.outside', `${draft.spec.cidr} is not inside ${network.spec.cidr} of the network`);
    if (before !== undefined) return;
    const tiers = state.prefixes.get(draft.parent);
    // What overlaps begins at or below our first address, or is the next one above it.
    const neighbours = new Set([tiers?.floor(prefix.base)?.[1], tiers?.ceiling(prefix.base)?.[1]]);
    for (const path of neighbours) {
      const other = path === undefined ? undefined : state.getAs('tier', path);
      if (other === undefined || !overlaps(prefix, parsePrefix(other.spec.cidr)!)) continue;
      report('/cidr', 'address.overlap', `${draft.spec.cidr} overlaps tier ${other.name} (${other.spec.cidr})`);
    }
    if (tiers?.get(prefix.base) === undefined)
      log.writeIn(state.prefixes, draft.parent, () => new SortedMap(), prefix.base, draft.path);
  },
};
