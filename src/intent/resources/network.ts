import Type from 'typebox';
import { defineResource, type SpecOf } from '../define.ts';
import { Description, Ipv4Prefix, Name } from '../fields.ts';

export const network = defineResource({
  kind: 'network',
  segment: 'networks',
  parent: 'tenant',
  summary: 'Routing domain of a tenant, ordered under an offering',
  spec: Type.Object(
    {
      offering: Name,
      cidr: Ipv4Prefix,
      description: Type.Optional(Description),
    },
    { additionalProperties: false },
  ),
  references: [{ field: '/offering', kind: 'offering', within: 'top' }],
  writers: ['orchestrator', 'tenant'],
  tenantReads: true,
  columns: [
    { title: 'NAME', field: '/name' },
    { title: 'OFFERING', field: '/offering' },
    { title: 'CIDR', field: '/cidr' },
    { title: 'STATE', field: '/status/state' },
    { title: 'DESCRIPTION', field: '/description', wide: true },
  ],
  examples: [{ name: 'shop', parents: ['acme'], spec: { offering: 'basic', cidr: '10.0.0.0/16' } }],
});

export type NetworkSpec = SpecOf<typeof network>;
