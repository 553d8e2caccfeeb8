/**
 * Addresses and prefixes of both IP versions as numbers: IPv4 as unsigned 32-bit numbers, IPv6 (RFC 4291) as bigints of
 * 128 bits. Texts are taken in any form the RFCs allow and written in the canonical one (RFC 5952).
 */
import { isIPv6 } from 'node:net';
import { formatIpv4, maskOf, parseIpv4 } from './addresses.ts';

export type Ip = { readonly family: 4; readonly value: number } | { readonly family: 6; readonly value: bigint };

/** RFC 4632, RFC 4291 2.3: `value` has no host bits. */
export type IpPrefix = Ip & { readonly length: number };

/** Bits of an address. */
export function bitsOf({ family }: Ip): 32 | 128 {
  return family === 4 ? 32 : 128;
}

/** A literal of either version without zone and without prefix length; undefined for anything else. */
export function parseIp(text: string): Ip | undefined {
  if (!text.includes(':')) {
    const value = parseIpv4(text);
    return value === undefined ? undefined : { family: 4, value };
  }
  const value = parseIpv6(text);
  return value === undefined ? undefined : { family: 6, value };
}

/** 128 bits of an IPv6 literal. */
export function parseIpv6(text: string): bigint | undefined {
  if (!isIPv6(text) || text.includes('%')) return undefined;
  const dotted = text.includes('.') ? text.lastIndexOf(':') + 1 : text.length;
  const [head, tail] = [[] as number[], [] as number[]];
  let side = head;
  let group = -1;
  for (let i = 0; i < dotted; i++) {
    const c = text.charCodeAt(i);
    if (c !== 0x3a) group = (group < 0 ? 0 : group * 16) + digitOf(c);
    else if (group >= 0) {
      side.push(group);
      group = -1;
      // A colon behind nothing: the second one of `::`, or both where the text begins with it.
    } else side = tail;
  }
  if (group >= 0) side.push(group);
  if (dotted < text.length) {
    // The last four octets may be written as IPv4 (RFC 4291, 2.2).
    const low = parseIpv4(text.slice(dotted))!;
    side.push(low >>> 16, low & 0xffff);
  }
  const at = (i: number) => head[i] ?? tail[i - 8 + tail.length] ?? 0;
  const word = (i: number) => BigInt(at(i) * 65_536 + at(i + 1));
  return (word(0) << 96n) | (word(2) << 64n) | (word(4) << 32n) | word(6);
}

/** Of a hexadecimal digit in either case. */
function digitOf(c: number): number {
  return c < 0x3a ? c - 0x30 : (c | 0x20) - 0x57;
}

/** RFC 5952: the first of the longest runs of two zero groups or more is `::`. */
export function formatIpv6(value: bigint): string {
  const digits = value.toString(16).padStart(32, '0');
  const groups: string[] = [];
  let run = 0;
  let longest = { end: 0, length: 1 };
  for (let i = 0; i < 8; i++) {
    const group = Number.parseInt(digits.slice(4 * i, 4 * i + 4), 16);
    groups.push(group.toString(16));
    run = group === 0 ? run + 1 : 0;
    if (run > longest.length) longest = { end: i + 1, length: run };
  }
  const { end, length } = longest;
  if (length < 2) return groups.join(':');
  return `${groups.slice(0, end - length).join(':')}::${groups.slice(end).join(':')}`;
}

export function formatIp(ip: Ip): string {
  return ip.family === 4 ? formatIpv4(ip.value) : formatIpv6(ip.value);
}

/** Netmask of an IPv6 prefix length, 0-128. */
export function mask6Of(length: number): bigint {
  return ((1n << BigInt(length)) - 1n) << BigInt(128 - length);
}

/** An address with a prefix length, host bits and all. */
export function parseIpCidr(text: string): { ip: Ip; length: number } | undefined {
  const slash = text.indexOf('/');
  const ip = slash < 0 ? undefined : parseIp(text.slice(0, slash));
  const digits = text.slice(slash + 1);
  if (ip === undefined || !/^(0|[1-9]\d{0,2})$/.test(digits)) return undefined;
  const length = Number(digits);
  return length <= bitsOf(ip) ? { ip, length } : undefined;
}

/** A prefix of either version; undefined when it is malformed or has host bits. */
export function parseIpPrefix(text: string): IpPrefix | undefined {
  const cidr = parseIpCidr(text);
  if (cidr === undefined) return undefined;
  const prefix = prefixOf(cidr.ip, cidr.length);
  return prefix.value === cidr.ip.value ? prefix : undefined;
}

export function formatIpPrefix(prefix: IpPrefix): string {
  return `${formatIp(prefix)}/${prefix.length}`;
}

/** The prefix of this length the address lies in. */
export function prefixOf(ip: Ip, length: number): IpPrefix {
  return ip.family === 4
    ? { family: 4, value: (ip.value & maskOf(length)) >>> 0, length }
    : { family: 6, value: ip.value & mask6Of(length), length };
}

/** The address as a prefix of its own. */
export function hostPrefix(ip: Ip): IpPrefix {
  return { ...ip, length: bitsOf(ip) };
}

/** Whether the prefix stands for one address. */
export function isHost(prefix: IpPrefix): boolean {
  return prefix.length === bitsOf(prefix);
}

/** An address, as a prefix of its own, or a prefix. */
export function parseAddressOrPrefix(text: string): IpPrefix | undefined {
  if (text.includes('/')) return parseIpPrefix(text);
  const ip = parseIp(text);
  return ip && hostPrefix(ip);
}

/** Last address of the prefix. */
export function lastIpOf(prefix: IpPrefix): Ip {
  return prefix.family === 4
    ? { family: 4, value: (prefix.value | ~maskOf(prefix.length)) >>> 0 }
    : { family: 6, value: prefix.value | ((1n << BigInt(128 - prefix.length)) - 1n) };
}

export function isIn(prefix: IpPrefix, ip: Ip): boolean {
  if (prefix.family === 4) return ip.family === 4 && (ip.value & maskOf(prefix.length)) >>> 0 === prefix.value;
  return ip.family === 6 && (ip.value & mask6Of(prefix.length)) === prefix.value;
}

export function containsIpPrefix(outer: IpPrefix, inner: IpPrefix): boolean {
  return outer.length <= inner.length && isIn(outer, inner);
}

export function prefixesOverlap(a: IpPrefix, b: IpPrefix): boolean {
  return containsIpPrefix(a, b) || containsIpPrefix(b, a);
}

/** Distance of an address from the first one of its prefix; Infinity where it is 2^53 or more. */
export function offsetIn(prefix: IpPrefix, ip: Ip): number {
  if (prefix.family === 4) return Number(ip.value) - prefix.value;
  const offset = BigInt(ip.value) - prefix.value;
  return offset < 2n ** 53n ? Number(offset) : Number.POSITIVE_INFINITY;
}

/** The address so many above the first one of the prefix. */
export function ipAt(prefix: IpPrefix, offset: number): Ip {
  return prefix.family === 4
    ? { family: 4, value: prefix.value + offset }
    : { family: 6, value: prefix.value + BigInt(offset) };
}

/** The text in its one canonical form where it is an address or a prefix; else as it is, for others to refuse. */
export function canonicalIp(text: string): string {
  const ip = parseIp(text);
  return ip === undefined ? text : formatIp(ip);
}

export function canonicalIpPrefix(text: string): string {
  const cidr = parseIpCidr(text);
  // Host bits are kept: they are refused, as they were written.
  return cidr === undefined ? text : `${formatIp(cidr.ip)}/${cidr.length}`;
}
