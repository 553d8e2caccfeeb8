/** Pools of public addresses: apart from each other on their provider network; what is given out stays inside. */
import { formatIpv4 } from '../addresses.ts';
import { take } from '../free-addresses.ts';
import { canonicalIp, isIn, lastIpOf, parseIpPrefix } from '../ip.ts';
import type { Log } from '../log.ts';
import type { Path, Resource } from '../model.ts';
import { formatPath } from '../path.ts';
import { formatIpv4Range, isWithin, parseIpv4Range, type Range, rangesOf, sizeOf } from '../ranges.ts';
import { SortedMap } from '../sorted.ts';
import { equalJson } from '../spec.ts';
import { newMap, type State } from '../state.ts';
import type { Concern } from './concern.ts';
import { judgeMac } from './mac.ts';
import { judgeAddress, judgeSubnet } from './prefixes.ts';
import { endName } from './tier-families.ts';

type PoolSpec = Resource<'ip-pool'>['spec'];

export const pool: Concern<'ip-pool'> = {
  normalise(spec) {
    spec.gateway = canonicalIp(spec.gateway);
    if (spec.gatewayMac !== undefined) spec.gatewayMac = spec.gatewayMac.toLowerCase();
    spec.ranges = spec.ranges?.map((text) => {
      const range = parseIpv4Range(text);
      return range === undefined ? text : formatIpv4Range(range);
    });
    if (spec.ranges === undefined) delete spec.ranges;
  },

  judge(spec, report) {
    judgeSubnet(spec.cidr, { shortest: 8, longest: 30 }, '/cidr', report);
    if (spec.gatewayMac !== undefined) judgeMac(spec.gatewayMac, '/gatewayMac', report);
    const prefix = parseIpPrefix(spec.cidr);
    const gateway = judgeAddress(spec.gateway, '/gateway', report);
    if (prefix === undefined || prefix.family !== 4 || gateway === undefined) return;
    const end = endName(prefix, gateway);
    if (!isIn(prefix, gateway)) report('/gateway', 'address.outside', `${spec.gateway} is not inside ${spec.cidr}`);
    else if (end !== undefined) report('/gateway', 'address.invalid', `${spec.gateway} is ${end} of ${spec.cidr}`);
    const forHosts = { first: prefix.value + 1, last: (lastIpOf(prefix).value as number) - 1 };
    const known: Range[] = [];
    spec.ranges?.forEach((text, i) => {
      const field = `/ranges/${i}`;
      const range = parseIpv4Range(text);
      if (range === undefined)
        report(field, 'address.invalid', `${text} is no address, nor two with the lower one first`);
      else if (!isWithin(forHosts, range.first) || !isWithin(forHosts, range.last))
        report(field, 'address.outside', `${text} is not among the addresses for hosts of ${spec.cidr}`);
      else if (isWithin(range, gateway.value as number))
        report(field, 'address.invalid', `${text} holds the gateway ${spec.gateway}`);
      else if (known.some((other) => range.first <= other.last && other.first <= range.last))
        report(field, 'address.overlap', `${text} overlaps another range of the pool`);
      else known.push(range);
    });
  },

  release({ state, log }, { path, name, spec }, after) {
    if (after === undefined || !equalJson(spec.tenants, after.tenants))
      for (const tenant of openTo(spec)) log.writeIn(state.openPools, tenant, () => new SortedMap(), name, undefined);
    if (after === undefined || !sameRanges(spec, after))
      for (const range of rangesOf(spec)) log.write(state.poolWords, wordsKey(path, range), undefined);
    if (after !== undefined) return;
    const on = formatPath('provider-network', '', spec.providerNetwork);
    log.writeIn(state.poolsOn, on, () => new SortedMap(), parseIpPrefix(spec.cidr)!.value as number, undefined);
  },

  claim({ state, log }, draft, before, report) {
    const { path, name, spec } = draft;
    if (before === undefined || !equalJson(before.spec.tenants, spec.tenants))
      for (const tenant of openTo(spec)) log.writeIn(state.openPools, tenant, () => new SortedMap(), name, path);
    if (before === undefined || !sameRanges(before.spec, spec)) fillWords(state, log, path, spec);
    if (before !== undefined) return;
    const on = formatPath('provider-network', '', spec.providerNetwork);
    const prefix = parseIpPrefix(spec.cidr)!;
    const [first, last] = [prefix.value as number, lastIpOf(prefix).value as number];
    const below = state.poolsOn.get(on)?.floor(last)?.[1];
    const other = below === undefined ? undefined : state.getAs('ip-pool', below);
    if (other !== undefined && (lastIpOf(parseIpPrefix(other.spec.cidr)!).value as number) >= first)
      report('/cidr', 'ip-pool.overlap', `${spec.cidr} overlaps ${other.spec.cidr} of ${other.path}`);
    else log.writeIn(state.poolsOn, on, () => new SortedMap(), first, path);
  },

  conclude({ state }, draft, before, report) {
    if (before === undefined || sameRanges(before.spec, draft.spec)) return;
    const ranges = rangesOf(draft.spec);
    const field = draft.spec.ranges === undefined ? '/gateway' : '/ranges';
    for (const [address, holder] of state.publicAddresses.get(draft.path) ?? [])
      if (!ranges.some((range) => isWithin(range, address)))
        report(field, 'resource.in-use', `${formatIpv4(address)} is of ${holder}`);
  },
};

/** Where its addresses that are taken are kept. */
export function wordsKey(pool: Path, { first }: Range): string {
  return `${pool} ${first}`;
}

function fillWords(state: State, log: Log, path: Path, spec: PoolSpec): void {
  for (const range of rangesOf(spec)) {
    const words = newMap<number, number>();
    log.write(state.poolWords, wordsKey(path, range), words);
    for (const [address] of state.publicAddresses.get(path)?.from(range.first) ?? []) {
      if (address > range.last) break;
      take(log, words, sizeOf(range), address - range.first);
    }
  }
}

/** Paths of the tenants that may draw from it; '' for all. */
export function openTo({ tenants }: PoolSpec): Path[] {
  return tenants === undefined ? [''] : tenants.map((name) => formatPath('tenant', '', name));
}

function sameRanges(a: PoolSpec, b: PoolSpec): boolean {
  return equalJson(rangesOf(a), rangesOf(b));
}
