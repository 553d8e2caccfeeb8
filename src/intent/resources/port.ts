import Type from 'typebox';
import { defineResource, type SpecOf } from '../define.ts';
import { Description, IfaceId, Ipv4, Mac, Name } from '../fields.ts';

export const port = defineResource({
  kind: 'port',
  segment: 'ports',
  parent: 'network',
  summary: "A VM's NIC in a tier",
  spec: Type.Object(
    {
      tier: Name,
      mac: Type.Optional(Mac),
      ips: Type.Optional(
        Type.Array(Ipv4, {
          minItems: 1,
          maxItems: 16,
          uniqueItems: true,
          description: 'Addresses in the tier; one is chosen when left out',
        }),
      ),
      groups: Type.Optional(
        Type.Array(Name, {
          maxItems: 64,
          uniqueItems: true,
          description: 'Groups the port belongs to, beside those that name it',
        }),
      ),
      ifaceId: Type.Optional(IfaceId),
      hypervisors: Type.Optional(
        Type.Array(Name, {
          minItems: 1,
          maxItems: 2,
          uniqueItems: true,
          description: 'Hypervisors that may bind the port (two during a migration); any when left out',
        }),
      ),
      description: Type.Optional(Description),
    },
    { additionalProperties: false },
  ),
  extra: Type.Object({
    binding: Type.Union([
      Type.Null(),
      Type.Object({
        hypervisor: Type.String(),
        interface: Type.String(),
        ofport: Type.Integer(),
        zone: Type.Integer({ description: 'Conntrack zone of the port there' }),
      }),
    ]),
  }),
  restricted: ['ifaceId', 'hypervisors', 'binding'],
  serverFilled: ['mac', 'ips', 'ifaceId'],
  immutable: ['tier'],
  references: [
    { field: '/tier', kind: 'tier', within: 'network' },
    { field: '/groups/*', kind: 'group', within: 'network' },
    { field: '/hypervisors/*', kind: 'hypervisor', within: 'top' },
  ],
  writers: ['orchestrator', 'tenant'],
  tenantReads: true,
  columns: [
    { title: 'NAME', field: '/name' },
    { title: 'TIER', field: '/tier' },
    { title: 'MAC', field: '/mac' },
    { title: 'IPS', field: '/ips' },
    { title: 'GROUPS', field: '/groups', wide: true },
    { title: 'HYPERVISOR', field: '/binding/hypervisor' },
    { title: 'IFACE-ID', field: '/ifaceId', wide: true },
    { title: 'STATE', field: '/status/state' },
  ],
  examples: [
    { name: 'web1', parents: ['acme', 'shop'], spec: { tier: 'web', ips: ['10.0.1.10'], groups: ['frontends'] } },
    { name: 'web2', parents: ['acme', 'shop'], spec: { tier: 'web' } },
  ],
});

export type PortSpec = SpecOf<typeof port>;
