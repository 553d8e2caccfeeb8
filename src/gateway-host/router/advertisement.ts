/** Router solicitations and advertisements: RFC 4861 sections 4.1, 4.2, 6.1.1 and 6.2. */
import type { Ip, IpPrefix } from '../../intent/ip.ts';
import { type Datagram, protocols, transportChecksum, writeIpv6 } from '../frame.ts';

const solicitation = 133;
const advertisement = 134;
const options = { sourceLinkLayer: 1, prefixInformation: 3, mtu: 5 } as const;

/** Whether it is a solicitation a router has to heed: RFC 4861 section 6.1.1. */
export function isRouterSolicitation({ protocol, hopLimit, payload, source, destination }: Datagram): boolean {
  if (protocol !== protocols.icmpv6 || payload.length < 8) return false;
  if (payload[0] !== solicitation || payload[1] !== 0 || hopLimit !== 255) return false;
  if (transportChecksum(source, destination, protocols.icmpv6, payload) !== 0) return false;
  const unspecified = source.family === 6 && source.value === 0n;
  for (let at = 8; at < payload.length; ) {
    const length = (payload[at + 1] ?? 0) * 8;
    if (length === 0 || at + length > payload.length) return false;
    if (payload[at] === options.sourceLinkLayer && unspecified) return false;
    at += length;
  }
  return true;
}

export type Router = {
  /** MAC of the tier's router. */
  mac: number;
  /** Its link-local address. */
  address: Ip;
  /** The tier's prefix. */
  prefix: IpPrefix & { family: 6 };
  /** Bytes. */
  mtu: number;
};

/** Seconds it is a default router without being heard of again: RFC 4861 section 6.2.1, 3 × MaxRtrAdvInterval. */
export const routerLifetime = 1_800;

/**
 * ICMPv6 message: addresses by DHCPv6 only (M set, the prefix on the link and not for making addresses from).
 * @param to destination address, for the checksum
 */
export function routerAdvertisement({ mac, address, prefix, mtu }: Router, to: Ip): Buffer {
  const message = Buffer.alloc(16 + 8 + 8 + 32);
  message[0] = advertisement;
  message[4] = 64;
  // Managed addresses, and other configuration the same way.
  message[5] = 0xc0;
  message.writeUInt16BE(routerLifetime, 6);
  message[16] = options.sourceLinkLayer;
  message[17] = 1;
  message.writeUIntBE(mac, 18, 6);
  message[24] = options.mtu;
  message[25] = 1;
  message.writeUInt32BE(mtu, 28);
  message[32] = options.prefixInformation;
  message[33] = 4;
  message[34] = prefix.length;
  // On-link, not autonomous.
  message[35] = 0x80;
  message.writeUInt32BE(0xffff_ffff, 36);
  message.writeUInt32BE(0xffff_ffff, 40);
  writeIpv6(message, 48, prefix.value);
  message.writeUInt16BE(transportChecksum(address, to, protocols.icmpv6, message), 2);
  return message;
}
