/** The gateways of a tier, one of each IP version: a host address of its prefix that no port has; the first one when left out. */
import { take as takeOffset } from '../free-addresses.ts';
import { canonicalIp, formatIp, ipAt, isIn, parseIp } from '../ip.ts';
import type { Resource } from '../model.ts';
import { newMap } from '../state.ts';
import { transitPrefix } from '../transit.ts';
import { cidrOf, type Family, families, gatewayOf, prefixIn } from '../versions.ts';
import type { Concern, Draft, Report, Staging } from './concern.ts';
import { giveBackAddress, mark, takeAddress } from './holders.ts';
import { judgeAddress } from './prefixes.ts';
import { choiceIn, endName } from './tier-families.ts';

export const gateway: Concern<'tier'> = {
  normalise(spec) {
    for (const family of families) {
      const asked = spec[gatewayOf[family]];
      const prefix = prefixIn(spec, family);
      if (asked !== undefined) spec[gatewayOf[family]] = canonicalIp(asked);
      else if (prefix !== undefined) spec[gatewayOf[family]] = formatIp(ipAt(prefix, 1));
    }
  },

  judge(spec, report) {
    for (const family of families) {
      const text = spec[gatewayOf[family]];
      const field = `/${gatewayOf[family]}`;
      if (text === undefined) continue;
      if (spec[cidrOf[family]] === undefined) report(field, 'request.invalid', `A gateway needs ${cidrOf[family]}`);
      const prefix = prefixIn(spec, family);
      // Without a prefix there is no gateway either, and the prefix's error is told.
      if (prefix === undefined) continue;
      const address = judgeAddress(text, field, report, spec.transit === true ? transitPrefix : undefined);
      if (address === undefined) continue;
      const end = endName(prefix, address);
      if (!isIn(prefix, address)) report(field, 'address.outside', `${text} is not inside ${spec[cidrOf[family]]}`);
      else if (end !== undefined) report(field, 'address.invalid', `${text} is ${end} of ${spec[cidrOf[family]]}`);
    }
  },

  release({ state, log }, before, after) {
    for (const family of families) {
      const text = before.spec[gatewayOf[family]];
      if (text === undefined || text === after?.[gatewayOf[family]]) continue;
      const ip = parseIp(text)!;
      giveBackAddress(state, log, before.parent, ip);
      if (after === undefined) log.write(state.taken[family], before.path, undefined);
      else mark(state, log, before.parent, before.path, prefixIn(before.spec, family)!, ip, false);
    }
  },

  claim(staging, draft, before, report) {
    for (const family of families) claimIn(staging, draft, before, family, report);
  },

  // Of a prefix that was chosen only now.
  fill(staging, draft, report) {
    const prefix = prefixIn(draft.spec, 4);
    if (draft.spec.gateway !== undefined || prefix === undefined) return;
    draft.spec.gateway = formatIp(ipAt(prefix, 1));
    claimIn(staging, draft, undefined, 4, report);
  },
};

function claimIn(
  { state, log }: Staging,
  draft: Draft<'tier'>,
  before: Resource<'tier'> | undefined,
  family: Family,
  report: Report,
): void {
  const text = draft.spec[gatewayOf[family]];
  if (text === undefined || text === before?.spec[gatewayOf[family]]) return;
  const prefix = prefixIn(draft.spec, family)!;
  const ip = parseIp(text)!;
  if (before?.spec[cidrOf[family]] === undefined) {
    const words = newMap<number, number>();
    log.write(state.taken[family], draft.path, words);
    const size = choiceIn(prefix);
    takeOffset(log, words, size, 0);
    if (family === 4) takeOffset(log, words, size, size - 1);
  }
  const holder = takeAddress(state, log, draft.parent, ip, draft.path);
  if (holder === undefined) mark(state, log, draft.parent, draft.path, prefix, ip, true);
  // An address two tiers claim is an overlap of the tiers, and told as such.
  else if (state.getAs('port', holder) !== undefined)
    report(`/${gatewayOf[family]}`, 'address.in-use', `${text} is taken by ${holder}`);
}
