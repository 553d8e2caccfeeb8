/** Every check by meaning there is. Order matters within a kind: what a later one reads, an earlier one has put in order. */
import type { Kind } from '../resources/index.ts';
import { addressPairs } from './address-pairs.ts';
import type { Concern } from './concern.ts';
import { gateway } from './gateway.ts';
import { ifaceId } from './iface-id.ts';
import { pool } from './ip-pool.ts';
import { gatewayMac, portMac, routerMac } from './mac.ts';
import { mtu } from './mtu.ts';
import { natMeaning, neededByNat, neededServices, offeredAddresses } from './nat-rule.ts';
import { networkPrefix, resolvers } from './network-prefix.ts';
import { neededHops } from './next-hops.ts';
import { offeringProviders } from './offering.ts';
import { apartFromPorts, onProvider } from './on-provider.ts';
import { peeredPrefix, peering } from './peers.ts';
import { portAddresses } from './port-addresses.ts';
import { segment } from './provider-network.ts';
import { publicAddress } from './public-ip.ts';
import { withinQuota } from './quota.ts';
import { reservedRange } from './reservation.ts';
import { routeMeaning } from './route.ts';
import { steeringChain } from './steering.ts';
import { systemId } from './system-id.ts';
import { onProviderNetwork, tierPrefix } from './tier-prefix.ts';
import { policyMeaning, trafficMeaning } from './traffic.ts';
import { trunkVlans } from './trunk.ts';
import { attachedVlan, device } from './vlan-attachment.ts';

const all: { [K in Kind]: readonly Concern<K>[] } = {
  offering: [offeringProviders],
  hypervisor: [systemId],
  quota: [],
  tenant: [],
  policy: [policyMeaning],
  'provider-network': [segment],
  'ip-pool': [pool, apartFromPorts],
  trunk: [trunkVlans],
  network: [networkPrefix, resolvers, gatewayMac, mtu, peeredPrefix, neededServices, withinQuota('network')],
  peering: [peering],
  tier: [tierPrefix, onProviderNetwork, gateway, routerMac],
  reservation: [reservedRange],
  'vlan-attachment': [attachedVlan],
  port: [
    device,
    portMac,
    portAddresses,
    onProvider,
    ifaceId,
    addressPairs,
    neededHops,
    neededByNat,
    withinQuota('port'),
  ],
  group: [],
  rule: [trafficMeaning, withinQuota('rule')],
  route: [routeMeaning],
  steering: [trafficMeaning, steeringChain],
  'public-ip': [publicAddress, offeredAddresses, withinQuota('public-ip')],
  'nat-rule': [natMeaning],
};

/** Concerns of a kind, for callers that hold a resource of any kind. */
export const concerns: Record<Kind, readonly Concern<Kind>[]> = all as Record<Kind, readonly Concern<Kind>[]>;
