import Type from 'typebox';
import { defineResource, type SpecOf } from '../define.ts';
import { Description, Ipv4, Ipv4Prefix } from '../fields.ts';

export const tier = defineResource({
  kind: 'tier',
  segment: 'tiers',
  parent: 'network',
  summary: 'Subnet of a network: web, app, db',
  spec: Type.Object(
    {
      cidr: Ipv4Prefix,
      gateway: Type.Optional(Ipv4),
      description: Type.Optional(Description),
    },
    { additionalProperties: false },
  ),
  serverFilled: ['gateway'],
  immutable: ['cidr'],
  writers: ['orchestrator', 'tenant'],
  tenantReads: true,
  columns: [
    { title: 'NAME', field: '/name' },
    { title: 'CIDR', field: '/cidr' },
    { title: 'GATEWAY', field: '/gateway' },
    { title: 'STATE', field: '/status/state' },
  ],
  examples: [{ name: 'web', parents: ['acme', 'shop'], spec: { cidr: '10.0.1.0/24', gateway: '10.0.1.1' } }],
});

export type TierSpec = SpecOf<typeof tier>;
