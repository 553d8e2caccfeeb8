/** Judgement of single addresses and prefixes, shared by the concerns. */
import {
  containsIpPrefix,
  formatIpPrefix,
  type Ip,
  type IpPrefix,
  isIn,
  parseIp,
  parseIpCidr,
  parseIpPrefix,
  prefixesOverlap,
  prefixOf,
} from '../ip.ts';
import type { Family } from '../versions.ts';
import type { Report } from './concern.ts';

/** Blocks that are no unicast addresses, or that mean the host itself or its link (RFC 6890, RFC 4291). */
const special: readonly { prefix: IpPrefix; what: string }[] = (
  [
    ['0.0.0.0/8', '"this network"'],
    ['127.0.0.0/8', 'loopback'],
    ['169.254.0.0/16', 'link-local'],
    ['224.0.0.0/4', 'multicast'],
    ['255.255.255.255/32', 'limited broadcast'],
    ['::/128', 'the unspecified address'],
    ['::1/128', 'loopback'],
    ['::ffff:0:0/96', 'IPv4-mapped: write it as IPv4'],
    ['::/96', 'IPv4-compatible, which is deprecated'],
    ['fe80::/10', 'link-local'],
    ['fec0::/10', 'site-local, which is deprecated'],
    ['ff00::/8', 'multicast'],
  ] as const
).map(([text, what]) => ({ prefix: parseIpPrefix(text)!, what: `${what} (${text})` }));

const names: Readonly<Record<Family, string>> = { 4: 'IPv4', 6: 'IPv6' };

const forms: Readonly<Record<Family, { address: string; prefix: string }>> = {
  4: {
    address: 'four numbers of 0 to 255 without leading zeros',
    prefix: 'four numbers of 0 to 255, a slash, a length of 0 to 32, no leading zeros',
  },
  6: {
    address: 'groups of four hexadecimal digits as in RFC 4291, without a zone',
    prefix: 'an address as in RFC 4291 without a zone, a slash, a length of 0 to 128',
  },
};

function familyOf(text: string): Family {
  return text.includes(':') ? 6 : 4;
}

/** A unicast address, or undefined and an error told. @param except a prefix in a special block that may be used */
export function judgeAddress(text: string, field: string, report: Report, except?: IpPrefix): Ip | undefined {
  const ip = parseIp(text);
  if (ip === undefined) {
    const family = familyOf(text);
    report(field, 'address.invalid', `${text} is not an ${names[family]} address: ${forms[family].address}`);
    return undefined;
  }
  const block = special.find(({ prefix }) => isIn(prefix, ip));
  if (block === undefined || (except !== undefined && isIn(except, ip))) return ip;
  report(field, 'address.not-unicast', `${text} is ${block.what}; a unicast address is needed`);
  return undefined;
}

/** A prefix without host bits, or undefined and an error told. */
export function judgePrefix(text: string, field: string, report: Report): IpPrefix | undefined {
  const cidr = parseIpCidr(text);
  if (cidr === undefined) {
    const family = familyOf(text);
    report(field, 'address.invalid', `${text} is not an ${names[family]} prefix: ${forms[family].prefix}`);
    return undefined;
  }
  const prefix = prefixOf(cidr.ip, cidr.length);
  if (prefix.value === cidr.ip.value) return prefix;
  const meant = formatIpPrefix(prefix);
  report(field, 'address.invalid', `${text} has bits set beyond its length; the prefix is ${meant}`);
  return undefined;
}

export type Lengths = { readonly shortest: number; readonly longest: number };

/**
 * A prefix that addresses are given from: of a length in bounds, and free of special blocks.
 * @param except a prefix in a special block that may be used
 */
export function judgeSubnet(
  text: string,
  { shortest, longest }: Lengths,
  field: string,
  report: Report,
  except?: IpPrefix,
): void {
  const prefix = judgePrefix(text, field, report);
  if (prefix === undefined) return;
  if (prefix.length < shortest || prefix.length > longest)
    report(
      field,
      'address.invalid',
      `${text} is too ${prefix.length < shortest ? 'large' : 'small'}: /${shortest} to /${longest} are possible`,
    );
  if (except !== undefined && containsIpPrefix(except, prefix)) return;
  const block = special.find((s) => prefixesOverlap(s.prefix, prefix));
  if (block !== undefined) report(field, 'address.not-unicast', `${text} holds addresses of ${block.what}`);
}

/**
 * A prefix that packets are matched with: anything but what lies whole in a special block. 0.0.0.0/0 and ::/0 are
 * everything of their version. Undefined, and an error told, for any other.
 */
export function judgeMatch(text: string, field: string, report: Report, except?: IpPrefix): IpPrefix | undefined {
  const prefix = judgePrefix(text, field, report);
  if (prefix === undefined) return undefined;
  const block = special.find((s) => containsIpPrefix(s.prefix, prefix));
  if (block === undefined || (except !== undefined && containsIpPrefix(except, prefix))) return prefix;
  report(field, 'address.not-unicast', `${text} is ${block.what}; unicast addresses are needed`);
  return undefined;
}
