import Type from 'typebox';
import { defineResource, type SpecOf } from '../define.ts';
import { Description, Ipv4, Ipv4Prefix, Ipv6, Ipv6Prefix, Name } from '../fields.ts';

export const tier = defineResource({
  kind: 'tier',
  segment: 'tiers',
  parent: 'network',
  summary: 'Subnet of a network: web, app, db',
  spec: Type.Object(
    {
      cidr: Type.Optional(Ipv4Prefix),
      prefixLength: Type.Optional(
        Type.Integer({
          minimum: 8,
          maximum: 30,
          description: "In place of cidr: the next free prefix of that length in the network's",
        }),
      ),
      gateway: Type.Optional(Ipv4),
      ipv6Cidr: Type.Optional(Ipv6Prefix),
      ipv6Gateway: Type.Optional(Ipv6),
      providerNetwork: Type.Optional(
        Type.Unsafe<string>({
          ...Name,
          description:
            "Provider network its ports are straight on: cidr is outside the network's, the gateway a router there",
        }),
      ),
      transit: Type.Optional(
        Type.Literal(true, {
          description: 'For appliances and devices: inside 169.254.128.0/19, not shown to tenants',
        }),
      ),
      description: Type.Optional(Description),
    },
    { additionalProperties: false },
  ),
  restricted: ['transit'],
  serverFilled: ['cidr', 'gateway', 'ipv6Gateway'],
  filledWith: { ipv6Gateway: 'ipv6Cidr' },
  immutable: ['cidr', 'providerNetwork', 'transit'],
  fixedOnceSet: ['ipv6Cidr'],
  references: [{ field: '/providerNetwork', kind: 'provider-network', within: 'top' }],
  writers: ['orchestrator', 'tenant'],
  tenantReads: true,
  columns: [
    { title: 'NAME', field: '/name' },
    { title: 'CIDR', field: '/cidr' },
    { title: 'GATEWAY', field: '/gateway' },
    { title: 'IPV6-CIDR', field: '/ipv6Cidr' },
    { title: 'IPV6-GATEWAY', field: '/ipv6Gateway', wide: true },
    { title: 'STATE', field: '/status/state' },
    { title: 'PROVIDER-NETWORK', field: '/providerNetwork', wide: true },
    { title: 'TRANSIT', field: '/transit', wide: true },
  ],
  examples: [
    {
      name: 'web',
      parents: ['acme', 'shop'],
      spec: { cidr: '10.0.1.0/24', gateway: '10.0.1.1', ipv6Cidr: 'fd00:a:b:1::/64' },
    },
    { name: 'db', parents: ['acme', 'shop'], spec: { cidr: '10.0.2.0/24' } },
    { name: 'cache', parents: ['acme', 'shop'], spec: { prefixLength: 26 } },
  ],
});

export type TierSpec = SpecOf<typeof tier>;
