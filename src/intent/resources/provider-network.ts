import Type from 'typebox';
import { defineResource, type SpecOf } from '../define.ts';
import { Description, Name, PhysicalNetwork, Vlan } from '../fields.ts';

export const providerNetwork = defineResource({
  kind: 'provider-network',
  segment: 'provider-networks',
  parent: undefined,
  summary: 'Network outside the overlay that hypervisors are cabled to: flat, or one VLAN of a physical network',
  spec: Type.Object(
    {
      physicalNetwork: PhysicalNetwork,
      vlan: Type.Optional(Vlan),
      mtu: Type.Optional(
        Type.Integer({ minimum: 576, maximum: 65_535, description: 'Largest IP packet, in bytes; 1500 when left out' }),
      ),
      tenants: Type.Optional(
        Type.Array(Name, {
          minItems: 1,
          maxItems: 1000,
          uniqueItems: true,
          description: 'Tenants that may have tiers straight on it; none when left out',
        }),
      ),
      description: Type.Optional(Description),
    },
    { additionalProperties: false },
  ),
  immutable: ['physicalNetwork', 'vlan'],
  references: [{ field: '/tenants/*', kind: 'tenant', within: 'top' }],
  writers: [],
  tenantReads: false,
  columns: [
    { title: 'NAME', field: '/name' },
    { title: 'PHYSICAL-NETWORK', field: '/physicalNetwork' },
    { title: 'VLAN', field: '/vlan' },
    { title: 'MTU', field: '/mtu', wide: true },
    { title: 'TENANTS', field: '/tenants' },
    { title: 'STATE', field: '/status/state' },
    { title: 'DESCRIPTION', field: '/description', wide: true },
  ],
  examples: [
    { name: 'internet', parents: [], spec: { physicalNetwork: 'physnet1', vlan: 50 } },
    { name: 'campus', parents: [], spec: { physicalNetwork: 'campus', tenants: ['acme'] } },
  ],
});

export type ProviderNetworkSpec = SpecOf<typeof providerNetwork>;
