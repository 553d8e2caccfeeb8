import Type from 'typebox';
import { defineResource, type SpecOf } from '../define.ts';
import { Description, Name } from '../fields.ts';
import { Icmp, Ports, Protocol, RuleEnd } from './traffic.ts';

export const steering = defineResource({
  kind: 'steering',
  segment: 'steering',
  parent: 'network',
  summary: 'Sends one direction of traffic through named ports, in their order',
  spec: Type.Object(
    {
      priority: Type.Integer({ minimum: 1, maximum: 32_000, description: 'Lower first' }),
      from: RuleEnd,
      to: RuleEnd,
      protocol: Type.Optional(Protocol),
      ports: Type.Optional(Ports),
      icmp: Type.Optional(Icmp),
      via: Type.Array(Name, {
        minItems: 1,
        maxItems: 8,
        description: 'Ports that the packets pass, the first one first',
      }),
      onFailure: Type.Optional(
        Type.Union([Type.Literal('open'), Type.Literal('closed')], {
          description: 'While one of the ports is not there: past it (open), or nowhere (closed, also when left out)',
        }),
      ),
      description: Type.Optional(Description),
    },
    { additionalProperties: false },
  ),
  references: [
    { field: '/from/tier', kind: 'tier', within: 'network' },
    { field: '/from/group', kind: 'group', within: 'network' },
    { field: '/from/port', kind: 'port', within: 'network' },
    { field: '/to/tier', kind: 'tier', within: 'network' },
    { field: '/to/group', kind: 'group', within: 'network' },
    { field: '/to/port', kind: 'port', within: 'network' },
    { field: '/via/*', kind: 'port', within: 'network' },
  ],
  writers: ['orchestrator', 'tenant'],
  tenantReads: true,
  columns: [
    { title: 'NAME', field: '/name' },
    { title: 'PRIORITY', field: '/priority' },
    { title: 'FROM', field: '/from' },
    { title: 'TO', field: '/to' },
    { title: 'PROTOCOL', field: '/protocol' },
    { title: 'PORTS', field: '/ports' },
    { title: 'VIA', field: '/via' },
    { title: 'ON-FAILURE', field: '/onFailure', wide: true },
    { title: 'STATE', field: '/status/state' },
  ],
  examples: [
    {
      name: 'web-to-db-inspected',
      parents: ['acme', 'shop'],
      spec: {
        priority: 100,
        from: { tier: 'web' },
        to: { group: 'databases' },
        protocol: 'tcp',
        ports: ['5432'],
        via: ['lb1'],
        onFailure: 'closed',
      },
    },
  ],
});

export type SteeringSpec = SpecOf<typeof steering>;
