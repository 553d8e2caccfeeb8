import Type from 'typebox';
import { defineResource, type SpecOf } from '../define.ts';
import { Description, Name } from '../fields.ts';

export const peering = defineResource({
  kind: 'peering',
  segment: 'peerings',
  parent: 'tenant',
  summary: 'Two networks of a tenant, routed to each other; not to those that either is joined with besides',
  spec: Type.Object(
    {
      networks: Type.Array(Name, {
        minItems: 2,
        maxItems: 2,
        description: 'The two networks; their prefixes must not overlap',
      }),
      description: Type.Optional(Description),
    },
    { additionalProperties: false },
  ),
  references: [{ field: '/networks/*', kind: 'network', within: 'tenant' }],
  writers: ['orchestrator', 'tenant'],
  tenantReads: true,
  columns: [
    { title: 'NAME', field: '/name' },
    { title: 'NETWORKS', field: '/networks' },
    { title: 'STATE', field: '/status/state' },
    { title: 'DESCRIPTION', field: '/description', wide: true },
  ],
  examples: [{ name: 'shop-office', parents: ['acme'], spec: { networks: ['shop', 'back-office'] } }],
});

export type PeeringSpec = SpecOf<typeof peering>;
