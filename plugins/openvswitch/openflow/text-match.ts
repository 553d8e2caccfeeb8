/** Matches as ovs-ofctl prints them, field for field in its order (match_format() of lib/match.c), and read back. */

import { type FieldName, fieldBits, type Match } from '../../../src/pipeline/flow.ts';
import { fieldOfText } from './fields.ts';
import { ethernet, ipProtocol } from './prerequisites.ts';
import { cut, type Piece, reading } from './text-scan.ts';
import { allOnes, formatPort, formatValue, hex, type Masked, parseValue, parseWhole, toScalar } from './text-values.ts';

/** A field's value and mask, normalised; undefined where the match leaves it open. */
function masked(match: Match, field: FieldName): Masked | undefined {
  const given = match[field];
  if (given === undefined) return undefined;
  if (typeof given !== 'object') return { value: BigInt(given) };
  // Open vSwitch keeps 8 bits of ct_state.
  const ones = field === 'ct_state' ? 0xffn : allOnes(field);
  const mask = BigInt(given.mask) & ones;
  if (mask === 0n) return undefined;
  return mask === ones ? { value: BigInt(given.value) & ones } : { value: BigInt(given.value) & mask, mask };
}

function exact(match: Match, field: FieldName): number | undefined {
  const found = masked(match, field);
  return found === undefined || found.mask !== undefined ? undefined : Number(found.value);
}

/** Names of kinds of packet: [name, eth_type, ip_proto]. */
const protocols: readonly (readonly [name: string, ethType: number, ipProto?: number])[] = [
  ['tcp', ethernet.ipv4, ipProtocol.tcp],
  ['udp', ethernet.ipv4, ipProtocol.udp],
  ['sctp', ethernet.ipv4, ipProtocol.sctp],
  ['icmp', ethernet.ipv4, ipProtocol.icmp],
  ['ip', ethernet.ipv4],
  ['tcp6', ethernet.ipv6, ipProtocol.tcp],
  ['udp6', ethernet.ipv6, ipProtocol.udp],
  ['sctp6', ethernet.ipv6, ipProtocol.sctp],
  ['icmp6', ethernet.ipv6, ipProtocol.icmpv6],
  ['ipv6', ethernet.ipv6],
  ['arp', ethernet.arp],
  ['rarp', ethernet.rarp],
  ['mpls', 0x8847],
  ['mplsm', 0x8848],
];

const registers = Object.keys(fieldBits).filter((name) => name.startsWith('reg')) as FieldName[];

/** The match's fields, without priority; empty for one that matches every packet. */
export function formatMatch(match: Match): string {
  const out: string[] = [];
  const put = (field: FieldName, name: string = field, print = formatValue): void => {
    const found = masked(match, field);
    if (found !== undefined) out.push(`${name}=${print(field, found)}`);
  };
  const ethType = exact(match, 'eth_type');
  const ipProto = exact(match, 'ip_proto');
  const kind =
    protocols.find((row) => row[1] === ethType && row[2] === ipProto) ??
    protocols.find((row) => row[1] === ethType && row[2] === undefined);

  put('pkt_mark');
  put('conj_id');
  put('ct_state');
  put('ct_zone');
  put('ct_mark');
  put('ct_label');
  if (kind !== undefined) out.push(kind[0]);
  for (const register of registers) put(register);
  put('tun_id');
  put('tun_src');
  put('tun_dst');
  put('metadata');
  const inPort = exact(match, 'in_port');
  if (inPort !== undefined) out.push(`in_port=${formatPort(inPort)}`);
  out.push(...formatVlan(match));
  put('eth_src', 'dl_src');
  put('eth_dst', 'dl_dst');
  if (kind === undefined && ethType !== undefined) out.push(`dl_type=0x${ethType.toString(16).padStart(4, '0')}`);
  put('ipv6_src');
  put('ipv6_dst');
  put('arp_spa');
  put('arp_tpa');
  put('ipv4_src', 'nw_src');
  put('ipv4_dst', 'nw_dst');
  if (kind?.[2] === undefined) put('ip_proto', 'nw_proto');
  put('arp_op');
  put('arp_sha');
  put('arp_tha');
  // The whole byte's notation: DSCP in the upper six bits.
  put('ip_dscp', 'nw_tos', (_, { value }) => (value << 2n).toString());
  put('ip_ecn', 'nw_ecn');
  put('ip_ttl', 'nw_ttl');
  put('ip_frag', 'nw_frag');
  put('icmpv4_type', 'icmp_type');
  put('icmpv4_code', 'icmp_code');
  put('icmpv6_type', 'icmp_type');
  put('icmpv6_code', 'icmp_code');
  put('nd_target');
  put('nd_sll');
  put('nd_tll');
  put('nd_reserved');
  put('nd_options_type');
  for (const field of ['tcp_src', 'udp_src', 'sctp_src'] as const) put(field, 'tp_src', formatTransport);
  for (const field of ['tcp_dst', 'udp_dst', 'sctp_dst'] as const) put(field, 'tp_dst', formatTransport);
  put('tcp_flags');
  return out.join(',');
}

