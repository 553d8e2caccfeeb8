/**
 * IPv4 and MAC addresses as numbers. IPv4 addresses are unsigned 32-bit numbers, MACs 48-bit ones, both in network order
 * (first octet most significant). Prefixes, and both IP versions together, are in ip.ts.
 */

/** Dotted quad in its one canonical form: four octets of 0-255 without leading zeros (some readers take those as octal). */
export function parseIpv4(text: string): number | undefined {
  let value = 0;
  let octet = -1;
  let dots = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 0x2e) {
      if (octet < 0 || ++dots > 3) return undefined;
      value = value * 256 + octet;
      octet = -1;
    } else {
      const digit = c - 0x30;
      if (digit < 0 || digit > 9 || octet === 0) return undefined;
      octet = octet < 0 ? digit : octet * 10 + digit;
      if (octet > 255) return undefined;
    }
  }
  return dots === 3 && octet >= 0 ? value * 256 + octet : undefined;
}

export function formatIpv4(address: number): string {
  return `${address >>> 24}.${(address >>> 16) & 0xff}.${(address >>> 8) & 0xff}.${address & 0xff}`;
}

/** Netmask of a prefix length, 0-32. */
export function maskOf(length: number): number {
  return length === 0 ? 0 : (0xffffffff << (32 - length)) >>> 0;
}

/** `aa:bb:cc:dd:ee:ff` in either case. */
export function parseMac(text: string): number | undefined {
  return /^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}$/.test(text) ? Number.parseInt(text.replaceAll(':', ''), 16) : undefined;
}

export function formatMac(mac: number): string {
  const digits = mac.toString(16).padStart(12, '0');
  return `${digits.slice(0, 2)}:${digits.slice(2, 4)}:${digits.slice(4, 6)}:${digits.slice(6, 8)}:${digits.slice(8, 10)}:${digits.slice(10)}`;
}

/** The I/G bit of the first octet (IEEE 802). */
export function isMulticastMac(mac: number): boolean {
  return Math.floor(mac / 2 ** 40) % 2 === 1;
}

/**
 * MAC that Keyway makes for the port or the router of the tier with this resource number: locally administered `0a`,
 * then the number in 40 bits. Unique in the tenant: the index of MACs refuses it to everybody else.
 */
export function generatedMac(resourceNumber: number): number {
  return 0x0a * 2 ** 40 + resourceNumber;
}

/** First two octets of the MACs of public addresses, locally administered. */
const publicPrefix = 0x0e4b;

/**
 * MAC under which a provider network knows a public address: `0e:4b` and the address itself, so that it stays the same
 * whoever has the address, and nobody's ARP cache is ever wrong. @param ipv4 32 bits
 */
export function publicMac(ipv4: number): number {
  return publicPrefix * 2 ** 32 + ipv4;
}

export function isPublicMac(mac: number): boolean {
  return Math.floor(mac / 2 ** 32) === publicPrefix;
}
