/** The prefix of a network: a subnet of its own, and around all its tiers. */
import { contains, lastOf, parsePrefix } from '../addresses.ts';
import type { Concern } from './concern.ts';
import { judgeSubnet } from './prefixes.ts';

/** Longest and shortest prefix of a network. */
export const networkLengths = { shortest: 8, longest: 29 } as const;

export const networkPrefix: Concern<'network'> = {
  judge(spec, report) {
    judgeSubnet(spec.cidr, networkLengths.shortest, networkLengths.longest, '/cidr', report);
  },

  conclude({ state, writes }, draft, before, report) {
    if (before === undefined || before.spec.cidr === draft.spec.cidr) return;
    const prefix = parsePrefix(draft.spec.cidr)!;
    const tiers = state.prefixes.get(draft.path);
    const last = tiers?.last();
    if (tiers === undefined || last === undefined) return;
    // Tiers do not overlap: when the outermost two lie inside, all do.
    const end = lastOf(parsePrefix(state.getAs('tier', last[1])!.spec.cidr)!);
    if (contains(prefix, tiers.first()![0]) && contains(prefix, end)) return;
    for (const tier of state.children('tier', draft.path)) {
      // A tier of the same transaction tells it itself.
      if (writes(tier.path)) continue;
      const { base } = parsePrefix(tier.spec.cidr)!;
      if (!contains(prefix, base) || !contains(prefix, lastOf(parsePrefix(tier.spec.cidr)!)))
        report(
          '/cidr',
          'address.outside',
          `Tier ${tier.name} (${tier.spec.cidr}) would lie outside ${draft.spec.cidr}`,
        );
    }
  },
};
