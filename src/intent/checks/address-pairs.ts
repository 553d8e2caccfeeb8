/**
 * Allowed address pairs of a port: addresses and prefixes its VM uses beside its own. They lie in its own tier, where
 * several ports may have the same (the virtual address of a VRRP pair), or outside all tiers (what is routed behind the
 * VM); never where somebody else has an address of his own.
 */
import { parseMac } from '../addresses.ts';
import {
  canonicalIp,
  canonicalIpPrefix,
  containsIpPrefix,
  formatIp,
  type IpPrefix,
  ipAt,
  isHost,
  lastIpOf,
  offsetIn,
  parseAddressOrPrefix,
  parseIpPrefix,
} from '../ip.ts';
import type { Path, Resource } from '../model.ts';
import { tenantOf } from '../path.ts';
import { equalJson } from '../spec.ts';
import type { State } from '../state.ts';
import { prefixIn } from '../versions.ts';
import type { Concern, Report, Staging } from './concern.ts';
import { giveBackSharedMac, mark, shareMac } from './holders.ts';
import { judgeMac } from './mac.ts';
import { peersOverlapping } from './peers.ts';
import { judgeAddress, judgeSubnet, type Lengths } from './prefixes.ts';
import { choiceIn, endName, heldBy, tierPath, tiersAt } from './tier-families.ts';

/** Longest and shortest prefix of a pair. */
const pairLengths: Readonly<Record<4 | 6, Lengths>> = {
  4: { shortest: 8, longest: 32 },
  6: { shortest: 16, longest: 128 },
};

/** Addresses at most that a pair keeps from being chosen for other ports. */
const mostKept = 256;

export const addressPairs: Concern<'port'> = {
  normalise(spec) {
    for (const pair of spec.allowedAddressPairs ?? []) {
      pair.ip = canonical(pair.ip);
      if (pair.mac !== undefined) pair.mac = pair.mac.toLowerCase();
    }
  },

  judge(spec, report) {
    const pairs = spec.allowedAddressPairs ?? [];
    pairs.forEach(({ ip, mac }, i) => {
      const at = `/allowedAddressPairs/${i}`;
      if (!ip.includes('/')) judgeAddress(ip, `${at}/ip`, report);
      else judgeSubnet(ip, pairLengths[ip.includes(':') ? 6 : 4], `${at}/ip`, report);
      if (mac !== undefined) judgeMac(mac, `${at}/mac`, report);
      if (pairs.findIndex((other) => other.ip === ip && other.mac === mac) < i)
        report(at, 'request.invalid', `${ip} is there twice`);
    });
  },

  release({ state, log }, before, after) {
    if (equalJson(before.spec.allowedAddressPairs, after?.allowedAddressPairs)) return;
    const prefixes = (before.spec.allowedAddressPairs ?? []).map(({ ip }) => parseAddressOrPrefix(ip)!);
    for (const prefix of prefixes) state.pairs.remove(log, before.parent, prefix, before.path);
    const tier = state.getAs('tier', tierPath(before.parent, before.spec.tier));
    if (tier !== undefined) for (const prefix of prefixes) keep({ state, log }, tier, prefix, false);
    for (const { mac } of before.spec.allowedAddressPairs ?? [])
      if (mac !== undefined) giveBackSharedMac(state, log, tenantOf(before.path)!, parseMac(mac)!, before.path);
  },

  claim({ state, log, isBroken }, draft, before, report) {
    const pairs = draft.spec.allowedAddressPairs;
    if (pairs === undefined || equalJson(before?.spec.allowedAddressPairs, pairs)) return;
    const tier = state.getAs('tier', tierPath(draft.parent, draft.spec.tier));
    if (tier === undefined || isBroken(tier.path)) return;
    pairs.forEach(({ ip, mac }, i) => {
      const at = `/allowedAddressPairs/${i}`;
      const prefix = parseAddressOrPrefix(ip)!;
      if (judgePlace(state, tier, draft.path, prefix, ip, `${at}/ip`, report)) {
        state.pairs.add(log, draft.parent, prefix, draft.path);
        keep({ state, log }, tier, prefix, true);
      }
      if (mac === undefined) return;
      const holder = shareMac(state, log, tenantOf(draft.path)!, parseMac(mac)!, draft.path, tier.path);
      if (holder !== undefined) report(`${at}/mac`, 'mac.in-use', `${mac} is taken by ${holder}`);
    });
  },
};

function canonical(text: string): string {
  if (!text.includes('/')) return canonicalIp(text);
  const prefix = parseIpPrefix(text);
  return prefix !== undefined && isHost(prefix) ? formatIp(prefix) : canonicalIpPrefix(text);
}

/** @returns whether the port may have it; else an error is told */
function judgePlace(
  state: State,
  tier: Resource<'tier'>,
  port: Path,
  prefix: IpPrefix,
  text: string,
  field: string,
  report: Report,
): boolean {
  const own = prefixIn(tier.spec, prefix.family);
  if (own === undefined || !containsIpPrefix(own, prefix)) {
    const other = tiersAt(state, tier.parent, prefix)[0];
    if (other === undefined) {
      const peers = [...peersOverlapping(state, tier.parent, prefix)];
      for (const peer of peers)
        report(field, 'address.overlap', `${text} overlaps ${peer}, which the network is peered with`);
      return peers.length === 0;
    }
    const message =
      other.path === tier.path
        ? `${text} is wider than tier ${tier.name} of the port`
        : `${text} is in tier ${other.name}, and the port in tier ${tier.name}`;
    report(field, 'address.outside', message);
    return false;
  }
  const end = isHost(prefix) ? endName(own, prefix) : undefined;
  if (end !== undefined) {
    report(field, 'address.invalid', `${text} is ${end} of tier ${tier.name}`);
    return false;
  }
  if (offsetIn(own, prefix) < choiceIn(own) && sizeOf(prefix) > mostKept) {
    report(
      field,
      'address.invalid',
      `${text} is too large: ${mostKept} addresses at most where ports are given theirs`,
    );
    return false;
  }
  const last = lastIpOf(prefix).value;
  for (const [value, holder] of state.addresses.get(tier.parent)?.from(prefix.value) ?? []) {
    if (value > last) break;
    if (holder === port) continue;
    const ip = prefix.family === 4 ? { family: 4, value: Number(value) } : { family: 6, value: BigInt(value) };
    report(field, 'address.in-use', heldBy(state, ip as Parameters<typeof heldBy>[1], holder));
    return false;
  }
  return true;
}

function sizeOf(prefix: IpPrefix): number {
  return offsetIn(prefix, lastIpOf(prefix)) + 1;
}

/** Keeps the addresses of a pair from being chosen for other ports, or no longer. */
function keep(
  { state, log }: Pick<Staging, 'state' | 'log'>,
  tier: Resource<'tier'>,
  prefix: IpPrefix,
  taken: boolean,
): void {
  const own = prefixIn(tier.spec, prefix.family);
  if (own === undefined || !containsIpPrefix(own, prefix)) return;
  const count = Math.min(sizeOf(prefix), mostKept);
  for (let i = 0; i < count; i++) mark(state, log, tier.parent, tier.path, own, ipAt(prefix, i), taken);
}
