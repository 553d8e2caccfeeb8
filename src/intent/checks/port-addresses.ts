/**
 * IPs of a port: host addresses of its tier, unique in the network; of each IP version the tier has, the lowest free one
 * when left out.
 */
import { nextFree, type Words } from '../free-addresses.ts';
import { canonicalIp, formatIp, type IpPrefix, ipAt, isIn, parseIp } from '../ip.ts';
import type { Resource } from '../model.ts';
import { rangeAt } from '../ranges.ts';
import { equalJson } from '../spec.ts';
import type { State } from '../state.ts';
import { transitPrefix } from '../transit.ts';
import { cidrOf, families, prefixIn } from '../versions.ts';
import type { Concern } from './concern.ts';
import { giveBackAddress, mark, takeAddress } from './holders.ts';
import { isTakenOutside } from './on-provider.ts';
import { judgeAddress } from './prefixes.ts';
import { choiceIn, endName, heldBy, tierPath } from './tier-families.ts';

export const portAddresses: Concern<'port'> = {
  normalise(spec) {
    if (spec.ips !== undefined) spec.ips = spec.ips.map(canonicalIp);
  },

  judge(spec, report) {
    spec.ips?.forEach((ip, i) => {
      judgeAddress(ip, `/ips/${i}`, report, transitPrefix);
      if (spec.ips!.indexOf(ip) < i) report(`/ips/${i}`, 'request.invalid', `${ip} is there twice`);
    });
  },

  release({ state, log }, before, after) {
    if (equalJson(before.spec.ips, after?.ips)) return;
    const tier = state.getAs('tier', tierPath(before.parent, before.spec.tier));
    for (const text of before.spec.ips) {
      const ip = parseIp(text)!;
      giveBackAddress(state, log, before.parent, ip);
      const prefix = tier && prefixIn(tier.spec, ip.family);
      if (prefix !== undefined) mark(state, log, before.parent, tier!.path, prefix, ip, false);
    }
  },

  claim({ state, log, isBroken }, draft, before, report) {
    if (equalJson(before?.spec.ips, draft.spec.ips)) return;
    const tier = state.getAs('tier', tierPath(draft.parent, draft.spec.tier));
    // Without its tier there is nothing to judge by; that the reference dangles is told.
    if (draft.spec.ips === undefined || tier === undefined || isBroken(tier.path)) return;
    draft.spec.ips.forEach((text, i) => {
      const ip = parseIp(text)!;
      const prefix = prefixIn(tier.spec, ip.family);
      const field = `/ips/${i}`;
      if (prefix === undefined) {
        const chosen = ip.family === 4 && tier.spec.prefixLength !== undefined;
        const why = chosen ? 'is given its cidr only now: name it, or leave ips out' : `has no ${cidrOf[ip.family]}`;
        report(field, 'address.outside', `${text}: tier ${tier.name} ${why}`);
        return;
      }
      const cidr = tier.spec[cidrOf[ip.family]];
      const end = endName(prefix, ip);
      if (!isIn(prefix, ip)) {
        report(field, 'address.outside', `${text} is not inside ${cidr} of tier ${tier.name}`);
      } else if (end !== undefined) {
        report(field, 'address.invalid', `${text} is ${end} of tier ${tier.name} (${cidr})`);
      } else {
        const reserved = ip.family === 4 ? rangeAt(state.reserved.get(tier.path), ip.value) : undefined;
        const holder = takeAddress(state, log, draft.parent, ip, draft.path);
        if (reserved !== undefined && holder === undefined)
          report(field, 'address.reserved', `${text} is reserved by ${reserved.path}`);
        if (holder === undefined) mark(state, log, draft.parent, tier.path, prefix, ip, true);
        else report(field, 'address.in-use', heldBy(state, ip, holder));
      }
    });
  },

  fill({ state, log, isBroken }, draft, report) {
    if (draft.spec.ips !== undefined) return;
    const tier = state.getAs('tier', tierPath(draft.parent, draft.spec.tier));
    if (tier === undefined || isBroken(tier.path)) return;
    const ips: string[] = [];
    for (const family of families) {
      const prefix = prefixIn(tier.spec, family);
      const words = state.taken[family].get(tier.path);
      if (prefix === undefined || words === undefined) continue;
      const offset = lowestUnreserved(state, tier, words, prefix);
      if (offset === undefined) {
        report('/ips', 'address.exhausted', `No address is free in tier ${tier.name} (${tier.spec[cidrOf[family]]})`);
        continue;
      }
      const ip = ipAt(prefix, offset);
      takeAddress(state, log, draft.parent, ip, draft.path);
      mark(state, log, draft.parent, tier.path, prefix, ip, true);
      ips.push(formatIp(ip));
    }
    if (ips.length > 0) draft.spec.ips = ips;
  },
};

/**
 * The lowest address that is free and of no reservation, as its offset; costs the reservations it passes, and what
 * others have on the same provider network.
 */
function lowestUnreserved(
  state: State,
  { path, spec }: Resource<'tier'>,
  words: Words,
  prefix: IpPrefix,
): number | undefined {
  const size = choiceIn(prefix);
  const ranges = prefix.family === 4 ? state.reserved.get(path) : undefined;
  let offset = nextFree(words, size, 0);
  const first = Number(prefix.value);
  while (prefix.family === 4 && offset !== undefined) {
    const reserved = rangeAt(ranges, first + offset);
    if (reserved !== undefined) offset = nextFree(words, size, reserved.last + 1 - first);
    else if (isTakenOutside(state, spec, first + offset)) offset = nextFree(words, size, offset + 1);
    else break;
  }
  return offset;
}
