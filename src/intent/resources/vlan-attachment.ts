import Type from 'typebox';
import { defineResource, type SpecOf } from '../define.ts';
import { Description, Name, Vlan } from '../fields.ts';

export const vlanAttachment = defineResource({
  kind: 'vlan-attachment',
  segment: 'vlan-attachments',
  parent: 'network',
  summary: 'A tier joined to a VLAN of a trunk, where devices are reached that know no tunnels',
  spec: Type.Object(
    {
      trunk: Name,
      tier: Name,
      vlan: Type.Optional(
        Type.Unsafe<number>({ ...Vlan, description: 'VLAN id, one of the trunk; chosen when left out' }),
      ),
      description: Type.Optional(Description),
    },
    { additionalProperties: false },
  ),
  serverFilled: ['vlan'],
  immutable: ['trunk', 'tier', 'vlan'],
  references: [
    { field: '/trunk', kind: 'trunk', within: 'top' },
    { field: '/tier', kind: 'tier', within: 'network' },
  ],
  writers: ['orchestrator'],
  tenantReads: false,
  columns: [
    { title: 'NAME', field: '/name' },
    { title: 'TIER', field: '/tier' },
    { title: 'TRUNK', field: '/trunk' },
    { title: 'VLAN', field: '/vlan' },
    { title: 'STATE', field: '/status/state' },
    { title: 'DESCRIPTION', field: '/description', wide: true },
  ],
  examples: [{ name: 'storage', parents: ['acme', 'shop'], spec: { trunk: 'racks', tier: 'db' } }],
});

export type VlanAttachmentSpec = SpecOf<typeof vlanAttachment>;
