import Type from 'typebox';
import { defineResource, type SpecOf } from '../define.ts';
import { Description, Ipv4, Name } from '../fields.ts';

export const publicIp = defineResource({
  kind: 'public-ip',
  segment: 'public-ips',
  parent: 'network',
  summary: 'Public address of a network, for one service or several',
  spec: Type.Object(
    {
      pool: Type.Optional(
        Type.Unsafe<string>({
          ...Name,
          description: 'Pool it is from; the first one with a free address when left out',
        }),
      ),
      address: Type.Optional(
        Type.Unsafe<string>({
          ...Ipv4,
          description: 'An address of the pool; chosen when left out',
          examples: ['203.0.113.10'],
        }),
      ),
      description: Type.Optional(Description),
    },
    { additionalProperties: false },
  ),
  serverFilled: ['pool', 'address'],
  immutable: ['pool', 'address'],
  references: [{ field: '/pool', kind: 'ip-pool', within: 'top' }],
  writers: ['orchestrator', 'tenant'],
  tenantReads: true,
  columns: [
    { title: 'NAME', field: '/name' },
    { title: 'ADDRESS', field: '/address' },
    { title: 'POOL', field: '/pool' },
    { title: 'STATE', field: '/status/state' },
    { title: 'DESCRIPTION', field: '/description', wide: true },
  ],
  examples: [
    { name: 'front', parents: ['acme', 'shop'], spec: {} },
    { name: 'mail', parents: ['acme', 'shop'], spec: { pool: 'public', address: '203.0.113.25' } },
  ],
});

export type PublicIpSpec = SpecOf<typeof publicIp>;
