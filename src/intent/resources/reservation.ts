import Type from 'typebox';
import { defineResource, type SpecOf } from '../define.ts';
import { Description, Ipv4Range, Name } from '../fields.ts';

export const reservation = defineResource({
  kind: 'reservation',
  segment: 'reservations',
  parent: 'network',
  summary: 'Addresses of a tier that no port gets',
  spec: Type.Object(
    {
      tier: Name,
      range: Ipv4Range,
      description: Type.Optional(Description),
    },
    { additionalProperties: false },
  ),
  immutable: ['tier'],
  references: [{ field: '/tier', kind: 'tier', within: 'network' }],
  writers: ['orchestrator', 'tenant'],
  tenantReads: true,
  columns: [
    { title: 'NAME', field: '/name' },
    { title: 'TIER', field: '/tier' },
    { title: 'RANGE', field: '/range' },
    { title: 'STATE', field: '/status/state' },
    { title: 'DESCRIPTION', field: '/description', wide: true },
  ],
  examples: [{ name: 'printers', parents: ['acme', 'shop'], spec: { tier: 'web', range: '10.0.1.150-10.0.1.199' } }],
});

export type ReservationSpec = SpecOf<typeof reservation>;
