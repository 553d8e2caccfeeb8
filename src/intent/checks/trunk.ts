/** Trunks: VLANs of a physical network that attachments draw from; each VLAN is of one trunk or of one provider network. */
import type { Resource } from '../model.ts';
import { formatNumberRange, largestVlan, overlappingIn, parseNumberRange, type Range } from '../ranges.ts';
import { SortedMap } from '../sorted.ts';
import { equalJson } from '../spec.ts';
import type { Concern } from './concern.ts';

export const trunkVlans: Concern<'trunk'> = {
  normalise(spec) {
    spec.vlans = spec.vlans.map((text) => {
      const range = parseNumberRange(text, largestVlan);
      return range === undefined ? text : formatNumberRange(range);
    });
  },

  judge(spec, report) {
    const known: Range[] = [];
    spec.vlans.forEach((text, i) => {
      const range = parseNumberRange(text, largestVlan);
      if (range === undefined)
        report(`/vlans/${i}`, 'vlan.invalid', `${text} is no VLAN of 1 to 4094, nor two with the lower one first`);
      else if (known.some(({ first, last }) => range.first <= last && first <= range.last))
        report(`/vlans/${i}`, 'vlan.invalid', `${text} overlaps another range of the trunk`);
      else known.push(range);
    });
  },

  release({ state, log }, { spec }, after) {
    if (equalJson(spec.vlans, after?.vlans)) return;
    for (const { first } of vlansOf(spec))
      log.writeIn(state.trunks, spec.physicalNetwork, () => new SortedMap(), first, undefined);
  },

  claim({ state, log }, draft, before, report) {
    if (equalJson(before?.spec.vlans, draft.spec.vlans)) return;
    const { physicalNetwork } = draft.spec;
    vlansOf(draft.spec).forEach((range, i) => {
      const text = `VLAN ${formatNumberRange(range)} of ${physicalNetwork}`;
      const other = overlappingIn(state.trunks.get(physicalNetwork), range);
      if (other !== undefined) {
        report(`/vlans/${i}`, 'trunk.overlap', `${text}: ${formatNumberRange(other)} are of ${other.path}`);
        return;
      }
      log.writeIn(state.trunks, physicalNetwork, () => new SortedMap(), range.first, {
        last: range.last,
        path: draft.path,
      });
      for (const [vlan, holder] of state.vlans.get(physicalNetwork)?.from(range.first) ?? []) {
        if (vlan > range.last) break;
        if (state.getAs('provider-network', holder) !== undefined)
          report(`/vlans/${i}`, 'vlan.in-use', `VLAN ${vlan} of ${physicalNetwork} is ${holder}`);
      }
    });
  },

  conclude({ state, writes }, draft, before, report) {
    if (before === undefined || equalJson(before.spec.vlans, draft.spec.vlans)) return;
    const ranges = vlansOf(draft.spec);
    for (const attachment of state.referrers(draft.path)) {
      if (attachment.kind !== 'vlan-attachment' || writes(attachment.path)) continue;
      const { vlan } = attachment.spec;
      if (!ranges.some(({ first, last }) => vlan >= first && vlan <= last))
        report('/vlans', 'resource.in-use', `${attachment.path} has VLAN ${vlan}`);
    }
  },
};

/** VLANs of a trunk, as it names them. */
export function vlansOf({ vlans }: Resource<'trunk'>['spec']): Range[] {
  return vlans.flatMap((text) => parseNumberRange(text, largestVlan) ?? []);
}
