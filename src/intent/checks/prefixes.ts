/** Judgement of single addresses and prefixes, shared by the concerns. */
import { contains, formatIpv4, networkOf, overlaps, type Prefix, parseCidr, parseIpv4 } from '../addresses.ts';
import type { Report } from './concern.ts';

/** Blocks that are no unicast addresses, or that mean the host itself or its link (RFC 6890). */
const special: readonly { prefix: Prefix; what: string }[] = [
  { prefix: { base: 0, length: 8 }, what: '"this network" (0.0.0.0/8)' },
  { prefix: { base: 0x7f000000, length: 8 }, what: 'loopback (127.0.0.0/8)' },
  { prefix: { base: 0xa9fe0000, length: 16 }, what: 'link-local (169.254.0.0/16)' },
  { prefix: { base: 0xe0000000, length: 4 }, what: 'multicast (224.0.0.0/4)' },
  { prefix: { base: 0xffffffff, length: 32 }, what: 'limited broadcast (255.255.255.255)' },
];

/** A unicast address, or undefined and an error told. */
export function judgeAddress(text: string, field: string, report: Report): number | undefined {
  const address = parseIpv4(text);
  if (address === undefined) {
    report(field, 'address.invalid', `${text} is not an IPv4 address: four numbers of 0 to 255 without leading zeros`);
    return undefined;
  }
  const block = special.find(({ prefix }) => contains(prefix, address));
  if (block === undefined) return address;
  report(field, 'address.invalid', `${text} is ${block.what}; a unicast address is needed`);
  return undefined;
}

/** A prefix without host bits, or undefined and an error told. */
export function judgePrefix(text: string, field: string, report: Report): Prefix | undefined {
  const cidr = parseCidr(text);
  if (cidr === undefined) {
    const form = 'four numbers of 0 to 255, a slash, a length of 0 to 32, no leading zeros';
    report(field, 'address.invalid', `${text} is not an IPv4 prefix: ${form}`);
    return undefined;
  }
  const base = networkOf(cidr.address, cidr.length);
  if (base === cidr.address) return { base, length: cidr.length };
  const meant = `${formatIpv4(base)}/${cidr.length}`;
  report(field, 'address.invalid', `${text} has bits set beyond its length; the prefix is ${meant}`);
  return undefined;
}

/** A prefix that addresses are given from: of a length in bounds, and free of special blocks. */
export function judgeSubnet(text: string, shortest: number, longest: number, field: string, report: Report): void {
  const prefix = judgePrefix(text, field, report);
  if (prefix === undefined) return;
  if (prefix.length < shortest || prefix.length > longest)
    report(
      field,
      'address.invalid',
      `${text} is too ${prefix.length < shortest ? 'large' : 'small'}: /${shortest} to /${longest} are possible`,
    );
  const block = special.find((s) => overlaps(s.prefix, prefix));
  if (block !== undefined) report(field, 'address.invalid', `${text} holds addresses of ${block.what}`);
}

/** A prefix that packets are matched with: anything but what lies whole in a special block. 0.0.0.0/0 is everything. */
export function judgeMatch(text: string, field: string, report: Report): void {
  const prefix = judgePrefix(text, field, report);
  if (prefix === undefined) return;
  const block = special.find((s) => s.prefix.length <= prefix.length && contains(s.prefix, prefix.base));
  if (block !== undefined) report(field, 'address.invalid', `${text} is ${block.what}; unicast addresses are needed`);
}
