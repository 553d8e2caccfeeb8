/**
 * A packet as Open vSwitch sees it while it passes the tables: header fields, tunnel metadata, conntrack state and
 * registers, each by its name in ovs-fields(7). A field the packet has not (an IP address of an ARP frame, say) reads
 * as undefined and cannot be written.
 */
import { type FieldName, fieldBits, type Scalar, type Subfield } from '../pipeline/flow.ts';

export const etherType = { ipv4: 0x0800n, arp: 0x0806n, ipv6: 0x86ddn } as const;
export const protocolNumber = { icmp: 1n, tcp: 6n, udp: 17n, icmpv6: 58n, sctp: 132n } as const;

/** ICMPv6 types of RFC 4861 that carry a target. */
const neighbourSolicit = 135n;
const neighbourAdvert = 136n;

/** ip_frag: bit of later fragments, which have no transport header. */
const later = 2n;

export type Fields = Partial<Record<FieldName, Scalar>>;

const all = (bits: number): bigint => (1n << BigInt(bits)) - 1n;

/** Of each xxreg the registers it is made of, most significant first. */
const quarters: Partial<Record<FieldName, readonly FieldName[]>> = Object.fromEntries(
  [0, 1, 2, 3].map((n) => [`xxreg${n}`, [0, 1, 2, 3].map((part) => `reg${4 * n + part}`)]),
);

export class Packet {
  readonly #values: Map<FieldName, bigint>;
  /** Bytes of the frame, Ethernet header included. */
  readonly length: number;

  constructor(fields: Fields, length: number, values = new Map<FieldName, bigint>()) {
    this.#values = values;
    this.length = length;
    for (const [name, value] of Object.entries(fields)) values.set(name as FieldName, BigInt(value));
  }

  copy(): Packet {
    return new Packet({}, this.length, new Map(this.#values));
  }

  /** The value; 0 for what every packet has though nothing was said of it; undefined for what this kind has not. */
  get(field: FieldName): bigint | undefined {
    const parts = quarters[field];
    if (parts !== undefined) return parts.reduce((value, part) => (value << 32n) | (this.#values.get(part) ?? 0n), 0n);
    return this.has(field) ? (this.#values.get(field) ?? 0n) : undefined;
  }

  /** Writes the bits under the mask. What the packet has not stays unwritten, as in Open vSwitch. */
  set(field: FieldName, value: Scalar, mask?: Scalar): void {
    const before = this.get(field);
    if (before === undefined) return;
    const bits = mask === undefined ? all(fieldBits[field]) : BigInt(mask);
    const now = (before & ~bits) | (BigInt(value) & bits);
    const parts = quarters[field];
    if (parts === undefined) this.#values.set(field, now);
    else for (const [i, part] of parts.entries()) this.#values.set(part, (now >> BigInt(32 * (3 - i))) & 0xffffffffn);
  }

  read({ field, offset, bits }: Subfield): bigint | undefined {
    const value = this.get(field);
    return value === undefined ? undefined : (value >> BigInt(offset)) & all(bits);
  }

  write({ field, offset, bits }: Subfield, value: bigint): void {
    this.set(field, value << BigInt(offset), all(bits) << BigInt(offset));
  }

  /** Whether this kind of packet has the field: the prerequisites of ovs-fields(7). */
  has(field: FieldName): boolean {
    const type = this.#values.get('eth_type') ?? 0n;
    const ip = type === etherType.ipv4 || type === etherType.ipv6;
    const transport = (protocol: bigint): boolean =>
      ip && this.#values.get('ip_proto') === protocol && ((this.#values.get('ip_frag') ?? 0n) & later) === 0n;
    const icmp6 = (): boolean => type === etherType.ipv6 && transport(protocolNumber.icmpv6);
    switch (field) {
      case 'ipv4_src':
      case 'ipv4_dst':
        return type === etherType.ipv4;
      case 'ipv6_src':
      case 'ipv6_dst':
        return type === etherType.ipv6;
      case 'ip_dscp':
      case 'ip_ecn':
      case 'ip_proto':
      case 'ip_ttl':
      case 'ip_frag':
        return ip;
      case 'vlan_pcp':
        return ((this.#values.get('vlan_vid') ?? 0n) & 0x1000n) !== 0n;
      case 'tcp_src':
      case 'tcp_dst':
      case 'tcp_flags':
        return transport(protocolNumber.tcp);
      case 'udp_src':
      case 'udp_dst':
        return transport(protocolNumber.udp);
      case 'sctp_src':
      case 'sctp_dst':
        return transport(protocolNumber.sctp);
      case 'icmpv4_type':
      case 'icmpv4_code':
        return type === etherType.ipv4 && transport(protocolNumber.icmp);
      case 'icmpv6_type':
      case 'icmpv6_code':
        return icmp6();
      case 'nd_target':
      case 'nd_reserved':
      case 'nd_options_type':
        return icmp6() && [neighbourSolicit, neighbourAdvert].includes(this.#values.get('icmpv6_type') ?? 0n);
      case 'nd_sll':
        return icmp6() && this.#values.get('icmpv6_type') === neighbourSolicit;
      case 'nd_tll':
        return icmp6() && this.#values.get('icmpv6_type') === neighbourAdvert;
      case 'arp_op':
      case 'arp_spa':
      case 'arp_tpa':
      case 'arp_sha':
      case 'arp_tha':
        return type === etherType.arp;
      default:
        return true;
    }
  }

  /** What stays of it on a wire: registers, metadata, conntrack state and the tunnel it came by are gone. */
  onWire(): Packet {
    const kept = [...this.#values].filter(([field]) => !pipelineOnly.test(field));
    return new Packet({}, this.length, new Map(kept));
  }

  /** Every field that was given a value. */
  entries(): Iterable<[FieldName, bigint]> {
    return this.#values;
  }
}

const pipelineOnly = /^(reg\d+|metadata|in_port|pkt_mark|tun_\w+|ct_\w+|conj_id)$/;
