/**
 * ICMP errors of a router. No flow can make one (it would have to put the offending packet into its payload), so a copy
 * goes to the controller, which answers by the port it came in. The copy must be as the VM sent it: the action stands
 * before any that changes addresses or TTL. While the controller is away the sender is told nothing; what passes and what
 * does not is the same.
 */
import type { Action, Flow, Match, Subfield } from '../flow.ts';
import { type IcmpErrorKind, icmpErrorUserdata } from '../packet-in.ts';
import { ethType, type Ip } from './ports.ts';

/** Ethernet header, bytes: what the length of a frame has over that of its IP packet. */
const ethernetHeader = 14;

/** Has the sender told; `mtu` in bytes of an IP packet, for `tooBig`. */
export function sendIcmpError(kind: IcmpErrorKind, gateway: Ip, meter: number, mtu = 0): Action {
  return { type: 'controller', userdata: icmpErrorUserdata({ kind, gateway, mtu }), meter };
}

export type IcmpErrorPlace = {
  table: number;
  priority: number;
  cookie: bigint;
  /** What else the packet must be; eth_type is added. */
  match: Match;
  /** Of the tier whose router would speak. Its family is that of the packets. */
  gateway: Ip;
  /** Id of the meter that limits them. */
  meter: number;
};

/** Packets that would leave a router with TTL 0: RFC 1812 section 5.3.1, RFC 8200 section 3. */
export function timeExceeded({ table, priority, cookie, match, gateway, meter }: IcmpErrorPlace): Flow[] {
  return [0, 1].map((ttl) => ({
    table,
    priority,
    cookie,
    match: { ...match, eth_type: etherTypeOf(gateway), ip_ttl: ttl },
    actions: [sendIcmpError('timeExceeded', gateway, meter)],
  }));
}

/** Packets for which there is no way on (or, told by `kind`, none allowed). */
export function unreachable(
  { table, priority, cookie, match, gateway, meter }: IcmpErrorPlace,
  kind: Exclude<IcmpErrorKind, 'tooBig' | 'timeExceeded'> = 'netUnreachable',
): Flow {
  const eth_type = etherTypeOf(gateway);
  return { table, priority, cookie, match: { ...match, eth_type }, actions: [sendIcmpError(kind, gateway, meter)] };
}

/** Sets the bit where the packet is larger than the MTU. Costs a branch in every megaflow that passes it. */
export function checkTooBig(mtu: number, target: Subfield): Action {
  return { type: 'checkPktLarger', length: mtu + ethernetHeader, target };
}

/**
 * Packets too big for the link they would take; `match` holds the bit that `checkTooBig` set. IPv4 packets that may be
 * fragmented are told as well: nothing here fragments.
 */
export function tooBig({ table, priority, cookie, match, gateway, meter }: IcmpErrorPlace, mtu: number): Flow {
  const eth_type = etherTypeOf(gateway);
  return {
    table,
    priority,
    cookie,
    match: { ...match, eth_type },
    actions: [sendIcmpError('tooBig', gateway, meter, mtu)],
  };
}

function etherTypeOf(ip: Ip): number {
  return ip.family === 4 ? ethType.ipv4 : ethType.ipv6;
}
