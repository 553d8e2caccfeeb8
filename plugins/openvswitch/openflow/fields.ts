/**
 * How the match fields of src/pipeline/flow.ts are spelt on the wire, in the order in which Open vSwitch 3.1 writes them
 * in a flow description (nx_put_raw() of lib/nx-match.c), so that a match we encode is byte for byte what comes back.
 */

import { type FieldName, fieldBits } from '../../../src/pipeline/flow.ts';

/** What a match must say before a field may be used. ovs-fields(7), "Prerequisites". */
export type Prerequisite =
  | 'none'
  | 'vlan'
  | 'ip'
  | 'ipv4'
  | 'ipv6'
  | 'arp'
  | 'tcp'
  | 'udp'
  | 'sctp'
  | 'icmpv4'
  | 'icmpv6'
  | 'nd'
  | 'nd solicit'
  | 'nd advert';

export type FieldSpec = {
  readonly name: FieldName;
  readonly bits: number;
  /** Of the value on the wire. */
  readonly bytes: number;
  /** OXM header of the exact field, as OpenFlow 1.5 has it: class, field, no mask, length. */
  readonly header: number;
  /** The older NXM header where there is one, else `header`. output_reg and ct take this. */
  readonly legacyHeader: number;
  /** Place in Open vSwitch's order. */
  readonly order: number;
  /** Number of a general purpose register, else -1. */
  readonly register: number;
  /** Whether a match may have it. */
  readonly matchable: boolean;
  readonly maskable: boolean;
  readonly writable: boolean;
  readonly prerequisite: Prerequisite;
  /** All ones of `bits` (of 32 at most; wider fields are handled as 32-bit words). */
  readonly full: number;
  /** The greatest value, as a bigint and (of a field above 53 bits the greatest safe integer) as a number. */
  readonly most: bigint;
  readonly mostNumber: number;
  /** Those of `full` that Open vSwitch keeps; it refuses the others in a value and forgets them in a mask. */
  readonly kept: number;
  /** Bits a move may use: Open vSwitch counts vlan_vid as 12. */
  readonly moveBits: number;
  /** Name in set_field and in matches of ovs-ofctl. */
  readonly ovsName: string;
  /** Name in moves, output:REG and ct zones of ovs-ofctl. */
  readonly nxmName: string;
};

/** OXM classes: OpenFlow basic, packet registers, and those Open vSwitch numbers by the prefix of the name. */
const oxmBasic = 0x8000;
export const packetRegisters = 0x8001;
const classOfPrefix: Record<string, number> = {
  NXM_OF_: 0x0000,
  NXM_NX_: 0x0001,
  ERICOXM_OF_: 0x1000,
  OXM_OF_: oxmBasic,
};

type Row = {
  name: FieldName;
  /** Number in class OFPXMC_OPENFLOW_BASIC, if it is there. */
  oxm?: number;
  /** The oldest name and number. */
  nxm: [name: string, field: number];
  ovs?: string;
  needs?: Prerequisite;
  exactOnly?: true;
  readOnly?: true;
  kept?: number;
  actionsOnly?: true;
};

const registerOrder = 100;

