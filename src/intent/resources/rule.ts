import Type from 'typebox';
import { defineResource, type SpecOf } from '../define.ts';
import { Description } from '../fields.ts';
import { Action, Icmp, Log, Ports, Priority, Protocol, RuleEnd } from './traffic.ts';

export type { RuleEnd } from './traffic.ts';

export const rule = defineResource({
  kind: 'rule',
  segment: 'rules',
  parent: 'network',
  summary: 'Stateful access rule; what no rule allows is refused',
  spec: Type.Object(
    {
      action: Action,
      priority: Priority,
      from: RuleEnd,
      to: RuleEnd,
      protocol: Protocol,
      ports: Type.Optional(Ports),
      icmp: Type.Optional(Icmp),
      log: Type.Optional(Log),
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
    { title: 'LOG', field: '/log', wide: true },
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
    {
      name: 'office',
      parents: ['acme', 'shop'],
      spec: {
        action: 'allow',
        priority: 200,
        from: { cidrs: ['192.168.7.0/24', 'fd00:7::/64'] },
        to: { any: true },
        protocol: 'any',
        log: true,
      },
    },
  ],
});

export type RuleSpec = SpecOf<typeof rule>;
