/** What the stages need to know of ports and tiers, read from intent. A missing reference fails closed: no facts, no flows. */
import { generatedMac } from '../intent/addresses.ts';
import type { Resource, View } from '../intent/model.ts';
import { parentPath } from '../inventory/paths.ts';
import type { TierFacts } from '../pipeline/stages/gateway.ts';
import { type AddressPair, linkLocalOf, type PortFacts } from '../pipeline/stages/ports.ts';
import { addressOrPrefix, ip, mac } from './addresses.ts';

export function portFacts(view: View, port: Resource<'port'>): PortFacts | undefined {
  const network = view.getAs('network', port.parent);
  const tier = view.getAs('tier', `${port.parent}/tiers/${port.spec.tier}`);
  const tenant = view.getAs('tenant', parentPath(port.parent));
  if (network === undefined || tier === undefined || tenant === undefined) return undefined;
  return {
    number: port.number,
    mac: mac(port.spec.mac),
    ips: port.spec.ips.map(ip),
    pairs: pairsOf(port),
    secured: port.spec.portSecurity !== false,
    key: tenant.id,
    network: network.id,
    tier: tier.id,
    routerMac: generatedMac(tier.number),
  };
}

export function tierFacts(view: View, tier: Resource<'tier'>): TierFacts | undefined {
  const network = view.getAs('network', tier.parent);
  if (network === undefined) return undefined;
  const routerMac = generatedMac(tier.number);
  const gateways = [ip(tier.spec.gateway)];
  if (tier.spec.ipv6Gateway !== undefined) gateways.push(ip(tier.spec.ipv6Gateway), linkLocalOf(routerMac));
  return {
    number: tier.number,
    network: network.id,
    tier: tier.id,
    routerMac,
    gateways,
    mtu: network.spec.mtu,
    transit: tier.spec.transit === true,
  };
}

/**
 * Each combination once. What goes with a MAC of its own may be sent under the port's too: Linux answers for an address of
 * a virtual MAC by whichever interface the way back leads through.
 */
function pairsOf({ spec }: Resource<'port'>): AddressPair[] {
  const pairs = new Map<string, AddressPair>();
  for (const pair of spec.allowedAddressPairs ?? []) {
    const prefix = addressOrPrefix(pair.ip);
    for (const under of [pair.mac ?? spec.mac, spec.mac]) {
      const key = `${under} ${prefix.family} ${prefix.value}/${prefix.length}`;
      if (!pairs.has(key)) pairs.set(key, { prefix, mac: mac(under) });
    }
  }
  return [...pairs.values()];
}
