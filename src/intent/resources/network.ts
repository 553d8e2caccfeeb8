import Type from 'typebox';
import { defineResource, type SpecOf } from '../define.ts';
import { Description, DomainName, Ipv4, Ipv4Prefix, Ipv6Prefix, Name } from '../fields.ts';

export const network = defineResource({
  kind: 'network',
  segment: 'networks',
  parent: 'tenant',
  summary: 'Routing domain of a tenant, ordered under an offering',
  spec: Type.Object(
    {
      offering: Name,
      cidr: Ipv4Prefix,
      ipv6Cidr: Type.Optional(Ipv6Prefix),
      mtu: Type.Optional(
        Type.Integer({
          minimum: 1,
          maximum: 65_535,
          description:
            'Largest IP packet, in bytes: 576 at least, with IPv6 1280; what the underlay leaves when left out',
        }),
      ),
      logDenied: Type.Optional(
        Type.Boolean({ description: 'Whether what no rule allows is logged, sampled and limited in rate' }),
      ),
      domain: Type.Optional(
        Type.Unsafe<string>({ ...DomainName, description: 'DNS suffix of its ports; NETWORK.internal when left out' }),
      ),
      dnsServers: Type.Optional(
        Type.Array(Ipv4, {
          minItems: 1,
          maxItems: 4,
          uniqueItems: true,
          description: 'Resolvers that names outside its domain are asked of; those of the gateway host when left out',
        }),
      ),
      dhcp: Type.Optional(
        Type.Boolean({
          description: 'Whether its ports get their addresses by DHCP and router advertisements; true when left out',
        }),
      ),
      description: Type.Optional(Description),
    },
    { additionalProperties: false },
  ),
  serverFilled: ['mtu'],
  references: [{ field: '/offering', kind: 'offering', within: 'top' }],
  writers: ['orchestrator', 'tenant'],
  tenantReads: true,
  columns: [
    { title: 'NAME', field: '/name' },
    { title: 'OFFERING', field: '/offering' },
    { title: 'CIDR', field: '/cidr' },
    { title: 'IPV6-CIDR', field: '/ipv6Cidr' },
    { title: 'STATE', field: '/status/state' },
    { title: 'MTU', field: '/mtu', wide: true },
    { title: 'DOMAIN', field: '/domain', wide: true },
    { title: 'DNS-SERVERS', field: '/dnsServers', wide: true },
    { title: 'DHCP', field: '/dhcp', wide: true },
    { title: 'LOG-DENIED', field: '/logDenied', wide: true },
    { title: 'DESCRIPTION', field: '/description', wide: true },
  ],
  examples: [
    {
      name: 'shop',
      parents: ['acme'],
      spec: { offering: 'basic', cidr: '10.0.0.0/16', ipv6Cidr: 'fd00:a:b::/48' },
    },
    { name: 'back-office', parents: ['acme'], spec: { offering: 'basic', cidr: '10.1.0.0/16', logDenied: true } },
  ],
});

export type NetworkSpec = SpecOf<typeof network>;
