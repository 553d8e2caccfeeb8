import Type from 'typebox';
import { defineResource, type SpecOf } from '../define.ts';
import { Description } from '../fields.ts';

export const hypervisor = defineResource({
  kind: 'hypervisor',
  segment: 'hypervisors',
  parent: undefined,
  summary: 'Host with Open vSwitch; gets no write before it is approved',
  spec: Type.Object(
    {
      admission: Type.Union([Type.Literal('approved'), Type.Literal('drained'), Type.Literal('lost')], {
        description:
          'approved: programmed; drained: keeps what is bound, binds nothing new; lost: given up, its ids are free again',
      }),
      systemId: Type.Optional(
        Type.String({
          minLength: 1,
          maxLength: 255,
          pattern: '^[!-~]+$',
          description: 'Open_vSwitch external_ids:system-id; the name when left out',
        }),
      ),
      gateway: Type.Optional(
        Type.Boolean({
          description: 'Whether networks have their way out here, and their DHCP and DNS; false when left out',
        }),
      ),
      description: Type.Optional(Description),
    },
    { additionalProperties: false },
  ),
  extra: Type.Object({
    number: Type.Integer({ description: 'Number of the hypervisor on the wire and in flows' }),
    datapathId: Type.String({ description: 'OpenFlow datapath id Keyway sets, 16 hex digits' }),
    chassis: Type.Union([
      Type.Null(),
      Type.Object({
        hostname: Type.String(),
        peer: Type.String(),
        ovsVersion: Type.String(),
        encapIp: Type.Union([Type.String(), Type.Null()]),
        datapathType: Type.String(),
        bridgeMappings: Type.Record(Type.String(), Type.String()),
      }),
    ]),
    connected: Type.Boolean({ description: 'Both sessions, OVSDB and OpenFlow, are up and in sync' }),
    ports: Type.Integer({ description: 'Ports bound there' }),
  }),
  serverFilled: ['systemId'],
  immutable: ['systemId'],
  writers: ['operator'],
  tenantReads: false,
  columns: [
    { title: 'NAME', field: '/name' },
    { title: 'ADMISSION', field: '/admission' },
    { title: 'CONNECTED', field: '/connected' },
    { title: 'ENCAP-IP', field: '/chassis/encapIp' },
    { title: 'OVS', field: '/chassis/ovsVersion' },
    { title: 'GATEWAY', field: '/gateway' },
    { title: 'PORTS', field: '/ports' },
    { title: 'STATE', field: '/status/state' },
    { title: 'SYSTEM-ID', field: '/systemId', wide: true },
    { title: 'DATAPATH-ID', field: '/datapathId', wide: true },
  ],
  examples: [
    { name: 'hv1', parents: [], spec: { admission: 'approved' } },
    { name: 'gw1', parents: [], spec: { admission: 'approved', gateway: true } },
  ],
});

export type HypervisorSpec = SpecOf<typeof hypervisor>;
