/**
 * Addresses and prefixes of both IP versions as numbers: IPv4 as unsigned 32-bit numbers, IPv6 (RFC 4291) as bigints of
 * 128 bits. Texts are taken in any form the RFCs allow and written in the canonical one (RFC 5952).
 */
import { Address6 } from 'ip-address';
import { formatIpv4, maskOf, parseIpv4 } from './addresses.ts';

export type Ip = { readonly family: 4; readonly value: number } | { readonly family: 6; readonly value: bigint };

/** `base` has no host bits. */
export type IpPrefix = Ip & { readonly length: number };

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
  if (text.includes('/') || text.includes('%') || !Address6.isValid(text)) return undefined;
  return new Address6(text).bigInt();
}

/** RFC 5952. */
export function formatIpv6(value: bigint): string {
  return Address6.fromBigInt(value).correctForm();
}

export function formatIp(ip: Ip): string {
  return ip.family === 4 ? formatIpv4(ip.value) : formatIpv6(ip.value);
}

/** Netmask of an IPv6 prefix length, 0-128. */
export function mask6Of(length: number): bigint {
  return ((1n << BigInt(length)) - 1n) << BigInt(128 - length);
}

/** A prefix of either version; undefined when it is malformed or has host bits. */
export function parseIpPrefix(text: string): IpPrefix | undefined {
  const [address = '', digits = '', ...more] = text.split('/');
  const ip = parseIp(address);
  if (ip === undefined || more.length > 0 || !/^(0|[1-9]\d{0,2})$/.test(digits)) return undefined;
  const length = Number(digits);
  if (ip.family === 4) {
    if (length > 32 || (ip.value & maskOf(length)) >>> 0 !== ip.value) return undefined;
  } else if (length > 128 || (ip.value & mask6Of(length)) !== ip.value) return undefined;
  return { ...ip, length };
}

export function formatIpPrefix(prefix: IpPrefix): string {
  return `${formatIp(prefix)}/${prefix.length}`;
}

export function isIn(prefix: IpPrefix, ip: Ip): boolean {
  if (prefix.family === 4) return ip.family === 4 && (ip.value & maskOf(prefix.length)) >>> 0 === prefix.value;
  return ip.family === 6 && (ip.value & mask6Of(prefix.length)) === prefix.value;
}
