/** Addresses and prefixes as ip-address has them: texts in, texts and truths out. */
import { Address4, Address6 } from 'ip-address';

export const v6 = (text: string): boolean => text.includes(':');

const address = (text: string) => (v6(text) ? new Address6(text) : new Address4(text));

/** In the one form there is; an address for a prefix of its full length. */
export function canonical(text: string): string {
  const one = address(text);
  const length = text.includes('/') ? one.subnetMask : undefined;
  return length === undefined || length === (v6(text) ? 128 : 32)
    ? one.correctForm()
    : `${one.correctForm()}/${length}`;
}

export function inside(inner: string, outer: string): boolean {
  if (v6(inner) !== v6(outer)) return false;
  return address(inner).isInSubnet(address(outer) as Address4 & Address6);
}

export function overlap(a: readonly string[], b: readonly string[]): boolean {
  return a.some((x) => b.some((y) => inside(x, y) || inside(y, x)));
}

export function prefixesOf(spec: { cidr?: string; ipv6Cidr?: string }): string[] {
  return [spec.cidr, spec.ipv6Cidr].filter((text) => text !== undefined);
}

export const isHost = (text: string): boolean => !text.includes('/');

/** First and last address of a prefix. */
export function bounds(text: string): { first: bigint; last: bigint } {
  const one = address(text);
  return { first: one.startAddress().bigInt(), last: one.endAddress().bigInt() };
}

/** Whether no host of the prefix may have the address. */
export function isEnd(ip: string, prefix: string): boolean {
  const { first, last } = bounds(prefix);
  const value = address(ip).bigInt();
  return value === first || (!v6(ip) && value === last);
}

export const numberOf = (ip: string): bigint => address(ip).bigInt();
