import Type from 'typebox';
import { defineResource, type SpecOf } from '../define.ts';
import { Description, Ipv4, Name, PortRange } from '../fields.ts';

export const natRule = defineResource({
  kind: 'nat-rule',
  segment: 'nat-rules',
  parent: 'network',
  summary: 'What a public address of a network stands for: its way out, one port of its, or some ports of its',
  spec: Type.Object(
    {
      type: Type.Union([Type.Literal('source'), Type.Literal('static'), Type.Literal('port-forward')], {
        description:
          'source: what goes out from tiers gets the address; static: it stands for a port, both ways; port-forward: some of its ports do, inward',
      }),
      publicIp: Name,
      tiers: Type.Optional(
        Type.Array(Name, {
          minItems: 1,
          maxItems: 64,
          uniqueItems: true,
          description: 'source: tiers it is for; the whole network when left out',
        }),
      ),
      port: Type.Optional(
        Type.Unsafe<string>({ ...Name, description: 'static, port-forward: the port it stands for' }),
      ),
      address: Type.Optional(
        Type.Unsafe<string>({
          ...Ipv4,
          description: 'static, port-forward: an IPv4 address of the port; its first when left out',
        }),
      ),
      protocol: Type.Optional(
        Type.Union([Type.Literal('tcp'), Type.Literal('udp')], { description: 'port-forward: of the ports' }),
      ),
      publicPorts: Type.Optional(
        Type.Unsafe<string>({ ...PortRange, description: 'port-forward: a port of the public address, or a range' }),
      ),
      privatePorts: Type.Optional(
        Type.Unsafe<string>({
          ...PortRange,
          description: 'port-forward: where they lead, as many; the same when left out',
        }),
      ),
      description: Type.Optional(Description),
    },
    { additionalProperties: false },
  ),
  references: [
    { field: '/publicIp', kind: 'public-ip', within: 'network' },
    { field: '/port', kind: 'port', within: 'network' },
    { field: '/tiers/*', kind: 'tier', within: 'network' },
  ],
  writers: ['orchestrator', 'tenant'],
  tenantReads: true,
  columns: [
    { title: 'NAME', field: '/name' },
    { title: 'TYPE', field: '/type' },
    { title: 'PUBLIC-IP', field: '/publicIp' },
    { title: 'PROTOCOL', field: '/protocol' },
    { title: 'PUBLIC-PORTS', field: '/publicPorts' },
    { title: 'PORT', field: '/port' },
    { title: 'PRIVATE-PORTS', field: '/privatePorts' },
    { title: 'TIERS', field: '/tiers' },
    { title: 'STATE', field: '/status/state' },
    { title: 'ADDRESS', field: '/address', wide: true },
    { title: 'DESCRIPTION', field: '/description', wide: true },
  ],
  examples: [
    { name: 'out', parents: ['acme', 'shop'], spec: { type: 'source', publicIp: 'front' } },
    {
      name: 'https',
      parents: ['acme', 'shop'],
      spec: {
        type: 'port-forward',
        publicIp: 'front',
        port: 'web1',
        protocol: 'tcp',
        publicPorts: '443',
        privatePorts: '8443',
      },
    },
    { name: 'mail', parents: ['acme', 'shop'], spec: { type: 'static', publicIp: 'mail', port: 'web2' } },
  ],
});

export type NatRuleSpec = SpecOf<typeof natRule>;
