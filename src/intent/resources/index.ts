/** Every resource there is; parents before children. */
import type { ResourceDefinition } from '../define.ts';
import { group } from './group.ts';
import { hypervisor } from './hypervisor.ts';
import { ipPool } from './ip-pool.ts';
import { natRule } from './nat-rule.ts';
import { network } from './network.ts';
import { offering } from './offering.ts';
import { peering } from './peering.ts';
import { policy } from './policy.ts';
import { port } from './port.ts';
import { providerNetwork } from './provider-network.ts';
import { publicIp } from './public-ip.ts';
import { quota } from './quota.ts';
import { reservation } from './reservation.ts';
import { route } from './route.ts';
import { rule } from './rule.ts';
import { steering } from './steering.ts';
import { tenant } from './tenant.ts';
import { tier } from './tier.ts';
import { trunk } from './trunk.ts';
import { vlanAttachment } from './vlan-attachment.ts';

export const resources = {
  offering,
  hypervisor,
  quota,
  tenant,
  policy,
  'provider-network': providerNetwork,
  'ip-pool': ipPool,
  trunk,
  network,
  peering,
  tier,
  reservation,
  'vlan-attachment': vlanAttachment,
  port,
  group,
  rule,
  route,
  steering,
  'public-ip': publicIp,
  'nat-rule': natRule,
} as const;

export type Kind = keyof typeof resources;

export const definitions: Record<Kind, ResourceDefinition> = resources;

export const kinds = Object.keys(resources) as Kind[];