const rows: Row[] = [
  { name: 'conj_id', nxm: ['NXM_NX_CONJ_ID', 37], exactOnly: true, readOnly: true },
  { name: 'in_port', oxm: 0, nxm: ['OXM_OF_IN_PORT', 0], exactOnly: true },
  { name: 'eth_src', oxm: 4, nxm: ['NXM_OF_ETH_SRC', 2] },
  { name: 'eth_dst', oxm: 3, nxm: ['NXM_OF_ETH_DST', 1] },
  { name: 'eth_type', oxm: 5, nxm: ['NXM_OF_ETH_TYPE', 3], exactOnly: true, readOnly: true },
  { name: 'vlan_vid', oxm: 6, nxm: ['OXM_OF_VLAN_VID', 6] },
  { name: 'vlan_pcp', oxm: 7, nxm: ['OXM_OF_VLAN_PCP', 7], needs: 'vlan', exactOnly: true },
  { name: 'ipv4_src', oxm: 11, nxm: ['NXM_OF_IP_SRC', 7], ovs: 'ip_src', needs: 'ipv4' },
  { name: 'ipv4_dst', oxm: 12, nxm: ['NXM_OF_IP_DST', 8], ovs: 'ip_dst', needs: 'ipv4' },
  { name: 'ipv6_src', oxm: 26, nxm: ['NXM_NX_IPV6_SRC', 19], needs: 'ipv6' },
  { name: 'ipv6_dst', oxm: 27, nxm: ['NXM_NX_IPV6_DST', 20], needs: 'ipv6' },
  { name: 'ip_frag', nxm: ['NXM_NX_IP_FRAG', 26], needs: 'ip', readOnly: true },
  { name: 'ip_dscp', oxm: 8, nxm: ['OXM_OF_IP_DSCP', 8], needs: 'ip', exactOnly: true },
  { name: 'ip_ecn', oxm: 9, nxm: ['NXM_NX_IP_ECN', 28], ovs: 'nw_ecn', needs: 'ip', exactOnly: true },
  { name: 'ip_ttl', nxm: ['NXM_NX_IP_TTL', 29], ovs: 'nw_ttl', needs: 'ip', exactOnly: true },
  {
    name: 'ip_proto',
    oxm: 10,
    nxm: ['NXM_OF_IP_PROTO', 6],
    ovs: 'nw_proto',
    needs: 'ip',
    exactOnly: true,
    readOnly: true,
  },
  { name: 'tcp_src', oxm: 13, nxm: ['NXM_OF_TCP_SRC', 9], needs: 'tcp' },
  { name: 'tcp_dst', oxm: 14, nxm: ['NXM_OF_TCP_DST', 10], needs: 'tcp' },
  { name: 'tcp_flags', oxm: 42, nxm: ['NXM_NX_TCP_FLAGS', 34], needs: 'tcp', readOnly: true },
  { name: 'udp_src', oxm: 15, nxm: ['NXM_OF_UDP_SRC', 11], needs: 'udp' },
  { name: 'udp_dst', oxm: 16, nxm: ['NXM_OF_UDP_DST', 12], needs: 'udp' },
  { name: 'sctp_src', oxm: 17, nxm: ['OXM_OF_SCTP_SRC', 17], needs: 'sctp' },
  { name: 'sctp_dst', oxm: 18, nxm: ['OXM_OF_SCTP_DST', 18], needs: 'sctp' },
  { name: 'icmpv4_type', oxm: 19, nxm: ['NXM_OF_ICMP_TYPE', 13], ovs: 'icmp_type', needs: 'icmpv4', exactOnly: true },
  { name: 'icmpv4_code', oxm: 20, nxm: ['NXM_OF_ICMP_CODE', 14], ovs: 'icmp_code', needs: 'icmpv4', exactOnly: true },
  { name: 'icmpv6_type', oxm: 29, nxm: ['NXM_NX_ICMPV6_TYPE', 21], needs: 'icmpv6', exactOnly: true },
  { name: 'icmpv6_code', oxm: 30, nxm: ['NXM_NX_ICMPV6_CODE', 22], needs: 'icmpv6', exactOnly: true },
  { name: 'nd_reserved', nxm: ['ERICOXM_OF_ICMPV6_ND_RESERVED', 1], needs: 'nd', exactOnly: true },
  { name: 'nd_target', oxm: 31, nxm: ['NXM_NX_ND_TARGET', 23], needs: 'nd' },
  { name: 'nd_options_type', nxm: ['ERICOXM_OF_ICMPV6_ND_OPTIONS_TYPE', 2], needs: 'nd', exactOnly: true },
  { name: 'nd_sll', oxm: 32, nxm: ['NXM_NX_ND_SLL', 24], needs: 'nd solicit' },
  { name: 'nd_tll', oxm: 33, nxm: ['NXM_NX_ND_TLL', 25], needs: 'nd advert' },
  { name: 'arp_op', oxm: 21, nxm: ['NXM_OF_ARP_OP', 15], needs: 'arp', exactOnly: true, kept: 0xff },
  { name: 'arp_spa', oxm: 22, nxm: ['NXM_OF_ARP_SPA', 16], needs: 'arp' },
  { name: 'arp_tpa', oxm: 23, nxm: ['NXM_OF_ARP_TPA', 17], needs: 'arp' },
  { name: 'arp_sha', oxm: 24, nxm: ['NXM_NX_ARP_SHA', 17], needs: 'arp' },
  { name: 'arp_tha', oxm: 25, nxm: ['NXM_NX_ARP_THA', 18], needs: 'arp' },
  { name: 'tun_id', oxm: 38, nxm: ['NXM_NX_TUN_ID', 16] },
  { name: 'tun_src', nxm: ['NXM_NX_TUN_IPV4_SRC', 31] },
  { name: 'tun_dst', nxm: ['NXM_NX_TUN_IPV4_DST', 32] },
  // Here come the registers; see registerOrder.
  { name: 'pkt_mark', nxm: ['NXM_NX_PKT_MARK', 33] },
  { name: 'ct_state', nxm: ['NXM_NX_CT_STATE', 105], readOnly: true, kept: 0xff },
  { name: 'ct_zone', nxm: ['NXM_NX_CT_ZONE', 106], exactOnly: true, readOnly: true },
  { name: 'ct_mark', nxm: ['NXM_NX_CT_MARK', 107] },
  { name: 'ct_label', nxm: ['NXM_NX_CT_LABEL', 108] },
  { name: 'metadata', oxm: 2, nxm: ['OXM_OF_METADATA', 2] },
];

