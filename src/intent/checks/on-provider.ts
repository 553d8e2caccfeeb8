/**
 * Ports straight on a provider network share its segment with those of other networks and tenants: what is unique in a
 * network or a tenant elsewhere is unique on the whole provider network there, and apart from the pools on it.
 */
import { parseMac } from '../addresses.ts';
import { formatIp, lastIpOf, parseIp, parseIpPrefix } from '../ip.ts';
import type { Path, Resource } from '../model.ts';
import { formatPath } from '../path.ts';
import { isWithin, rangesOf } from '../ranges.ts';
import { SortedMap } from '../sorted.ts';
import { equalJson } from '../spec.ts';
import { newMap, type State } from '../state.ts';
import type { Concern, Draft, Report, Staging } from './concern.ts';
import { tierPath } from './tier-families.ts';

export const onProvider: Concern<'port'> = {
  release({ state, log }, before, after) {
    const on = providerOf(state, before);
    if (on === undefined) return;
    if (!equalJson(before.spec.ips, after?.ips))
      for (const value of valuesOf(before.spec.ips))
        log.writeIn(state.providerAddresses, on, () => new SortedMap(), value, undefined);
    if (before.spec.mac !== after?.mac)
      log.writeIn(state.providerMacs, on, newMap, parseMac(before.spec.mac)!, undefined);
  },

  claim(staging, draft, before, report) {
    const on = providerOf(staging.state, draft);
    if (on === undefined) return;
    const { ips, mac, allowedAddressPairs } = draft.spec;
    if (allowedAddressPairs !== undefined)
      report('/allowedAddressPairs', 'request.invalid', `On ${on} a port has its own addresses alone`);
    if (ips !== undefined && !equalJson(before?.spec.ips, ips)) takeAddresses(staging, draft, on, report);
    if (mac === undefined || before?.spec.mac === mac) return;
    // It might be that of a router there, which nobody here knows of.
    if (!staging.restrictedAllowed && !staging.isLoading)
      report('/mac', 'request.invalid', `On ${on} a port has the MAC that is made for it`);
    takeMac(staging, draft, on, report);
  },

  // What was chosen only now is free: it was chosen so.
  fill(staging, draft, report) {
    const on = providerOf(staging.state, draft);
    if (on === undefined) return;
    takeAddresses(staging, draft, on, report);
    takeMac(staging, draft, on, report);
  },
};

/** A pool is apart from the ports on its provider network. */
export const apartFromPorts: Concern<'ip-pool'> = {
  conclude({ state }, draft, before, report) {
    const on = formatPath('provider-network', '', draft.spec.providerNetwork);
    const held = state.providerAddresses.get(on);
    if (held === undefined || (before !== undefined && equalJson(rangesOf(before.spec), rangesOf(draft.spec)))) return;
    for (const { first, last } of rangesOf(draft.spec)) {
      const next = held.ceiling(first);
      if (next !== undefined && next[0] <= last)
        report('/cidr', 'address.in-use', `${formatIp({ family: 4, value: next[0] })} is of ${next[1]}`);
    }
  },
};

/** Whether an address is somebody's on the provider network a tier is on, or kept for a pool or its router. */
export function isTakenOutside(state: State, tier: Resource<'tier'>['spec'], value: number): boolean {
  if (tier.providerNetwork === undefined) return false;
  const on = formatPath('provider-network', '', tier.providerNetwork);
  return state.providerAddresses.get(on)?.get(value) !== undefined || isOfPool(state, on, value);
}

function isOfPool(state: State, on: Path, value: number): boolean {
  const path = state.poolsOn.get(on)?.floor(value)?.[1];
  const pool = path === undefined ? undefined : state.getAs('ip-pool', path);
  const prefix = pool && parseIpPrefix(pool.spec.cidr);
  if (pool === undefined || prefix === undefined || value > Number(lastIpOf(prefix).value)) return false;
  return parseIp(pool.spec.gateway)?.value === value || rangesOf(pool.spec).some((range) => isWithin(range, value));
}

function takeAddresses({ state, log }: Staging, { path, spec }: Draft<'port'>, on: Path, report: Report): void {
  spec.ips?.forEach((text, i) => {
    const ip = parseIp(text);
    if (ip?.family !== 4) return;
    const holder = state.providerAddresses.get(on)?.get(ip.value);
    if (holder === path) return;
    // Not by whom: it may be another tenant.
    if (holder !== undefined || isOfPool(state, on, ip.value))
      report(`/ips/${i}`, 'address.in-use', `${text} is taken on ${on}`);
    else log.writeIn(state.providerAddresses, on, () => new SortedMap(), ip.value, path);
  });
}

function takeMac({ state, log }: Staging, { path, spec }: Draft<'port'>, on: Path, report: Report): void {
  const mac = spec.mac === undefined ? undefined : parseMac(spec.mac);
  if (mac === undefined) return;
  const holder = state.providerMacs.get(on)?.get(mac);
  if (holder === path) return;
  if (holder !== undefined) report('/mac', 'mac.in-use', `${spec.mac} is taken on ${on}`);
  else log.writeIn(state.providerMacs, on, newMap, mac, path);
}

/** Path of the provider network the port is straight on. */
function providerOf(
  state: State,
  { parent, spec }: { parent: Path; spec: { readonly tier: string } },
): Path | undefined {
  const name = state.getAs('tier', tierPath(parent, spec.tier))?.spec.providerNetwork;
  return name === undefined ? undefined : formatPath('provider-network', '', name);
}

function valuesOf(ips: readonly string[]): number[] {
  return ips.flatMap((text) => {
    const ip = parseIp(text);
    return ip?.family === 4 ? [ip.value] : [];
  });
}
