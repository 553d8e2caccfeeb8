/** Which public addresses are counted on which switches. */
import type { HypervisorNumber } from '../drivers/switch-plugin.ts';
import { parseIp } from '../intent/ip.ts';
import type { Resource, View } from '../intent/model.ts';
import type { Placement } from '../inventory/placement.ts';
import type { Owner } from './ledger.ts';

export type PublicIp = Resource<'public-ip'>;

export type CountedAddress = Owner & {
  /** Resource number. */ number: number /** IPv4, as flows match it. */;
  ip: number;
};

export function countedAddress({ kind, path, uid, createdAt, number, spec }: PublicIp): CountedAddress {
  const ip = parseIp(spec.address);
  return { kind, path, uid, createdAt, number, ip: Number(ip?.value ?? 0) };
}

/** Where flows may count for it: gateways of its network, and hypervisors of ports that it stands for. */
export function homesOf(view: View, placement: Placement, { path, parent }: PublicIp): Set<HypervisorNumber> {
  const homes = new Set(placement.gatewaysOf(parent));
  for (const rule of view.referrers(path)) {
    if (rule.kind !== 'nat-rule' || rule.spec.type !== 'static' || rule.spec.port === undefined) continue;
    const bound = placement.get(`${parent}/ports/${rule.spec.port}`);
    if (bound !== undefined) homes.add(bound.hypervisor);
  }
  return homes;
}

export function addressesByHome(view: View, placement: Placement): Map<HypervisorNumber, CountedAddress[]> {
  const found = new Map<HypervisorNumber, CountedAddress[]>();
  for (const tenant of view.children('tenant', ''))
    for (const network of view.children('network', tenant.path))
      for (const address of view.children('public-ip', network.path))
        for (const home of homesOf(view, placement, address)) {
          const there = found.get(home);
          if (there === undefined) found.set(home, [countedAddress(address)]);
          else there.push(countedAddress(address));
        }
  return found;
}
