/** What the gateways of a network serve its ports, by intent alone. */
import { generatedMac } from '../intent/addresses.ts';
import type { Resource, View } from '../intent/model.ts';

/** Names and metadata where the offering has `dhcp`; addresses too, unless the network says `dhcp: false`. */
export function serving(view: View, network: Resource<'network'> | undefined): 'nothing' | 'names' | 'addresses' {
  const offering = network && view.getAs('offering', `offerings/${network.spec.offering}`);
  if (network === undefined || offering?.spec.services.includes('dhcp') !== true) return 'nothing';
  return network.spec.dhcp === false ? 'names' : 'addresses';
}

/** MAC of a network's gateway, the same on both. */
export function gatewayMacOf(network: Resource<'network'>): number {
  return generatedMac(network.number);
}
