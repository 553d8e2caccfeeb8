/**
 * Tables NeighbourResponder and NeighbourAdvert: the switch answers ARP (RFC 826) and Neighbour Discovery (RFC 4861) for
 * every port of the tier it knows, here or elsewhere, and for the tier's router; for nobody else. Neither ever travels.
 * Each answer costs the switch a slow-path upcall (it rewrites fields only user space can), which the `slowpath` meter
 * bounds.
 */
import { cookie } from '../cookie.ts';
import { type Action, type FieldName, type Flow, fieldBits, type Match, reservedPort } from '../flow.ts';
import { load, matching, registers } from '../registers.ts';
import { tables } from '../tables.ts';
import { cameFrom, ethType, type Ip, ipProtocol, type LocalPort } from './ports.ts';

/** Who answers for which addresses. */
export type Neighbour = {
  /** Resource number, for the cookie. */
  number: number;
  tier: number;
  mac: number;
  ips: readonly Ip[];
  isRouter: boolean;
};

/** RFC 826 opcodes. */
const arp = { request: 1, reply: 2 } as const;

/** ICMPv6 types, RFC 4861 section 4. */
export const ndType = {
  routerSolicit: 133,
  routerAdvert: 134,
  neighbourSolicit: 135,
  neighbourAdvert: 136,
  redirect: 137,
} as const;

/** Flags of a neighbour advertisement, RFC 4861 section 4.4, as the 32 bits they are part of. */
const advertFlag = { router: 0x8000_0000, solicited: 0x4000_0000, override: 0x2000_0000 } as const;

/** Option type of a target link-layer address, RFC 4861 section 4.6.1. */
const targetLinkLayer = 2;

const unspecified = 0n;
/** ff02::1, and the MAC it is sent to (RFC 2464 section 7). */
const allNodes = { ip: (0xff02n << 112n) | 1n, mac: 0x3333_0000_0001 } as const;

export function icmpv6(type: number): Match {
  return { eth_type: ethType.ipv6, ip_proto: ipProtocol.icmpv6, icmpv6_type: type, icmpv6_code: 0 };
}

function copy(source: FieldName, target: FieldName): Action {
  const bits = fieldBits[source];
  return { type: 'move', source: { field: source, offset: 0, bits }, target: { field: target, offset: 0, bits } };
}

const set = (field: FieldName, value: number | bigint): Action => ({ type: 'setField', field, value });

export function answerNeighbours(neighbour: Neighbour): Flow[] {
  return neighbour.ips.map((ip) => (ip.family === 4 ? arpAnswer(neighbour, ip.value) : advert(neighbour, ip.value)));
}

function arpAnswer({ number, tier, mac }: Neighbour, ip: number): Flow {
  return {
    table: tables.NeighbourResponder.id,
    priority: 100,
    cookie: cookie(tables.NeighbourResponder.id, number),
    match: matching({ eth_type: ethType.arp, arp_op: arp.request, arp_tpa: ip }, registers.tier, tier),
    actions: [
      copy('eth_src', 'eth_dst'),
      set('eth_src', mac),
      set('arp_op', arp.reply),
      copy('arp_sha', 'arp_tha'),
      copy('arp_spa', 'arp_tpa'),
      set('arp_sha', mac),
      set('arp_spa', ip),
      { type: 'output', port: reservedPort.inPort },
    ],
  };
}

/** Makes the solicitation an advertisement; its option can be written only where the match says that it is one. */
function advert({ number, tier, mac, isRouter }: Neighbour, ip: bigint): Flow {
  return {
    table: tables.NeighbourResponder.id,
    priority: 100,
    cookie: cookie(tables.NeighbourResponder.id, number),
    match: matching({ ...icmpv6(ndType.neighbourSolicit), nd_target: ip }, registers.tier, tier),
    actions: [
      copy('eth_src', 'eth_dst'),
      set('eth_src', mac),
      set('icmpv6_type', ndType.neighbourAdvert),
      ...(isRouter ? [load(registers.router, 1)] : []),
    ],
    goto: tables.NeighbourAdvert.id,
  };
}

/** Silence for the port's own addresses: an answer would look like a duplicate to it (RFC 5227, RFC 4862). */
export function keepSilentForOwn(port: LocalPort): Flow[] {
  return port.ips.map((ip) => ({
    table: tables.NeighbourResponder.id,
    priority: 110,
    cookie: cookie(tables.NeighbourResponder.id, port.number),
    match: {
      ...cameFrom(port),
      ...(ip.family === 4
        ? { eth_type: ethType.arp, arp_tpa: ip.value }
        : { ...icmpv6(ndType.neighbourSolicit), nd_target: ip.value }),
    },
    actions: [],
  }));
}

/** The same for addresses it may have: where it announces one as its own (RFC 5227 section 3, as VRRP does). */
export function keepSilentForAnnounced(port: LocalPort): Flow[] {
  const announced = new Set<number>();
  for (const { prefix } of port.pairs) if (prefix.family === 4 && prefix.length === 32) announced.add(prefix.value);
  return [...announced].map((address) => ({
    table: tables.NeighbourResponder.id,
    priority: 110,
    cookie: cookie(tables.NeighbourResponder.id, port.number),
    match: { ...cameFrom(port), eth_type: ethType.arp, arp_tpa: address, arp_spa: address },
    actions: [],
  }));
}

/** Completes the advertisements. One that answers duplicate address detection goes to all nodes: the asker has no address yet. */
export function completeAdverts(): Flow[] {
  const flow = (priority: number, match: Match, router: 0 | 1, actions: Action[]): Flow => ({
    table: tables.NeighbourAdvert.id,
    priority,
    cookie: cookie(tables.NeighbourAdvert.id, 0),
    match: matching({ ...icmpv6(ndType.neighbourAdvert), ...match }, registers.router, router),
    actions: [...actions, { type: 'output', port: reservedPort.inPort }],
  });
  return ([0, 1] as const).flatMap((router) => {
    const flags = (router === 1 ? advertFlag.router : 0) + advertFlag.override;
    return [
      flow(110, { ipv6_src: unspecified }, router, [
        set('eth_dst', allNodes.mac),
        copy('nd_target', 'ipv6_src'),
        set('ipv6_dst', allNodes.ip),
        set('nd_reserved', flags),
      ]),
      flow(100, {}, router, [
        copy('ipv6_src', 'ipv6_dst'),
        copy('nd_target', 'ipv6_src'),
        set('nd_reserved', flags + advertFlag.solicited),
        set('nd_options_type', targetLinkLayer),
        copy('eth_src', 'nd_tll'),
      ]),
    ];
  });
}
