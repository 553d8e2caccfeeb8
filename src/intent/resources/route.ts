import Type from 'typebox';
import { defineResource, type SpecOf } from '../define.ts';
import { Description, Ip, IpPrefix } from '../fields.ts';

export const route = defineResource({
  kind: 'route',
  segment: 'routes',
  parent: 'network',
  summary: 'Static route of a network: a destination reached through a VM',
  spec: Type.Object(
    {
      destination: IpPrefix,
      nextHop: Ip,
      description: Type.Optional(Description),
    },
    { additionalProperties: false },
  ),
  writers: ['orchestrator', 'tenant'],
  tenantReads: true,
  columns: [
    { title: 'NAME', field: '/name' },
    { title: 'DESTINATION', field: '/destination' },
    { title: 'NEXT-HOP', field: '/nextHop' },
    { title: 'STATE', field: '/status/state' },
    { title: 'DESCRIPTION', field: '/description', wide: true },
  ],
  examples: [
    { name: 'branch', parents: ['acme', 'shop'], spec: { destination: '192.168.7.0/24', nextHop: '10.0.1.10' } },
  ],
});

export type RouteSpec = SpecOf<typeof route>;
