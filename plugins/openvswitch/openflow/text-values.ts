/** Field values as ovs-ofctl prints and reads them (mf_format() of lib/meta-flow.c). All values are bigints here. */

import { isIPv4, isIPv6 } from 'node:net';
import { ctState, type FieldName, fieldBits, type Scalar } from '../../../src/pipeline/flow.ts';
import { isPort, reservedPortNames } from './ports.ts';

/** `mask` absent: exact. */
export type Masked = { value: bigint; mask?: bigint };

type Style = 'decimal' | 'hex' | 'mac' | 'ipv4' | 'ipv6' | 'port' | 'ct_state' | 'tcp_flags' | 'frag';

const styles: Partial<Record<FieldName, Style>> = {
  in_port: 'port',
  eth_src: 'mac',
  eth_dst: 'mac',
  arp_sha: 'mac',
  arp_tha: 'mac',
  nd_sll: 'mac',
  nd_tll: 'mac',
  ipv4_src: 'ipv4',
  ipv4_dst: 'ipv4',
  arp_spa: 'ipv4',
  arp_tpa: 'ipv4',
  tun_src: 'ipv4',
  tun_dst: 'ipv4',
  ipv6_src: 'ipv6',
  ipv6_dst: 'ipv6',
  nd_target: 'ipv6',
  ct_state: 'ct_state',
  tcp_flags: 'tcp_flags',
  ip_frag: 'frag',
  eth_type: 'hex',
  tun_id: 'hex',
  metadata: 'hex',
  pkt_mark: 'hex',
  ct_mark: 'hex',
  ct_label: 'hex',
};

function styleOf(field: FieldName): Style {
  return styles[field] ?? (/^x*reg/.test(field) ? 'hex' : 'decimal');
}

export function allOnes(field: FieldName): bigint {
  return (1n << BigInt(fieldBits[field])) - 1n;
}

/** A field's number where it has 48 bits at most, else a bigint. */
export function toScalar(field: FieldName, value: bigint): Scalar {
  return fieldBits[field] <= 48 ? Number(value) : value;
}

/** 0x-hex; a zero is a bare 0. */
export function hex(value: bigint): string {
  return value === 0n ? '0' : `0x${value.toString(16)}`;
}

export function formatMac(value: bigint): string {
  return value
    .toString(16)
    .padStart(12, '0')
    .replace(/..(?!$)/g, '$&:');
}

export function formatIpv4(value: bigint): string {
  return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 0xffn).join('.');
}

/** As inet_ntop() of glibc: the longest run of zero words is "::", IPv4 within it is dotted. */
export function formatIpv6(value: bigint): string {
  const words = Array.from({ length: 8 }, (_, index) => Number((value >> BigInt(112 - 16 * index)) & 0xffffn));
  let from = 0;
  let run = 0;
  for (let at = 0; at < 8; at++) {
    let end = at;
    while (end < 8 && words[end] === 0) end++;
    if (end - at > run) {
      from = at;
      run = end - at;
    }
  }
  const dotted = from === 0 && (run === 6 || (run === 5 && words[5] === 0xffff));
  const texts = words.map((word) => word.toString(16));
  const tail = dotted ? [...texts.slice(0, 6), formatIpv4(value & 0xffffffffn)] : texts;
  if (run < 2) return tail.join(':');
  return `${tail.slice(0, from).join(':')}::${tail.slice(from + run).join(':')}`;
}

/** Length of the prefix that a mask is, else undefined. */
function prefixLength(mask: bigint, bits: number): number | undefined {
  const inverted = mask ^ ((1n << BigInt(bits)) - 1n);
  if ((inverted & (inverted + 1n)) !== 0n) return undefined;
  return bits - (inverted === 0n ? 0 : inverted.toString(2).length);
}

export function formatPort(port: number): string {
  return reservedPortNames.get(port) ?? String(port);
}

type Flags = readonly (readonly [name: string, bit: bigint])[];

const ctStateFlags: Flags = Object.entries(ctState).map(([name, bit]) => [name, BigInt(bit)]);
const tcpFlagNames = ['fin', 'syn', 'rst', 'psh', 'ack', 'urg', 'ece', 'cwr', 'ns', '[200]', '[400]', '[800]'];
const tcpFlags: Flags = tcpFlagNames.map((name, index) => [name, 1n << BigInt(index)]);

function formatFlags(flags: Flags, { value, mask }: Masked): string {
  if (mask === undefined) {
    const set = flags.filter(([, bit]) => (value & bit) !== 0n).map(([name]) => name);
    return set.length === 0 ? '0' : set.join('|');
  }
  return flags
    .filter(([, bit]) => (mask & bit) !== 0n)
    .map(([name, bit]) => ((value & bit) !== 0n ? '+' : '-') + name)
    .join('');
}

/** [value, mask, name]; both bits known unless the mask says otherwise. NXM_NX_IP_FRAG of ovs-fields(7). */
const fragments: readonly (readonly [value: bigint, mask: bigint, name: string])[] = [
  [0n, 3n, 'no'],
  [1n, 3n, 'first'],
  [3n, 3n, 'later'],
  [1n, 1n, 'yes'],
  [0n, 1n, 'no'],
  [0n, 2n, 'not_later'],
  [2n, 2n, 'later'],
];

function formatFragment({ value, mask = 3n }: Masked): string {
  return fragments.find((row) => row[0] === value && row[1] === mask)?.[2] ?? '<error>';
}

