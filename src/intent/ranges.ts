/** Ranges of IPv4 addresses, of VLANs and of ports: read from their texts, and found in tables of ranges that do not overlap. */
import { formatIpv4, parseIpv4 } from './addresses.ts';
import { lastIpOf, parseIpPrefix } from './ip.ts';
import type { Path, Resource } from './model.ts';
import type { SortedMap } from './sorted.ts';

/** Both ends belong to it. */
export type Range = { readonly first: number; readonly last: number };

/** By the first one of each: who has it, and up to where. */
export type Ranges = SortedMap<number, { readonly last: number; readonly path: Path }>;

/** `10.0.1.9`, or `10.0.1.100-10.0.1.150` with the lower one first. */
export function parseIpv4Range(text: string): Range | undefined {
  const dash = text.indexOf('-');
  const first = parseIpv4(dash < 0 ? text : text.slice(0, dash));
  const last = dash < 0 ? first : parseIpv4(text.slice(dash + 1));
  return first !== undefined && last !== undefined && first <= last ? { first, last } : undefined;
}

export function formatIpv4Range({ first, last }: Range): string {
  return first === last ? formatIpv4(first) : `${formatIpv4(first)}-${formatIpv4(last)}`;
}

/** `300`, or `100-199` with the lower one first; without leading zeros. 1 to `most`. */
export function parseNumberRange(text: string, most: number): Range | undefined {
  const found = /^([1-9]\d{0,4})(?:-([1-9]\d{0,4}))?$/.exec(text);
  if (found === null) return undefined;
  const first = Number(found[1]);
  const last = found[2] === undefined ? first : Number(found[2]);
  return first <= last && last <= most ? { first, last } : undefined;
}

export function formatNumberRange({ first, last }: Range): string {
  return first === last ? String(first) : `${first}-${last}`;
}

export const largestVlan = 4094;
export const largestPort = 65_535;

/** One that overlaps this one, the last of them. */
export function overlappingIn(
  ranges: Ranges | undefined,
  { first, last }: Range,
): (Range & { path: Path }) | undefined {
  const found = ranges?.floor(last);
  if (found === undefined || found[1].last < first) return undefined;
  return { first: found[0], ...found[1] };
}

/** The one a number lies in. */
export function rangeAt(ranges: Ranges | undefined, at: number): (Range & { path: Path }) | undefined {
  return overlappingIn(ranges, { first: at, last: at });
}

export function isWithin({ first, last }: Range, at: number): boolean {
  return at >= first && at <= last;
}

export function sizeOf({ first, last }: Range): number {
  return last - first + 1;
}

/** In ascending order, without what lies in it. */
export function without({ first, last }: Range, at: number): Range[] {
  if (!isWithin({ first, last }, at)) return [{ first, last }];
  return [
    { first, last: at - 1 },
    { first: at + 1, last },
  ].filter((range) => range.first <= range.last);
}

/** Addresses a pool gives out, in ascending order: what it says, or all but the ends of its prefix and the gateway. */
export function rangesOf({ cidr, gateway, ranges }: Resource<'ip-pool'>['spec']): Range[] {
  const prefix = parseIpPrefix(cidr);
  if (prefix === undefined || prefix.family !== 4) return [];
  if (ranges !== undefined)
    return ranges.flatMap((text) => parseIpv4Range(text) ?? []).sort((a, b) => a.first - b.first);
  const last = lastIpOf(prefix).value as number;
  return without({ first: prefix.value + 1, last: last - 1 }, parseIpv4(gateway) ?? -1);
}
