/** Every check by meaning there is. Order matters within a kind: what a later one reads, an earlier one has put in order. */
import type { Kind } from '../resources/index.ts';
import { addressPairs } from './address-pairs.ts';
import type { Concern } from './concern.ts';
import { gateway } from './gateway.ts';
import { ifaceId } from './iface-id.ts';
import { portMac, routerMac } from './mac.ts';
import { mtu } from './mtu.ts';
import { networkPrefix } from './network-prefix.ts';
import { neededHops } from './next-hops.ts';
import { offeringProviders } from './offering.ts';
import { peeredPrefix, peering } from './peers.ts';
import { portAddresses } from './port-addresses.ts';
import { withinQuota } from './quota.ts';
import { routeMeaning } from './route.ts';
import { steeringChain } from './steering.ts';
import { systemId } from './system-id.ts';
import { tierPrefix } from './tier-prefix.ts';
import { trafficMeaning } from './traffic.ts';

const all: { [K in Kind]: readonly Concern<K>[] } = {
  offering: [offeringProviders],
  hypervisor: [systemId],
  quota: [],
  tenant: [],
  policy: [trafficMeaning],
  'provider-network': [],
  'ip-pool': [],
  trunk: [],
  network: [networkPrefix, mtu, peeredPrefix, withinQuota('network')],
  peering: [peering],
  tier: [tierPrefix, gateway, routerMac],
  reservation: [],
  'vlan-attachment': [],
  port: [portMac, portAddresses, ifaceId, addressPairs, neededHops, withinQuota('port')],
  group: [],
  rule: [trafficMeaning, withinQuota('rule')],
  route: [routeMeaning],
  steering: [trafficMeaning, steeringChain],
  'public-ip': [withinQuota('public-ip')],
  'nat-rule': [],
};

/** Concerns of a kind, for callers that hold a resource of any kind. */
export const concerns: Record<Kind, readonly Concern<Kind>[]> = all as Record<Kind, readonly Concern<Kind>[]>;
