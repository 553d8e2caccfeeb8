/** Texts that the checks of intent have passed, as numbers. Anything else is a mistake of ours and says so. */
import { maskOf, parseIpv4, parseMac, parsePrefix } from '../intent/addresses.ts';
import { parseIp, parseIpPrefix } from '../intent/ip.ts';
import type { Masked } from '../pipeline/stages/access-rules.ts';
import type { Ip, IpPrefix } from '../pipeline/stages/ports.ts';

function known<T>(value: T | undefined, text: string): T {
  if (value === undefined) throw new Error(`unchecked address in intent: ${text}`);
  return value;
}

export const ipv4 = (text: string): number => known(parseIpv4(text), text);

/** Of either version. */
export const ip = (text: string): Ip => known(parseIp(text), text);

export const ipPrefix = (text: string): IpPrefix => known(parseIpPrefix(text), text);

export const mac = (text: string): number => known(parseMac(text), text);

export const host = (text: string): Masked => ({ value: ipv4(text), mask: 0xffffffff });

export function prefix(text: string): Masked {
  const { base, length } = known(parsePrefix(text), text);
  return { value: base, mask: maskOf(length) };
}
