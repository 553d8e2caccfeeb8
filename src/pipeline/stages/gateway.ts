/**
 * Table Gateway: the gateway addresses of a network answer echo requests (RFC 792, RFC 4443), from the switch the VM is
 * on and before any rule is asked: whoever looks why nothing passes begins with that. Answers cost a slow-path upcall.
 */
import { cookie } from '../cookie.ts';
import { type Action, type FieldName, type Flow, fieldBits, type Match, reservedPort } from '../flow.ts';
import { matching, registers } from '../registers.ts';
import { tables } from '../tables.ts';
import { type Ip, ipProtocol, ipVersions, toIp } from './ports.ts';

/** What the stages need to know of a tier. */
export type TierFacts = {
  /** Resource number, for the cookie. */
  number: number;
  /** Numbers of its network and its own. */
  network: number;
  tier: number;
  routerMac: number;
  /** Gateway addresses, the router's link-local one among them where the tier has IPv6. */
  gateways: readonly Ip[];
  /** Bytes of an IP packet; larger ones are not routed. */
  mtu: number | undefined;
  /** Nobody beyond the tier is to know of it. */
  transit: boolean;
};

const echo = { v4: { request: 8, reply: 0 }, v6: { request: 128, reply: 129 } } as const;

/** Time to live of what the router itself sends. */
const ownTtl = 64;

const whole = (field: FieldName) => ({ field, offset: 0, bits: fieldBits[field] });

/** fe80::/10, RFC 4291 section 2.5.6. */
export const isLinkLocal = (ip: Ip): boolean => ip.family === 6 && ip.value >> 118n === 0xfe80n >> 6n;

export function answerEcho(tier: TierFacts): Flow[] {
  return tier.gateways.map((ip): Flow => {
    const match: Match =
      ip.family === 4
        ? { ip_proto: ipProtocol.icmp, icmpv4_type: echo.v4.request, icmpv4_code: 0 }
        : { ip_proto: ipProtocol.icmpv6, icmpv6_type: echo.v6.request, icmpv6_code: 0 };
    // To a single MAC, whichever router's of the network it is; never in the name of a group.
    const unicast = { ...toIp(ip), ...match, eth_dst: { value: 0, mask: 2 ** 40 } };
    return {
      table: tables.Gateway.id,
      priority: 100,
      cookie: cookie(tables.Gateway.id, tier.number),
      // A link-local address means something within its tier only; so does one of a transit tier.
      match:
        isLinkLocal(ip) || tier.transit
          ? matching(unicast, registers.tier, tier.tier)
          : matching(unicast, registers.network, tier.network),
      actions: [
        { type: 'push', source: whole('eth_src') },
        { type: 'push', source: whole('eth_dst') },
        { type: 'pop', target: whole('eth_src') },
        { type: 'pop', target: whole('eth_dst') },
        ...answer(ip),
        { type: 'setField', field: 'ip_ttl', value: ownTtl },
        { type: 'output', port: reservedPort.inPort },
      ],
    };
  });
}

function answer(ip: Ip): Action[] {
  const [source, target, type, reply]: [FieldName, FieldName, FieldName, number] =
    ip.family === 4
      ? ['ipv4_src', 'ipv4_dst', 'icmpv4_type', echo.v4.reply]
      : ['ipv6_src', 'ipv6_dst', 'icmpv6_type', echo.v6.reply];
  return [
    { type: 'move', source: whole(source), target: whole(target) },
    { type: 'setField', field: source, value: ip.value },
    { type: 'setField', field: type, value: reply },
  ];
}

/** Everything else is tracked and judged. */
export function pastGateway(): Flow[] {
  return ipVersions.map((match) => ({
    table: tables.Gateway.id,
    priority: 1,
    cookie: cookie(tables.Gateway.id, 0),
    match,
    actions: [],
    goto: tables.EgressConntrack.id,
  }));
}
