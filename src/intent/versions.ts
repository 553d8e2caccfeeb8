/** The two IP versions of a network or tier: where its spec has each. */
import { type Ip, type IpPrefix, parseIpPrefix } from './ip.ts';

export type Family = Ip['family'];

export const families: readonly Family[] = [4, 6];

/** Members of a tier, and of a network, by IP version. */
export const cidrOf = { 4: 'cidr', 6: 'ipv6Cidr' } as const;
export const gatewayOf = { 4: 'gateway', 6: 'ipv6Gateway' } as const;

type WithPrefixes = { readonly cidr?: string | undefined; readonly ipv6Cidr?: string | undefined };

/** The prefix of this IP version; undefined when there is none, or none that is well formed. */
export function prefixIn(spec: WithPrefixes, family: Family): IpPrefix | undefined {
  const text = spec[cidrOf[family]];
  const prefix = text === undefined ? undefined : parseIpPrefix(text);
  return prefix?.family === family ? prefix : undefined;
}

/** Every prefix of a network or a tier. */
export function prefixesOf(spec: WithPrefixes): IpPrefix[] {
  return families.flatMap((family) => prefixIn(spec, family) ?? []);
}
