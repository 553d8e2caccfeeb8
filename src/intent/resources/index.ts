/** Every resource there is; parents before children. */
import type { ResourceDefinition } from '../define.ts';
import { group } from './group.ts';
import { hypervisor } from './hypervisor.ts';
import { network } from './network.ts';
import { offering } from './offering.ts';
import { peering } from './peering.ts';
import { policy } from './policy.ts';
import { port } from './port.ts';
import { quota } from './quota.ts';
import { route } from './route.ts';
import { rule } from './rule.ts';
import { steering } from './steering.ts';
import { tenant } from './tenant.ts';
import { tier } from './tier.ts';

export const resources = {
  offering,
  hypervisor,
  quota,
  tenant,
  policy,
  network,
  peering,
  tier,
  port,
  group,
  rule,
  route,
  steering,
} as const;

export type Kind = keyof typeof resources;

export const definitions: Record<Kind, ResourceDefinition> = resources;

export const kinds = Object.keys(resources) as Kind[];
