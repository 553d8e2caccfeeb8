import Type from 'typebox';
import { defineResource, type SpecOf } from '../define.ts';
import { Description, PhysicalNetwork, VlanRange } from '../fields.ts';

export const trunk = defineResource({
  kind: 'trunk',
  segment: 'trunks',
  parent: undefined,
  summary: 'VLANs of a physical network that Keyway may use to join tiers to hardware',
  spec: Type.Object(
    {
      physicalNetwork: PhysicalNetwork,
      vlans: Type.Array(VlanRange, {
        minItems: 1,
        maxItems: 64,
        uniqueItems: true,
        description: 'VLANs it may use there',
      }),
      description: Type.Optional(Description),
    },
    { additionalProperties: false },
  ),
  immutable: ['physicalNetwork'],
  writers: [],
  tenantReads: false,
  columns: [
    { title: 'NAME', field: '/name' },
    { title: 'PHYSICAL-NETWORK', field: '/physicalNetwork' },
    { title: 'VLANS', field: '/vlans' },
    { title: 'STATE', field: '/status/state' },
    { title: 'DESCRIPTION', field: '/description', wide: true },
  ],
  examples: [{ name: 'racks', parents: [], spec: { physicalNetwork: 'physnet2', vlans: ['100-199', '300'] } }],
});

export type TrunkSpec = SpecOf<typeof trunk>;
