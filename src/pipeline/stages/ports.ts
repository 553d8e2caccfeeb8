/** What the stages need to know of a port, and how addresses of both IP versions are matched. */
import type { FieldName, Match } from '../flow.ts';
import { matching, registers } from '../registers.ts';

/** IPv4 in 32 bits, IPv6 in 128. */
export type Ip = { readonly family: 4; readonly value: number } | { readonly family: 6; readonly value: bigint };

/** `value` has no host bits; `length` in bits. */
export type IpPrefix = Ip & { readonly length: number };

/** Addresses that go with a MAC. */
export type AddressPair = { prefix: IpPrefix; mac: number };

export type PortFacts = {
  /** Resource number, for the cookie. */
  number: number;
  /** 48 bits. */
  mac: number;
  ips: readonly Ip[];
  /** What it may send under beside its own MAC and addresses. */
  pairs: readonly AddressPair[];
  /** Whether it is held to these. */
  secured: boolean;
  /** Key of its tenant, numbers of its network and tier. */
  key: number;
  network: number;
  tier: number;
  /** MAC of its tier's router. */
  routerMac: number;
};

/** A port on the switch the flows are for. */
export type LocalPort = PortFacts & {
  ofport: number;
  zone: number;
  /** 32 bits; another one once the port has changed. */
  epoch: number;
  /** Others may have the same OpenFlow port: devices behind one VLAN. Which one a frame is of, its MAC tells. */
  shared?: boolean;
};

/** Frames of the port. Past the Classifier its zone tells it apart from those it shares an OpenFlow port with. */
export function cameFrom({ ofport, zone, shared }: LocalPort): Match {
  return shared === true ? matching({ in_port: ofport }, registers.zone, zone) : { in_port: ofport };
}

/** On another hypervisor, or while that one is dead, on a second one. */
export type Elsewhere = { peer: number; orPeer?: number };

export type RemotePort = PortFacts & Elsewhere;

export const ethType = { ipv4: 0x0800, arp: 0x0806, ipv6: 0x86dd } as const;

export const ipProtocol = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58, sctp: 132 } as const;

/** The two IP versions, for flows that are the same for both. */
export const ipVersions: readonly Match[] = [{ eth_type: ethType.ipv4 }, { eth_type: ethType.ipv6 }];

/** IP packets from the address. */
export function fromIp(ip: Ip): Match {
  return ip.family === 4
    ? { eth_type: ethType.ipv4, ipv4_src: ip.value }
    : { eth_type: ethType.ipv6, ipv6_src: ip.value };
}

/** IP packets to the address. */
export function toIp(ip: Ip): Match {
  return ip.family === 4
    ? { eth_type: ethType.ipv4, ipv4_dst: ip.value }
    : { eth_type: ethType.ipv6, ipv6_dst: ip.value };
}

/** IP packets from an address in the prefix. */
export function fromPrefix(prefix: IpPrefix): Match {
  return within('src', prefix);
}

/** IP packets to an address in the prefix. */
export function toPrefix(prefix: IpPrefix): Match {
  return within('dst', prefix);
}

function within(end: 'src' | 'dst', prefix: IpPrefix): Match {
  const bits = prefix.family === 4 ? 32 : 128;
  const match: Match = { eth_type: prefix.family === 4 ? ethType.ipv4 : ethType.ipv6 };
  if (prefix.length === 0) return match;
  const field: FieldName = prefix.family === 4 ? `ipv4_${end}` : `ipv6_${end}`;
  if (prefix.length === bits) return { ...match, [field]: prefix.value };
  const mask = ((1n << BigInt(prefix.length)) - 1n) << BigInt(bits - prefix.length);
  return { ...match, [field]: { value: prefix.value, mask: bits === 32 ? Number(mask) : mask } };
}

/** IPv6 link-local unicast, RFC 4291 section 2.5.6. */
export const linkLocal: IpPrefix = { family: 6, value: 0xfe80n << 112n, length: 10 };

/** The link-local address made from a MAC: modified EUI-64, RFC 4291 appendix A. */
export function linkLocalOf(mac: number): Ip {
  const bits = BigInt(mac);
  const identifier = ((bits >> 24n) << 40n) | (0xfffen << 24n) | (bits & 0xffffffn);
  return { family: 6, value: (0xfe80n << 112n) | (identifier ^ (2n << 56n)) };
}
