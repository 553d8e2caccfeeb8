/** Texts that the checks of intent have passed, as numbers. Anything else is a mistake of ours and says so. */
import { parseMac } from '../intent/addresses.ts';
import { parseAddressOrPrefix, parseIp, parseIpPrefix } from '../intent/ip.ts';
import type { Ip, IpPrefix } from '../pipeline/stages/ports.ts';

function known<T>(value: T | undefined, text: string): T {
  if (value === undefined) throw new Error(`unchecked address in intent: ${text}`);
  return value;
}

/** Of either version. */
export const ip = (text: string): Ip => known(parseIp(text), text);

export const ipPrefix = (text: string): IpPrefix => known(parseIpPrefix(text), text);

export const addressOrPrefix = (text: string): IpPrefix => known(parseAddressOrPrefix(text), text);

export const mac = (text: string): number => known(parseMac(text), text);
