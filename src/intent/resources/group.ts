import Type from 'typebox';
import { defineResource, type SpecOf } from '../define.ts';
import { Description, Name } from '../fields.ts';

export const group = defineResource({
  kind: 'group',
  segment: 'groups',
  parent: 'network',
  summary: 'Named set of ports of a network',
  spec: Type.Object(
    {
      ports: Type.Optional(
        Type.Array(Name, {
          maxItems: 10_000,
          uniqueItems: true,
          description: 'Members, beside the ports that name the group',
        }),
      ),
      description: Type.Optional(Description),
    },
    { additionalProperties: false },
  ),
  references: [{ field: '/ports/*', kind: 'port', within: 'network' }],
  writers: ['orchestrator', 'tenant'],
  tenantReads: true,
  columns: [
    { title: 'NAME', field: '/name' },
    { title: 'PORTS', field: '/ports' },
    { title: 'STATE', field: '/status/state' },
  ],
  examples: [{ name: 'frontends', parents: ['acme', 'shop'], spec: { ports: ['web1'] } }],
});

export type GroupSpec = SpecOf<typeof group>;