/** Masked ports are in hex on both sides. */
function formatTransport(_: FieldName, { value, mask }: Masked): string {
  return mask === undefined ? value.toString() : `0x${value.toString(16)}/${hex(mask)}`;
}

const vidPresent = 0x1000n;

function formatVlan(match: Match): string[] {
  const vid = masked(match, 'vlan_vid');
  if (vid === undefined) return [];
  const pcp = masked(match, 'vlan_pcp');
  const vidMask = vid.mask ?? 0x1fffn;
  const tagged = (vid.value & vidPresent) !== 0n;
  const wholeVid = (vidMask & 0xfffn) === 0xfffn;
  const noVid = (vidMask & 0xfffn) === 0n;
  if (tagged && (wholeVid || (noVid && pcp !== undefined))) {
    const out = wholeVid ? [`dl_vlan=${vid.value & 0xfffn}`] : [];
    if (pcp !== undefined) out.push(`dl_vlan_pcp=${pcp.value}`);
    return out;
  }
  const tci = vid.value | ((pcp?.value ?? 0n) << 13n);
  const tciMask = vidMask | (pcp === undefined ? 0n : 0xe000n);
  const four = (value: bigint): string => `0x${value.toString(16).padStart(4, '0')}`;
  return [`vlan_tci=${four(tci)}/${four(tciMask)}`];
}

/** What a match says that decides which field a name such as tp_src or nw_src means. */
type Kind = { ethType?: number; ipProto?: number };

/** Names that mean another field with another kind of packet; the first whose kind fits is taken. */
const transport = (side: 'src' | 'dst') => (kind: Kind) =>
  kind.ipProto === ipProtocol.tcp
    ? (`tcp_${side}` as const)
    : kind.ipProto === ipProtocol.udp
      ? (`udp_${side}` as const)
      : kind.ipProto === ipProtocol.sctp
        ? (`sctp_${side}` as const)
        : undefined;
const isArp = (kind: Kind): boolean => kind.ethType === ethernet.arp || kind.ethType === ethernet.rarp;

const aliases: Record<string, (kind: Kind) => FieldName | undefined> = {
  dl_src: () => 'eth_src',
  dl_dst: () => 'eth_dst',
  dl_type: () => 'eth_type',
  nw_src: (kind) => (isArp(kind) ? 'arp_spa' : 'ipv4_src'),
  nw_dst: (kind) => (isArp(kind) ? 'arp_tpa' : 'ipv4_dst'),
  nw_proto: (kind) => (isArp(kind) ? 'arp_op' : 'ip_proto'),
  nw_frag: () => 'ip_frag',
  tp_src: transport('src'),
  tp_dst: transport('dst'),
  icmp_type: (kind) => (kind.ethType === ethernet.ipv6 ? 'icmpv6_type' : 'icmpv4_type'),
  icmp_code: (kind) => (kind.ethType === ethernet.ipv6 ? 'icmpv6_code' : 'icmpv4_code'),
  tunnel_id: () => 'tun_id',
};

