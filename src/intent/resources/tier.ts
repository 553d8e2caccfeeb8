import Type from 'typebox';
import { defineResource, type SpecOf } from '../define.ts';
import { Description, Ipv4, Ipv4Prefix, Ipv6, Ipv6Prefix } from '../fields.ts';

export const tier = defineResource({
  kind: 'tier',
  segment: 'tiers',
  parent: 'network',
  summary: 'Subnet of a network: web, app, db',
  spec: Type.Object(
    {
      cidr: Ipv4Prefix,
      gateway: Type.Optional(Ipv4),
      ipv6Cidr: Type.Optional(Ipv6Prefix),
      ipv6Gateway: Type.Optional(Ipv6),
      description: Type.Optional(Description),
    },
    { additionalProperties: false },
  ),
  serverFilled: ['gateway', 'ipv6Gateway'],
  filledWith: { ipv6Gateway: 'ipv6Cidr' },
  immutable: ['cidr'],
  fixedOnceSet: ['ipv6Cidr'],
  writers: ['orchestrator', 'tenant'],
  tenantReads: true,
  columns: [
    { title: 'NAME', field: '/name' },
    { title: 'CIDR', field: '/cidr' },
    { title: 'GATEWAY', field: '/gateway' },
    { title: 'IPV6-CIDR', field: '/ipv6Cidr' },
    { title: 'IPV6-GATEWAY', field: '/ipv6Gateway', wide: true },
    { title: 'STATE', field: '/status/state' },
  ],
  examples: [
    {
      name: 'web',
      parents: ['acme', 'shop'],
      spec: { cidr: '10.0.1.0/24', gateway: '10.0.1.1', ipv6Cidr: 'fd00:a:b:1::/64' },
    },
    { name: 'db', parents: ['acme', 'shop'], spec: { cidr: '10.0.2.0/24' } },
  ],
});

export type TierSpec = SpecOf<typeof tier>;
