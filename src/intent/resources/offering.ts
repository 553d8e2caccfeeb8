import Type from 'typebox';
import { defineResource, type SpecOf } from '../define.ts';
import { Description } from '../fields.ts';

export const service = Type.Union(
  [
    Type.Literal('routing'),
    Type.Literal('rules'),
    Type.Literal('source-nat'),
    Type.Literal('static-nat'),
    Type.Literal('port-forwarding'),
    Type.Literal('dhcp'),
    Type.Literal('firewall'),
    Type.Literal('load-balancer'),
    Type.Literal('vpn'),
  ],
  { description: 'A service a network can have' },
);

export const offering = defineResource({
  kind: 'offering',
  segment: 'offerings',
  parent: undefined,
  summary: 'Entry of the service catalogue a network is ordered under',
  spec: Type.Object(
    {
      description: Type.Optional(Description),
      services: Type.Array(service, {
        maxItems: 32,
        uniqueItems: true,
        description: 'What a network ordered under it gets',
      }),
      providers: Type.Optional(
        Type.Record(
          Type.String({ pattern: '^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$' }),
          Type.String({ pattern: '^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$' }),
          {
            additionalProperties: false,
            description: 'Which driver serves each service; a service without one is served by flows',
          },
        ),
      ),
    },
    { additionalProperties: false },
  ),
  restricted: ['providers'],
  writers: [],
  tenantReads: true,
  columns: [
    { title: 'NAME', field: '/name' },
    { title: 'SERVICES', field: '/services' },
    { title: 'PROVIDERS', field: '/providers', wide: true },
    { title: 'DESCRIPTION', field: '/description' },
  ],
  examples: [
    {
      name: 'silver',
      parents: [],
      spec: {
        description: 'Firewall only',
        services: ['routing', 'rules', 'firewall'],
        providers: { firewall: 'virtual-router' },
      },
    },
  ],
});

export type OfferingSpec = SpecOf<typeof offering>;