/** Reads fields and names of protocols. Throws FlowTextError. */
export function parseMatch(pieces: readonly Piece[]): Match {
  const match: Match = {};
  const kind: Kind = {};
  const rest: [Piece, Piece, Piece][] = [];
  const set = (field: FieldName, { value, mask }: Masked): void => {
    if (match[field] !== undefined) throw new Error(`${field} is given twice`);
    if (mask === 0n) return;
    const ones = allOnes(field);
    match[field] =
      mask === undefined || mask === ones
        ? toScalar(field, value)
        : { value: toScalar(field, value & mask), mask: toScalar(field, mask) };
  };
  for (const piece of pieces) {
    const [name, value] = cut(piece, /[=:]/);
    reading(piece, () => {
      const protocol = value === undefined ? protocols.find((row) => row[0] === name.text) : undefined;
      if (protocol !== undefined) {
        set('eth_type', { value: BigInt(protocol[1]) });
        if (protocol[2] !== undefined) set('ip_proto', { value: BigInt(protocol[2]) });
      } else if (value === undefined) {
        throw new Error('neither a field with its value nor a protocol');
      } else if (name.text === 'dl_type' || name.text === 'eth_type') {
        set('eth_type', parseValue('eth_type', value.text));
      } else {
        rest.push([piece, name, value]);
      }
    });
  }
  kind.ethType = match.eth_type as number | undefined;
  kind.ipProto = match.ip_proto as number | undefined;
  // nw_proto decides what tp_src means, so it goes first.
  rest.sort((a, b) => Number(isProtocol(b[1].text)) - Number(isProtocol(a[1].text)));
  for (const [piece, name, value] of rest) {
    reading(piece, () => setField(name.text, value.text, kind, set));
    kind.ipProto = match.ip_proto as number | undefined;
  }
  // A priority without a VLAN id says that there is a tag.
  if (match.vlan_pcp !== undefined) match.vlan_vid ??= { value: 0x1000, mask: 0x1000 };
  return match;
}

function isProtocol(name: string): boolean {
  return name === 'nw_proto' || name === 'ip_proto';
}

function setField(name: string, text: string, kind: Kind, set: (field: FieldName, value: Masked) => void): void {
  if (name === 'dl_vlan') {
    set('vlan_vid', { value: parseWhole(text, 12) | vidPresent });
  } else if (name === 'dl_vlan_pcp') {
    set('vlan_pcp', { value: parseWhole(text, 3) });
  } else if (name === 'vlan_tci') {
    setVlanTci(text, set);
  } else if (name === 'nw_tos') {
    const tos = parseWhole(text, 8);
    if ((tos & 3n) !== 0n) throw new Error('the lower two bits are nw_ecn');
    set('ip_dscp', { value: tos >> 2n });
  } else {
    const field = aliases[name]?.(kind) ?? fieldOfText(name)?.name;
    if (field === undefined) throw new Error(`unknown field "${name}"`);
    set(field, parseValue(field, text));
  }
}

function setVlanTci(text: string, set: (field: FieldName, value: Masked) => void): void {
  const [valueText = '', maskText = '0xffff'] = text.split('/');
  const value = parseWhole(valueText, 16);
  const mask = parseWhole(maskText, 16);
  const pcpMask = mask >> 13n;
  if (pcpMask !== 0n && pcpMask !== 7n) throw new Error('vlan_pcp takes no mask');
  set('vlan_vid', { value: value & mask & 0x1fffn, mask: mask & 0x1fffn });
  if (pcpMask !== 0n) set('vlan_pcp', { value: value >> 13n });
}
