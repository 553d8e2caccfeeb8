import Type from 'typebox';
import { defineResource, type SpecOf } from '../define.ts';
import { Description, Ipv4, Ipv4Prefix, Ipv4Range, Mac, Name } from '../fields.ts';

export const ipPool = defineResource({
  kind: 'ip-pool',
  segment: 'ip-pools',
  parent: undefined,
  summary: 'Public addresses of a provider network that networks of tenants draw from',
  spec: Type.Object(
    {
      providerNetwork: Name,
      cidr: Ipv4Prefix,
      gateway: Type.Unsafe<string>({ ...Ipv4, description: 'Next hop towards outside, inside cidr' }),
      gatewayMac: Type.Optional(
        Type.Unsafe<string>({ ...Mac, description: 'MAC of the next hop; asked for by ARP when left out' }),
      ),
      ranges: Type.Optional(
        Type.Array(Ipv4Range, {
          minItems: 1,
          maxItems: 64,
          uniqueItems: true,
          description: 'Addresses to be given out; all of cidr but its ends and the gateway when left out',
        }),
      ),
      tenants: Type.Optional(
        Type.Array(Name, {
          minItems: 1,
          maxItems: 1000,
          uniqueItems: true,
          description: 'Tenants that may draw from it; all when left out',
        }),
      ),
      description: Type.Optional(Description),
    },
    { additionalProperties: false },
  ),
  extra: Type.Object({
    used: Type.Integer({ description: 'Addresses that are given out' }),
    free: Type.Integer({ description: 'Addresses that are left' }),
  }),
  immutable: ['providerNetwork', 'cidr'],
  references: [
    { field: '/providerNetwork', kind: 'provider-network', within: 'top' },
    { field: '/tenants/*', kind: 'tenant', within: 'top' },
  ],
  writers: [],
  tenantReads: false,
  columns: [
    { title: 'NAME', field: '/name' },
    { title: 'PROVIDER-NETWORK', field: '/providerNetwork' },
    { title: 'CIDR', field: '/cidr' },
    { title: 'GATEWAY', field: '/gateway' },
    { title: 'USED', field: '/used' },
    { title: 'FREE', field: '/free' },
    { title: 'TENANTS', field: '/tenants' },
    { title: 'STATE', field: '/status/state' },
    { title: 'RANGES', field: '/ranges', wide: true },
    { title: 'GATEWAY-MAC', field: '/gatewayMac', wide: true },
    { title: 'DESCRIPTION', field: '/description', wide: true },
  ],
  examples: [
    {
      name: 'public',
      parents: [],
      spec: {
        providerNetwork: 'internet',
        cidr: '203.0.113.0/24',
        gateway: '203.0.113.1',
        ranges: ['203.0.113.10-203.0.113.250'],
      },
    },
  ],
});

export type IpPoolSpec = SpecOf<typeof ipPool>;