function wireBytes(bits: number): number {
  return [1, 2, 4, 6, 8, 16].find((bytes) => bits <= bytes * 8)!;
}

function header(oxmClass: number, field: number, length: number): number {
  return oxmClass * 0x10000 + field * 0x200 + length;
}

function spec(row: Row, order: number, register: number): FieldSpec {
  const bits = fieldBits[row.name];
  const bytes = wireBytes(bits);
  const full = 2 ** Math.min(bits, 32) - 1;
  const [nxmName, nxmField] = row.nxm;
  const prefix = /^[A-Z]+_[A-Z]+_/.exec(nxmName)![0];
  const legacyHeader = header(classOfPrefix[prefix]!, nxmField, bytes);
  return {
    name: row.name,
    bits,
    bytes,
    header: row.oxm === undefined ? legacyHeader : header(oxmBasic, row.oxm, bytes),
    legacyHeader,
    order,
    register,
    matchable: !row.actionsOnly,
    maskable: !row.exactOnly,
    writable: !row.readOnly,
    prerequisite: row.needs ?? 'none',
    full,
    kept: row.kept ?? full,
    most: (1n << BigInt(bits)) - 1n,
    mostNumber: Math.min(2 ** bits - 1, Number.MAX_SAFE_INTEGER),
    moveBits: row.name === 'vlan_vid' ? 12 : bits,
    ovsName: row.ovs ?? row.name,
    nxmName,
  };
}

export const registerCount = 16;

const beforeRegisters = rows.findIndex((row) => row.name === 'pkt_mark');

/** Every field but the registers, in Open vSwitch's order; a register's `order` is the same for all. */
export const fieldSpecs: readonly FieldSpec[] = [
  ...rows.map((row, index) => spec(row, index < beforeRegisters ? index : registerOrder + 1 + index, -1)),
  ...Array.from({ length: registerCount }, (_, register) => {
    const name = `reg${register}` as FieldName;
    return spec({ name, nxm: [`NXM_NX_REG${register}`, register] }, registerOrder, register);
  }),
  // In a match they would come back as packet registers, so there they are not ours.
  ...Array.from({ length: registerCount / 4 }, (_, number) => {
    const name = `xxreg${number}` as FieldName;
    return spec({ name, nxm: [`NXM_NX_XXREG${number}`, 111 + number], actionsOnly: true }, registerOrder, -1);
  }),
];

export { registerOrder };

/** OXM header of the packet register that holds registers 2n (high half) and 2n+1. OpenFlow 1.5.1 section 7.2.3.8. */
export function packetRegisterHeader(pair: number): number {
  return header(packetRegisters, pair, 8);
}

/**
 * NXM_OF_IN_PORT: 16 bits wide, and unlike OXM_OF_IN_PORT it may be set. A zero in it lets a packet leave by the port it
 * came in.
 */
export const legacyInPortHeader: number = header(0x0000, 0, 2);

const byName = new Map<string, FieldSpec>(fieldSpecs.map((field) => [field.name, field]));

/** Throws an Error on a name that is no field. */
export function fieldSpec(name: string): FieldSpec {
  const found = byName.get(name);
  if (found === undefined) throw new Error(`unknown field "${name}"`);
  return found;
}

/** Class and field number, without mask bit and length. */
function kindOf(header: number): number {
  return header >>> 9;
}

const byKind = new Map<number, FieldSpec>();
for (const field of fieldSpecs) {
  byKind.set(kindOf(field.header), field);
  byKind.set(kindOf(field.legacyHeader), field);
}

/** The field that a header's class and number name, whatever its mask bit and length. */
export function fieldOfHeader(header: number): FieldSpec | undefined {
  return byKind.get(kindOf(header));
}

const byText = new Map<string, FieldSpec>();
for (const field of fieldSpecs) for (const text of [field.name, field.ovsName, field.nxmName]) byText.set(text, field);

/** A field by any name that ovs-ofctl prints or we use. */
export function fieldOfText(text: string): FieldSpec | undefined {
  return byText.get(text);
}

/** Subfields travel as (offset << 6) | (bits - 1) in Nicira's actions. */
export function offsetAndBits(offset: number, bits: number): number {
  return (offset << 6) | (bits - 1);
}
