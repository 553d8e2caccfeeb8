import Type from 'typebox';
import { defineResource, type SpecOf } from '../define.ts';
import { Description, Name } from '../fields.ts';
import { Action, AddressEnd, Icmp, Log, Ports, Priority, Protocol } from './traffic.ts';

export const policy = defineResource({
  kind: 'policy',
  segment: 'policies',
  parent: undefined,
  summary: "Operator's rule, judged before the tenants' rules and not to be overridden by them",
  spec: Type.Object(
    {
      action: Action,
      priority: Priority,
      tenants: Type.Optional(
        Type.Array(Name, {
          minItems: 1,
          maxItems: 1000,
          uniqueItems: true,
          description: 'Tenants it holds for; every one when left out',
        }),
      ),
      from: AddressEnd,
      to: AddressEnd,
      protocol: Protocol,
      ports: Type.Optional(Ports),
      icmp: Type.Optional(Icmp),
      log: Type.Optional(Log),
      description: Type.Optional(Description),
    },
    { additionalProperties: false },
  ),
  references: [{ field: '/tenants/*', kind: 'tenant', within: 'top' }],
  writers: ['operator'],
  tenantReads: false,
  columns: [
    { title: 'NAME', field: '/name' },
    { title: 'PRIORITY', field: '/priority' },
    { title: 'ACTION', field: '/action' },
    { title: 'TENANTS', field: '/tenants' },
    { title: 'FROM', field: '/from' },
    { title: 'TO', field: '/to' },
    { title: 'PROTOCOL', field: '/protocol' },
    { title: 'PORTS', field: '/ports' },
    { title: 'LOG', field: '/log', wide: true },
    { title: 'STATE', field: '/status/state' },
  ],
  examples: [
    {
      name: 'no-telnet',
      parents: [],
      spec: { action: 'deny', priority: 10, from: { any: true }, to: { any: true }, protocol: 'tcp', ports: ['23'] },
    },
    {
      name: 'metadata',
      parents: [],
      spec: {
        action: 'allow',
        priority: 20,
        tenants: ['acme'],
        from: { any: true },
        to: { cidrs: ['10.255.0.53/32', 'fd00:53::53/128'] },
        protocol: 'udp',
        ports: ['53'],
        log: true,
      },
    },
  ],
});

export type PolicySpec = SpecOf<typeof policy>;
