/** Ethernet frames with IPv4 or IPv6 in them: read from what a switch hands over, and made. RFC 791, 8200, 768, 4443. */
import type { Ip } from '../intent/ip.ts';

export type Datagram = {
  ethernetSource: number;
  ethernetDestination: number;
  source: Ip;
  destination: Ip;
  /** TTL of IPv4, hop limit of IPv6. */
  hopLimit: number;
  /** Of what follows: 17 UDP, 58 ICMPv6 … */
  protocol: number;
  /** What follows the IP header. */
  payload: Buffer;
};

export const protocols = { udp: 17, icmpv6: 58 } as const;

const etherTypes = { ipv4: 0x0800, ipv6: 0x86dd } as const;

export const broadcastMac = 0xffff_ffff_ffff;

/**
 * Undefined for anything but a whole, untagged IP packet: fragments, IPv6 extension headers and what is cut short among
 * it. Checksums of IPv4 headers are verified.
 */
export function parseFrame(bytes: Uint8Array): Datagram | undefined {
  const frame = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (frame.length < 14) return undefined;
  const ethernet = { ethernetDestination: frame.readUIntBE(0, 6), ethernetSource: frame.readUIntBE(6, 6) };
  const packet = frame.subarray(14);
  const type = frame.readUInt16BE(12);
  if (type === etherTypes.ipv4) return parseIpv4(packet, ethernet);
  if (type === etherTypes.ipv6) return parseIpv6(packet, ethernet);
  return undefined;
}

type Ethernet = Pick<Datagram, 'ethernetSource' | 'ethernetDestination'>;

function parseIpv4(packet: Buffer, ethernet: Ethernet): Datagram | undefined {
  if (packet.length < 20 || packet[0]! >> 4 !== 4) return undefined;
  const header = (packet[0]! & 0xf) * 4;
  const length = packet.readUInt16BE(2);
  if (header < 20 || length < header || length > packet.length) return undefined;
  // More fragments, or not the first.
  if ((packet.readUInt16BE(6) & 0x3fff) !== 0) return undefined;
  if (checksum(packet.subarray(0, header)) !== 0) return undefined;
  return {
    ...ethernet,
    source: { family: 4, value: packet.readUInt32BE(12) },
    destination: { family: 4, value: packet.readUInt32BE(16) },
    hopLimit: packet[8]!,
    protocol: packet[9]!,
    payload: packet.subarray(header, length),
  };
}

function parseIpv6(packet: Buffer, ethernet: Ethernet): Datagram | undefined {
  if (packet.length < 40 || packet[0]! >> 4 !== 6) return undefined;
  const length = packet.readUInt16BE(4);
  if (40 + length > packet.length) return undefined;
  return {
    ...ethernet,
    source: { family: 6, value: readIpv6(packet, 8) },
    destination: { family: 6, value: readIpv6(packet, 24) },
    hopLimit: packet[7]!,
    protocol: packet[6]!,
    payload: packet.subarray(40, 40 + length),
  };
}

/** The frame of the datagram: fields as they are told, lengths and the IPv4 header's checksum made. */
export function formatFrame(datagram: Datagram): Buffer {
  const { source, destination, hopLimit, protocol, payload, ethernetSource, ethernetDestination } = datagram;
  const header = source.family === 4 ? 20 : 40;
  const frame = Buffer.alloc(14 + header + payload.length);
  frame.writeUIntBE(ethernetDestination, 0, 6);
  frame.writeUIntBE(ethernetSource, 6, 6);
  frame.writeUInt16BE(source.family === 4 ? etherTypes.ipv4 : etherTypes.ipv6, 12);
  if (source.family === 4 && destination.family === 4) {
    frame[14] = 0x45;
    frame.writeUInt16BE(header + payload.length, 16);
    // Not to be fragmented: all of it fits the MTU.
    frame.writeUInt16BE(0x4000, 20);
    frame[22] = hopLimit;
    frame[23] = protocol;
    frame.writeUInt32BE(source.value, 26);
    frame.writeUInt32BE(destination.value, 30);
    frame.writeUInt16BE(checksum(frame.subarray(14, 34)), 24);
  } else if (source.family === 6 && destination.family === 6) {
    frame[14] = 0x60;
    frame.writeUInt16BE(payload.length, 18);
    frame[20] = protocol;
    frame[21] = hopLimit;
    writeIpv6(frame, 22, source.value);
    writeIpv6(frame, 38, destination.value);
  } else throw new TypeError('a datagram goes from one address to another of the same version');
  payload.copy(frame, 14 + header);
  return frame;
}

export type UdpPayload = { sourcePort: number; destinationPort: number; payload: Buffer };

/**
 * Undefined where lengths are wrong. The checksum is not looked at: VMs leave it to hardware that virtual NICs do not have,
 * and then it arrives unfinished; what a broken request can get is an answer about its own port.
 */
export function parseUdp(segment: Buffer): UdpPayload | undefined {
  if (segment.length < 8) return undefined;
  const length = segment.readUInt16BE(4);
  if (length < 8 || length > segment.length) return undefined;
  return {
    sourcePort: segment.readUInt16BE(0),
    destinationPort: segment.readUInt16BE(2),
    payload: segment.subarray(8, length),
  };
}

export function formatUdp(source: Ip, destination: Ip, { sourcePort, destinationPort, payload }: UdpPayload): Buffer {
  const segment = Buffer.alloc(8 + payload.length);
  segment.writeUInt16BE(sourcePort, 0);
  segment.writeUInt16BE(destinationPort, 2);
  segment.writeUInt16BE(segment.length, 4);
  payload.copy(segment, 8);
  // Zero would say that there is none.
  segment.writeUInt16BE(transportChecksum(source, destination, protocols.udp, segment) || 0xffff, 6);
  return segment;
}

/** Of a segment behind the pseudo-header of RFC 768 or RFC 8200 section 8.1; 0 where the segment holds a right one. */
export function transportChecksum(source: Ip, destination: Ip, protocol: number, segment: Buffer): number {
  const size = source.family === 4 ? 4 : 16;
  const pseudo = Buffer.alloc(2 * size + 8);
  for (const [at, ip] of [
    [0, source],
    [size, destination],
  ] as const) {
    if (ip.family === 4) pseudo.writeUInt32BE(ip.value, at);
    else writeIpv6(pseudo, at, ip.value);
  }
  pseudo.writeUInt32BE(segment.length, 2 * size);
  pseudo.writeUInt32BE(protocol, 2 * size + 4);
  return ~fold(sum(segment) + sum(pseudo)) & 0xffff;
}

/** Internet checksum, RFC 1071; 0 over bytes that hold their own. */
export function checksum(bytes: Buffer): number {
  return ~fold(sum(bytes)) & 0xffff;
}

function sum(bytes: Buffer): number {
  let total = 0;
  for (let i = 0; i + 1 < bytes.length; i += 2) total += bytes.readUInt16BE(i);
  return bytes.length % 2 === 0 ? total : total + bytes[bytes.length - 1]! * 256;
}

function fold(total: number): number {
  let folded = total;
  while (folded > 0xffff) folded = (folded & 0xffff) + Math.floor(folded / 65_536);
  return folded;
}

export function readIpv6(bytes: Buffer, at: number): bigint {
  return (bytes.readBigUInt64BE(at) << 64n) | bytes.readBigUInt64BE(at + 8);
}

export function writeIpv6(bytes: Buffer, at: number, value: bigint): void {
  bytes.writeBigUInt64BE(value >> 64n, at);
  bytes.writeBigUInt64BE(value & 0xffff_ffff_ffff_ffffn, at + 8);
}
