/** The packet that is traced, as header fields. */
import type { Ip } from '../intent/ip.ts';
import { etherType, type Fields, Packet, protocolNumber } from './packet.ts';

/** Part of a connection the packet is: its first, a later one of its direction, or one against it. */
export type ConnectionState = 'new' | 'established' | 'reply';

export type ProbeSpec = {
  sourceMac: number;
  targetMac: number;
  source: Ip;
  target: Ip;
  /** IP protocol number; of another IP version's ICMP the right one is taken. */
  protocol: number;
  sourcePort: number;
  targetPort: number;
  icmp: { type: number; code: number };
  ttl: number;
  /** Bytes of the frame, Ethernet header included. */
  length: number;
  state: ConnectionState;
};

const tcpFlags = { syn: 0x02, ack: 0x10 } as const;

export function probePacket(inPort: number, spec: ProbeSpec): Packet {
  const { sourceMac, targetMac, source, target } = spec;
  const fields: Fields = {
    in_port: inPort,
    eth_src: sourceMac,
    eth_dst: targetMac,
    ip_proto: spec.protocol,
    ip_ttl: spec.ttl,
  };
  if (source.family === 4) {
    Object.assign(fields, { eth_type: etherType.ipv4, ipv4_src: source.value, ipv4_dst: target.value });
  } else Object.assign(fields, { eth_type: etherType.ipv6, ipv6_src: source.value, ipv6_dst: target.value });
  switch (BigInt(spec.protocol)) {
    case protocolNumber.tcp:
      fields.tcp_src = spec.sourcePort;
      fields.tcp_dst = spec.targetPort;
      fields.tcp_flags = spec.state === 'new' ? tcpFlags.syn : tcpFlags.ack;
      break;
    case protocolNumber.udp:
      fields.udp_src = spec.sourcePort;
      fields.udp_dst = spec.targetPort;
      break;
    case protocolNumber.sctp:
      fields.sctp_src = spec.sourcePort;
      fields.sctp_dst = spec.targetPort;
      break;
    case protocolNumber.icmp:
      fields.icmpv4_type = spec.icmp.type;
      fields.icmpv4_code = spec.icmp.code;
      break;
    case protocolNumber.icmpv6:
      fields.icmpv6_type = spec.icmp.type;
      fields.icmpv6_code = spec.icmp.code;
      break;
    default:
  }
  return new Packet(fields, spec.length);
}

export type Question = { inPort: number; mac: number; source: Ip; target: Ip };

const broadcast = 0xffffffffffff;

/** Ethernet header and ARP for IPv4 over Ethernet (RFC 826), padded to the least Ethernet sends. */
const arpLength = 60;
/** Ethernet, IPv6, neighbour solicitation with its source link-layer address option (RFC 4861 section 4.3). */
const solicitLength = 14 + 40 + 24 + 8;

/** What a VM asks before it sends to a neighbour: an ARP request, or a neighbour solicitation. */
export function neighbourRequest({ inPort, mac, source, target }: Question): Packet {
  if (source.family === 4) {
    return new Packet(
      {
        in_port: inPort,
        eth_src: mac,
        eth_dst: broadcast,
        eth_type: etherType.arp,
        arp_op: 1,
        arp_spa: source.value,
        arp_tpa: target.value,
        arp_sha: mac,
        arp_tha: 0,
      },
      arpLength,
    );
  }
  const low = BigInt(target.value) & 0xffffffn;
  return new Packet(
    {
      in_port: inPort,
      eth_src: mac,
      // RFC 2464 section 7 and RFC 4291 section 2.7.1: the solicited-node group of the target.
      eth_dst: 0x3333_ff00_0000n | low,
      eth_type: etherType.ipv6,
      ipv6_src: source.value,
      ipv6_dst: (0xff02n << 112n) | (0x1_ffn << 24n) | low,
      ip_proto: protocolNumber.icmpv6,
      ip_ttl: 255,
      icmpv6_type: 135,
      icmpv6_code: 0,
      nd_target: target.value,
      nd_sll: mac,
    },
    solicitLength,
  );
}

/** The MAC a neighbour's answer tells; undefined for what is no answer. */
export function answeredMac(packet: Packet): number | undefined {
  if (packet.get('arp_op') === 2n) return Number(packet.get('arp_sha'));
  if (packet.get('icmpv6_type') !== 136n) return undefined;
  const told = packet.get('nd_tll') ?? 0n;
  return Number(told === 0n ? packet.get('eth_src') : told);
}
