/** Every resource there is; parents before children. */
import type { ResourceDefinition } from '../define.ts';
import { group } from './group.ts';
import { hypervisor } from './hypervisor.ts';
import { network } from './network.ts';
import { offering } from './offering.ts';
import { port } from './port.ts';
import { rule } from './rule.ts';
import { tenant } from './tenant.ts';
import { tier } from './tier.ts';

export const resources = { offering, hypervisor, tenant, network, tier, port, group, rule } as const;

export type Kind = keyof typeof resources;

export const definitions: Record<Kind, ResourceDefinition> = resources;

export const kinds = Object.keys(resources) as Kind[];
