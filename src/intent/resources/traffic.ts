/** How rules, policies and steering say which packets they mean. */
import Type, { type Static } from 'typebox';
import { IpPrefix, Name, PortRange } from '../fields.ts';
import { protocolNames } from '../protocols.ts';

const Cidrs = Type.Array(IpPrefix, {
  minItems: 1,
  maxItems: 256,
  uniqueItems: true,
  description: 'Prefixes, of either IP version',
});

const Any = Type.Literal(true);

/** One end of a rule. Exactly one member. */
export const RuleEnd = Type.Object(
  {
    tier: Type.Optional(Name),
    group: Type.Optional(Name),
    port: Type.Optional(Name),
    cidr: Type.Optional(IpPrefix),
    cidrs: Type.Optional(Cidrs),
    any: Type.Optional(Any),
  },
  {
    additionalProperties: false,
    minProperties: 1,
    maxProperties: 1,
    description: 'One of tier, group, port, cidr, cidrs, any',
  },
);

export type RuleEnd = Static<typeof RuleEnd>;

/** One end of a policy, which knows no names of a tenant's. Exactly one member. */
export const AddressEnd = Type.Object(
  { cidr: Type.Optional(IpPrefix), cidrs: Type.Optional(Cidrs), any: Type.Optional(Any) },
  {
    additionalProperties: false,
    minProperties: 1,
    maxProperties: 1,
    description: 'One of cidr, cidrs, any',
  },
);

export type AddressEnd = Static<typeof AddressEnd>;

export const Action = Type.Union([Type.Literal('allow'), Type.Literal('deny')]);

export const Priority = Type.Integer({ minimum: 1, maximum: 32_000, description: 'Lower first; at a tie deny wins' });

export const Protocol = Type.String({
  pattern: `^(any|${protocolNames.join('|')}|\\d{1,3})$`,
  description: 'any, a name or a number (IANA); kept as the name where there is one',
  examples: ['tcp', '47'],
  'x-suggestions': ['any', ...protocolNames],
});

export const Ports = Type.Array(PortRange, {
  minItems: 1,
  maxItems: 64,
  uniqueItems: true,
  description: 'Destination ports; tcp, udp and sctp only',
});

export const Icmp = Type.Object(
  {
    type: Type.Integer({ minimum: 0, maximum: 255 }),
    code: Type.Optional(Type.Integer({ minimum: 0, maximum: 255 })),
  },
  { additionalProperties: false, description: 'ICMP type and code; icmp and icmpv6 only' },
);

export type Icmp = Static<typeof Icmp>;

export const Log = Type.Boolean({
  description: 'Whether connections it decides are logged, sampled and limited in rate',
});
