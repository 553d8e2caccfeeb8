import Type from 'typebox';
import { defineResource, type SpecOf } from '../define.ts';
import { Description, Hostname, IfaceId, Ip, IpOrPrefix, Mac, Name } from '../fields.ts';

const Rate = Type.Object(
  {
    rateKbps: Type.Integer({ minimum: 1, maximum: 400_000_000, description: 'Kilobits (1000 bits) a second' }),
    burstKb: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 4_000_000, description: 'Kilobits that may come at once' }),
    ),
  },
  { additionalProperties: false, description: 'What is above is dropped' },
);

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
        Type.Array(Ip, {
          minItems: 1,
          maxItems: 16,
          uniqueItems: true,
          description: 'Addresses in the tier; one of each IP version it has is chosen when left out',
        }),
      ),
      groups: Type.Optional(
        Type.Array(Name, {
          maxItems: 64,
          uniqueItems: true,
          description: 'Groups the port belongs to, beside those that name it',
        }),
      ),
      allowedAddressPairs: Type.Optional(
        Type.Array(
          Type.Object(
            { ip: IpOrPrefix, mac: Type.Optional(Mac) },
            {
              additionalProperties: false,
              description: "Addresses the VM may use beside its own; the port's own MAC when mac is left out",
            },
          ),
          {
            maxItems: 16,
            uniqueItems: true,
            description: 'Further addresses of the VM; one that several ports of a tier name is virtual, as with VRRP',
          },
        ),
      ),
      qos: Type.Optional(
        Type.Object(
          {
            fromVm: Type.Optional(Rate),
            toVm: Type.Optional(Rate),
            dscp: Type.Optional(
              Type.Integer({ minimum: 0, maximum: 63, description: 'DSCP (RFC 2474) set on what the VM sends' }),
            ),
          },
          {
            additionalProperties: false,
            minProperties: 1,
            description: 'Rates of the VM, each way, and the DSCP of what it sends',
          },
        ),
      ),
      portSecurity: Type.Optional(
        Type.Boolean({ description: 'false: the VM may send from any address; true when left out' }),
      ),
      hostname: Type.Optional(
        Type.Unsafe<string>({
          ...Hostname,
          description: 'Its name in DNS and DHCP; the name of the port when left out',
        }),
      ),
      userData: Type.Optional(
        Type.String({
          // 32 KiB in base64 (RFC 4648, 4).
          maxLength: 43_692,
          pattern: '^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$',
          description: 'What the VM reads as user-data at 169.254.169.254, in base64; 32 KiB at most',
        }),
      ),
      metadata: Type.Optional(
        Type.Record(
          Type.String({ pattern: '^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$' }),
          Type.String({ maxLength: 1024 }),
          {
            additionalProperties: false,
            maxProperties: 32,
            description: 'What the VM reads beside it at 169.254.169.254',
          },
        ),
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
      attachment: Type.Optional(
        Type.Unsafe<string>({
          ...Name,
          description: 'VLAN attachment behind which it is a device, not a VM; mac and ips are needed then',
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
  restricted: ['portSecurity', 'ifaceId', 'hypervisors', 'attachment', 'binding'],
  audited: ['portSecurity'],
  serverFilled: ['mac', 'ips', 'ifaceId'],
  immutable: ['tier', 'attachment'],
  references: [
    { field: '/tier', kind: 'tier', within: 'network' },
    { field: '/groups/*', kind: 'group', within: 'network' },
    { field: '/hypervisors/*', kind: 'hypervisor', within: 'top' },
    { field: '/attachment', kind: 'vlan-attachment', within: 'network' },
  ],
  writers: ['orchestrator', 'tenant'],
  tenantReads: true,
  columns: [
    { title: 'NAME', field: '/name' },
    { title: 'TIER', field: '/tier' },
    { title: 'MAC', field: '/mac' },
    { title: 'IPS', field: '/ips' },
    { title: 'GROUPS', field: '/groups', wide: true },
    { title: 'PAIRS', field: '/allowedAddressPairs', wide: true },
    { title: 'QOS', field: '/qos', wide: true },
    { title: 'HOSTNAME', field: '/hostname', wide: true },
    { title: 'METADATA', field: '/metadata', wide: true },
    { title: 'HYPERVISOR', field: '/binding/hypervisor' },
    { title: 'IFACE-ID', field: '/ifaceId', wide: true },
    { title: 'ATTACHMENT', field: '/attachment', wide: true },
    { title: 'STATE', field: '/status/state' },
  ],
  examples: [
    { name: 'web1', parents: ['acme', 'shop'], spec: { tier: 'web', ips: ['10.0.1.10'], groups: ['frontends'] } },
    { name: 'web2', parents: ['acme', 'shop'], spec: { tier: 'web' } },
    {
      name: 'lb1',
      parents: ['acme', 'shop'],
      spec: {
        tier: 'web',
        allowedAddressPairs: [{ ip: '10.0.1.100', mac: '00:00:5e:00:01:0a' }],
        qos: { fromVm: { rateKbps: 100_000, burstKb: 10_000 }, dscp: 46 },
      },
    },
  ],
});

export type PortSpec = SpecOf<typeof port>;
