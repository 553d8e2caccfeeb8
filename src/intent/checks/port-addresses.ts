/** IPs of a port: host addresses of its tier, unique in the network; the lowest free one when left out. */
import { contains, formatIpv4, lastOf, parseIpv4, parsePrefix, sizeOf } from '../addresses.ts';
import { lowestFree } from '../free-addresses.ts';
import type { Path, Resource } from '../model.ts';
import { formatPath } from '../path.ts';
import { equalJson } from '../spec.ts';
import type { State } from '../state.ts';
import type { Concern } from './concern.ts';
import { endName, mark } from './gateway.ts';
import { giveBackAddress, takeAddress } from './holders.ts';
import { judgeAddress } from './prefixes.ts';

export const portAddresses: Concern<'port'> = {
  judge(spec, report) {
    spec.ips?.forEach((ip, i) => {
      judgeAddress(ip, `/ips/${i}`, report);
    });
  },

  release(staging, before, after) {
    if (equalJson(before.spec.ips, after?.ips)) return;
    const tier = tierOf(staging.state, before.parent, before.spec.tier);
    for (const ip of before.spec.ips) {
      const address = parseIpv4(ip)!;
      giveBackAddress(staging.state, staging.log, before.parent, address);
      if (tier !== undefined) mark(staging, tier, address, false);
    }
  },

  claim(staging, draft, before, report) {
    if (equalJson(before?.spec.ips, draft.spec.ips)) return;
    const { state, log } = staging;
    const tier = tierOf(state, draft.parent, draft.spec.tier);
    // Without its tier there is nothing to judge by; that the reference dangles is told.
    if (draft.spec.ips === undefined || tier === undefined || staging.isBroken(tier.path)) return;
    const prefix = parsePrefix(tier.spec.cidr)!;
    draft.spec.ips.forEach((ip, i) => {
      const address = parseIpv4(ip)!;
      const field = `/ips/${i}`;
      if (!contains(prefix, address)) {
        report(field, 'address.outside', `${ip} is not inside ${tier.spec.cidr} of tier ${tier.name}`);
      } else if (address === prefix.base || address === lastOf(prefix)) {
        const end = endName(address === prefix.base);
        report(field, 'address.invalid', `${ip} is ${end} of tier ${tier.name} (${tier.spec.cidr})`);
      } else {
        const holder = takeAddress(state, log, draft.parent, address, draft.path);
        if (holder === undefined) mark(staging, tier, address, true);
        else report(field, 'address.in-use', `${ip} ${heldBy(state, holder)}`);
      }
    });
  },

  fill(staging, draft, report) {
    if (draft.spec.ips !== undefined) return;
    const { state, log } = staging;
    const tier = tierOf(state, draft.parent, draft.spec.tier);
    const words = tier && state.taken.get(tier.path);
    if (tier === undefined || words === undefined || staging.isBroken(tier.path)) return;
    const prefix = parsePrefix(tier.spec.cidr)!;
    const offset = lowestFree(words, sizeOf(prefix));
    if (offset === undefined) {
      report('/ips', 'address.exhausted', `No address is free in tier ${tier.name} (${tier.spec.cidr})`);
      return;
    }
    takeAddress(state, log, draft.parent, prefix.base + offset, draft.path);
    mark(staging, tier, prefix.base + offset, true);
    draft.spec.ips = [formatIpv4(prefix.base + offset)];
  },
};

function tierOf(state: State, network: Path, name: string): Resource<'tier'> | undefined {
  return state.getAs('tier', formatPath('tier', network, name));
}

function heldBy(state: State, holder: Path): string {
  const tier = state.getAs('tier', holder);
  return tier === undefined ? `is taken by ${holder}` : `is the gateway of tier ${tier.name}`;
}
