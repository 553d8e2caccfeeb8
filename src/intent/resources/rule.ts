import Type, { type Static } from 'typebox';
import { defineResource, type SpecOf } from '../define.ts';
import { Description, Ipv4Prefix, Name, PortRange } from '../fields.ts';

/** One end of a rule. Exactly one member. */
export const RuleEnd = Type.Object(
  {
    tier: Type.Optional(Name),
    group: Type.Optional(Name),
    port: Type.Optional(Name),
    cidr: Type.Optional(Ipv4Prefix),
    any: Type.Optional(Type.Literal(true)),
  },
  {
    additionalProperties: false,
    minProperties: 1,
    maxProperties: 1,
    description: 'One of tier, group, port, cidr, any',
  },
);

export type RuleEnd = Static<typeof RuleEnd>;

export const rule = defineResource({
  kind: 'rule',
  segment: 'rules',
  parent: 'network',
  summary: 'Stateful access rule; what no rule allows is refused',
  spec: Type.Object(
    {
      action: Type.Union([Type.Literal('allow'), Type.Literal('deny')]),
      priority: Type.Integer({ minimum: 1, maximum: 32_000, description: 'Lower first; at a tie deny wins' }),
      from: RuleEnd,
      to: RuleEnd,
      protocol: Type.Union([
        Type.Literal('any'),
        Type.Literal('tcp'),
        Type.Literal('udp'),
        Type.Literal('sctp'),
        Type.Literal('icmp'),
      ]),
      ports: Type.Optional(
        Type.Array(PortRange, {
          minItems: 1,
          maxItems: 64,
          uniqueItems: true,
          description: 'Destination ports; tcp, udp and sctp only',
        }),
      ),
      icmp: Type.Optional(
        Type.Object(
          {
            type: Type.Integer({ minimum: 0, maximum: 255 }),
            code: Type.Optional(Type.Integer({ minimum: 0, maximum: 255 })),
          },
          { additionalProperties: false, description: 'ICMP type and code; icmp only' },
        ),
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
  ],
  writers: ['orchestrator', 'tenant'],
  tenantReads: true,
  columns: [
    { title: 'NAME', field: '/name' },
    { title: 'PRIORITY', field: '/priority' },
    { title: 'ACTION', field: '/action' },
    { title: 'FROM', field: '/from' },
    { title: 'TO', field: '/to' },
    { title: 'PROTOCOL', field: '/protocol' },
    { title: 'PORTS', field: '/ports' },
    { title: 'STATE', field: '/status/state' },
  ],
  examples: [
    {
      name: 'web-to-db',
      parents: ['acme', 'shop'],
      spec: {
        action: 'allow',
        priority: 100,
        from: { tier: 'web' },
        to: { group: 'databases' },
        protocol: 'tcp',
        ports: ['5432'],
      },
    },
    {
      name: 'ping',
      parents: ['acme', 'shop'],
      spec: {
        action: 'allow',
        priority: 1000,
        from: { cidr: '10.0.0.0/16' },
        to: { tier: 'web' },
        protocol: 'icmp',
        icmp: { type: 8 },
      },
    },
  ],
});

export type RuleSpec = SpecOf<typeof rule>;