/** A value in the notation of set_field. */
export function formatValue(field: FieldName, given: Masked): string {
  const { value, mask } = given;
  const style = styleOf(field);
  switch (style) {
    case 'ct_state':
      return formatFlags(ctStateFlags, given);
    case 'tcp_flags':
      return formatFlags(tcpFlags, given);
    case 'frag':
      return formatFragment(given);
    case 'port':
      return formatPort(Number(value));
    case 'mac':
      return formatMac(value) + (mask === undefined ? '' : `/${formatMac(mask)}`);
    case 'ipv4':
    case 'ipv6': {
      const print = style === 'ipv4' ? formatIpv4 : formatIpv6;
      if (mask === undefined) return print(value);
      return `${print(value)}/${prefixLength(mask, fieldBits[field]) ?? print(mask)}`;
    }
    case 'hex':
      return hex(value) + (mask === undefined ? '' : `/${hex(mask)}`);
    case 'decimal':
      return value.toString() + (mask === undefined ? '' : `/${hex(mask)}`);
  }
}

/** A whole number in decimal or 0x-hex. Throws an Error that says what was there instead. */
export function parseWhole(text: string, bits: number): bigint {
  if (!/^(0x[0-9a-f]+|\d+)$/i.test(text)) throw new Error(`"${text}" is not a number`);
  const value = BigInt(text);
  if (value >> BigInt(bits) !== 0n) throw new Error(`${text} has more than ${bits} bits`);
  return value;
}

function parseMac(text: string): bigint {
  if (!/^([0-9a-f]{1,2}:){5}[0-9a-f]{1,2}$/i.test(text)) throw new Error(`"${text}" is not a MAC`);
  return text.split(':').reduce((value, byte) => (value << 8n) | BigInt(`0x${byte}`), 0n);
}

export function parseIpv4(text: string): bigint {
  if (!isIPv4(text)) throw new Error(`"${text}" is not an IPv4 address`);
  return text.split('.').reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);
}

export function parseIpv6(text: string): bigint {
  if (!isIPv6(text) || text.includes('%')) throw new Error(`"${text}" is not an IPv6 address`);
  const hexOnly = text.replace(/[^:]+\.[^:]+$/, (dotted) => {
    const value = parseIpv4(dotted);
    return `${(value >> 16n).toString(16)}:${(value & 0xffffn).toString(16)}`;
  });
  const [head = '', tail] = hexOnly.split('::');
  const words = (part: string): string[] => (part === '' ? [] : part.split(':'));
  const first = words(head);
  const last = tail === undefined ? [] : words(tail);
  const middle = Array.from({ length: 8 - first.length - last.length }, () => '0');
  return [...first, ...middle, ...last].reduce((value, word) => (value << 16n) | BigInt(`0x${word}`), 0n);
}

export function parsePort(text: string): number {
  for (const [port, name] of reservedPortNames) if (name === text.toUpperCase()) return port;
  const number = Number(parseWhole(text, 32));
  if (isPort(number)) return number;
  // OpenFlow 1.0 numbers of reserved ports.
  if (number >= 0xff00 && number <= 0xffff) return (0xffff0000 | number) >>> 0;
  throw new Error(`${text} is no port number`);
}

function parseFlags(flags: Flags, text: string, bits: number): Masked {
  const numbers = /^(\w+)\/(\w+)$/.exec(text);
  if (numbers) return { value: parseWhole(numbers[1]!, bits), mask: parseWhole(numbers[2]!, bits) };
  const bitOf = (name: string): bigint => {
    const found = flags.find((row) => row[0] === name);
    if (found === undefined) throw new Error(`"${name}" is no flag`);
    return found[1];
  };
  if (!/^[+-]/.test(text)) {
    const parts = text.split('|').map((part) => (/^\d/.test(part) ? parseWhole(part, bits) : bitOf(part)));
    return { value: parts.reduce((value, bit) => value | bit, 0n) };
  }
  const result = { value: 0n, mask: 0n };
  for (const [, sign, name] of text.matchAll(/([+-])([^+-]*)/g)) {
    const bit = bitOf(name!);
    if ((result.mask & bit) !== 0n) throw new Error(`flag "${name}" twice`);
    result.mask |= bit;
    if (sign === '+') result.value |= bit;
  }
  return result;
}

function parseFragment(text: string): Masked {
  // ovs-ofctl reads an ambiguous "no" and "later" with both bits.
  const found = fragments.find((row) => row[2] === text);
  if (found === undefined) throw new Error(`"${text}" is none of no, yes, first, later, not_later`);
  return found[1] === 3n ? { value: found[0] } : { value: found[0], mask: found[1] };
}

/** Reads what formatValue writes. Throws an Error. */
export function parseValue(field: FieldName, text: string): Masked {
  const bits = fieldBits[field];
  const style = styleOf(field);
  if (style === 'ct_state') return parseFlags(ctStateFlags, text, bits);
  if (style === 'tcp_flags') return parseFlags(tcpFlags, text, bits);
  if (style === 'frag') return parseFragment(text);
  if (style === 'port') return { value: BigInt(parsePort(text)) };
  const slash = text.indexOf('/');
  const valueText = slash < 0 ? text : text.slice(0, slash);
  const read =
    { mac: parseMac, ipv4: parseIpv4, ipv6: parseIpv6 }[style as string] ?? ((s: string) => parseWhole(s, bits));
  const value = read(valueText);
  if (slash < 0) return { value };
  const maskText = text.slice(slash + 1);
  const isPrefix = (style === 'ipv4' || style === 'ipv6') && /^\d+$/.test(maskText);
  const mask = isPrefix ? prefixMask(maskText, bits) : read(maskText);
  return mask === allOnes(field) ? { value } : { value: value & mask, mask };
}

function prefixMask(text: string, bits: number): bigint {
  const length = Number(text);
  if (length > bits) throw new Error(`/${text} is longer than ${bits} bits`);
  return ((1n << BigInt(length)) - 1n) << BigInt(bits - length);
}
