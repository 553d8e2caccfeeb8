/** Reservations: ranges of a tier's addresses that no port has, and none is given. */
import { containsIpPrefix, hostPrefix, parseIpPrefix } from '../ip.ts';
import { formatIpv4Range, overlappingIn, parseIpv4Range } from '../ranges.ts';
import { SortedMap } from '../sorted.ts';
import type { Concern } from './concern.ts';
import { tierPath } from './tier-families.ts';

export const reservedRange: Concern<'reservation'> = {
  normalise(spec) {
    const range = parseIpv4Range(spec.range);
    if (range !== undefined) spec.range = formatIpv4Range(range);
  },

  judge(spec, report) {
    if (parseIpv4Range(spec.range) === undefined)
      report('/range', 'address.invalid', `${spec.range} is no address, nor two with the lower one first`);
  },

  release({ state, log }, before, after) {
    if (before.spec.range === after?.range) return;
    const tier = tierPath(before.parent, before.spec.tier);
    log.writeIn(state.reserved, tier, () => new SortedMap(), parseIpv4Range(before.spec.range)!.first, undefined);
  },

  claim({ state, log }, draft, before, report) {
    if (before?.spec.range === draft.spec.range) return;
    const tier = tierPath(draft.parent, draft.spec.tier);
    const { first, last } = parseIpv4Range(draft.spec.range)!;
    const other = overlappingIn(state.reserved.get(tier), { first, last });
    if (other !== undefined) report('/range', 'address.overlap', `${draft.spec.range} overlaps ${other.path}`);
    else log.writeIn(state.reserved, tier, () => new SortedMap(), first, { last, path: draft.path });
  },

  conclude({ state, isBroken }, draft, before, report) {
    const tier = state.getAs('tier', tierPath(draft.parent, draft.spec.tier));
    // That it is missing is told.
    if (tier === undefined || isBroken(tier.path) || before?.spec.range === draft.spec.range) return;
    const { first, last } = parseIpv4Range(draft.spec.range)!;
    const prefix = parseIpPrefix(tier.spec.cidr);
    const within = (value: number) =>
      prefix === undefined || containsIpPrefix(prefix, hostPrefix({ family: 4, value }));
    if (!within(first) || !within(last)) {
      report('/range', 'address.outside', `${draft.spec.range} is not inside ${tier.spec.cidr} of tier ${tier.name}`);
      return;
    }
    for (const [value, holder] of state.addresses.get(draft.parent)?.from(first) ?? []) {
      if (value > last) break;
      if (state.getAs('port', holder) === undefined) continue;
      report('/range', 'address.in-use', `${draft.spec.range} has an address of ${holder}`);
      break;
    }
  },
};
