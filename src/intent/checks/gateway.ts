/** The gateway of a tier: a host address of its prefix that no port has; the first one when left out. */
import { contains, formatIpv4, lastOf, parseIpv4, parsePrefix, sizeOf } from '../addresses.ts';
import { release as releaseOffset, take as takeOffset } from '../free-addresses.ts';
import type { Resource } from '../model.ts';
import { newMap } from '../state.ts';
import type { Concern, Staging } from './concern.ts';
import { giveBackAddress, takeAddress } from './holders.ts';
import { judgeAddress } from './prefixes.ts';

export const gateway: Concern<'tier'> = {
  normalise(spec) {
    if (spec.gateway !== undefined) return;
    const prefix = parsePrefix(spec.cidr);
    if (prefix !== undefined) spec.gateway = formatIpv4(prefix.base + 1);
  },

  judge(spec, report) {
    const prefix = parsePrefix(spec.cidr);
    // Without a prefix there is no gateway either, and the prefix's error is told.
    if (spec.gateway === undefined || prefix === undefined) return;
    const address = judgeAddress(spec.gateway, '/gateway', report);
    if (address === undefined) return;
    if (!contains(prefix, address)) report('/gateway', 'address.outside', `${spec.gateway} is not inside ${spec.cidr}`);
    else if (address === prefix.base || address === lastOf(prefix))
      report('/gateway', 'address.invalid', `${spec.gateway} is ${endName(address === prefix.base)} of ${spec.cidr}`);
  },

  release(staging, before, after) {
    if (before.spec.gateway === after?.gateway) return;
    const { state, log } = staging;
    const address = parseIpv4(before.spec.gateway)!;
    giveBackAddress(state, log, before.parent, address);
    if (after === undefined) log.write(state.taken, before.path, undefined);
    else mark(staging, before, address, false);
  },

  claim(staging, draft, before, report) {
    if (before?.spec.gateway === draft.spec.gateway) return;
    const { state, log } = staging;
    const prefix = parsePrefix(draft.spec.cidr)!;
    const address = parseIpv4(draft.spec.gateway!)!;
    if (before === undefined) {
      const words = newMap<number, number>();
      log.write(state.taken, draft.path, words);
      takeOffset(log, words, sizeOf(prefix), 0);
      takeOffset(log, words, sizeOf(prefix), sizeOf(prefix) - 1);
    }
    const holder = takeAddress(state, log, draft.parent, address, draft.path);
    if (holder === undefined) mark(staging, draft, address, true);
    // An address two tiers claim is an overlap of the tiers, and told as such.
    else if (state.getAs('port', holder) !== undefined)
      report('/gateway', 'address.in-use', `${draft.spec.gateway} is taken by ${holder}`);
  },
};

/** The two addresses of a subnet no host may have (RFC 1122, 3.2.1.3). */
export function endName(first: boolean): string {
  return first ? 'the network address' : 'the broadcast address';
}

/** Marks an address of the tier as taken or free for those that are to be chosen. */
export function mark(
  { state, log }: Staging,
  tier: { path: string; spec: Pick<Resource<'tier'>['spec'], 'cidr'> },
  address: number,
  isTaken: boolean,
): void {
  const words = state.taken.get(tier.path);
  if (words === undefined) return;
  const prefix = parsePrefix(tier.spec.cidr)!;
  if (isTaken) takeOffset(log, words, sizeOf(prefix), address - prefix.base);
  else releaseOffset(log, words, sizeOf(prefix), address - prefix.base);
}
