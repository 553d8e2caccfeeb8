/**
 * VLANs of attachments: of the trunk, one attachment each. Left out, the lowest that never was in use is taken, else the
 * least recently freed, and none before every switch has confirmed that it is gone there.
 */
import { vlanPool } from '../../store/ids.ts';
import type { Path, Resource } from '../model.ts';
import { formatPath } from '../path.ts';
import { isWithin } from '../ranges.ts';
import { SortedMap } from '../sorted.ts';
import type { State } from '../state.ts';
import type { Concern, Staging } from './concern.ts';
import { tierPath } from './tier-families.ts';
import { vlansOf } from './trunk.ts';

type Trunk = Resource<'trunk'>;

export const attachedVlan: Concern<'vlan-attachment'> = {
  // Neither trunk nor VLAN changes.
  release({ state, log, resting }, { spec }, after) {
    const trunk = trunkOf(state, spec.trunk);
    if (after !== undefined || trunk === undefined) return;
    const { physicalNetwork } = trunk.spec;
    log.writeIn(state.vlans, physicalNetwork, () => new SortedMap(), spec.vlan, undefined);
    resting?.free(vlanPool(physicalNetwork), spec.vlan);
  },

  claim(staging, draft, before, report) {
    const { state, resting, isBroken } = staging;
    const { vlan } = draft.spec;
    if (before !== undefined || vlan === undefined) return;
    const trunk = trunkOf(state, draft.spec.trunk);
    // That it is missing is told.
    if (trunk === undefined || isBroken(trunk.path)) return;
    const { physicalNetwork } = trunk.spec;
    const holder = state.vlans.get(physicalNetwork)?.get(vlan);
    if (!vlansOf(trunk.spec).some((range) => isWithin(range, vlan)))
      report('/vlan', 'vlan.outside', `VLAN ${vlan} is not among ${trunk.spec.vlans.join(', ')} of ${trunk.path}`);
    else if (holder !== undefined) report('/vlan', 'vlan.in-use', `VLAN ${vlan} is taken by ${holder}`);
    else if (resting?.claim(vlanPool(physicalNetwork), vlan) === false)
      report('/vlan', 'vlan.in-use', `VLAN ${vlan} was freed, and a switch has yet to confirm it`);
    else give(staging, draft.path, trunk, vlan);
  },

  fill(staging, draft, report) {
    const { state, isBroken } = staging;
    if (draft.spec.vlan !== undefined) return;
    const trunk = trunkOf(state, draft.spec.trunk);
    if (trunk === undefined || isBroken(trunk.path)) return;
    const vlan = unusedOf(staging, trunk) ?? freedOf(staging, trunk);
    if (vlan === undefined) {
      report('/trunk', 'vlan.exhausted', `No VLAN of ${trunk.path} (${trunk.spec.vlans.join(', ')}) is free`);
      return;
    }
    draft.spec.vlan = vlan;
    give(staging, draft.path, trunk, vlan);
  },

  conclude({ state, isBroken }, draft, _, report) {
    const tier = state.getAs('tier', tierPath(draft.parent, draft.spec.tier));
    if (tier === undefined || isBroken(tier.path) || tier.spec.providerNetwork === undefined) return;
    report('/tier', 'vlan-attachment.tier', `Tier ${tier.name} is on provider network ${tier.spec.providerNetwork}`);
  },
};

/** Devices: ports behind an attachment, which nobody but the operator tells of. */
export const device: Concern<'port'> = {
  judge(spec, report) {
    if (spec.attachment !== undefined && spec.hypervisors !== undefined)
      report('/hypervisors', 'request.invalid', 'A device behind an attachment is on no hypervisor');
  },

  claim(_, draft, before, report) {
    if (draft.spec.attachment === undefined || before !== undefined) return;
    for (const member of ['mac', 'ips'] as const)
      if (draft.spec[member] === undefined)
        report(`/${member}`, 'request.invalid', `A device behind an attachment has its ${member} already: name it`);
  },

  conclude({ state, isBroken }, draft, _, report) {
    if (draft.spec.attachment === undefined) return;
    const attachment = state.getAs(
      'vlan-attachment',
      formatPath('vlan-attachment', draft.parent, draft.spec.attachment),
    );
    if (attachment === undefined || isBroken(attachment.path) || attachment.spec.tier === draft.spec.tier) return;
    report('/attachment', 'port.attachment', `${attachment.path} joins tier ${attachment.spec.tier}`);
  },
};

function trunkOf(state: State, name: string): Trunk | undefined {
  return state.getAs('trunk', formatPath('trunk', '', name));
}

function give({ state, log }: Staging, to: Path, { spec }: Trunk, vlan: number): void {
  log.writeIn(state.vlans, spec.physicalNetwork, () => new SortedMap(), vlan, to);
}

/** The lowest that nobody has or has had since it was free. */
function unusedOf({ state, resting }: Staging, { spec }: Trunk): number | undefined {
  const held = state.vlans.get(spec.physicalNetwork);
  for (const { first, last } of vlansOf(spec).sort((a, b) => a.first - b.first))
    for (let vlan = first; vlan <= last; vlan++)
      if (held?.get(vlan) === undefined && resting?.isFreed(vlanPool(spec.physicalNetwork), vlan) === false)
        return vlan;
  return undefined;
}

function freedOf({ resting }: Staging, { spec }: Trunk): number | undefined {
  const ranges = vlansOf(spec);
  return resting?.claimFreed(vlanPool(spec.physicalNetwork), (vlan) => ranges.some((range) => isWithin(range, vlan)));
}
