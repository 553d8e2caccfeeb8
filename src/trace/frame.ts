/** A packet as bytes, checksums and all: what is really sent. */
import type { Packet } from './packet.ts';
import { etherType, protocolNumber } from './packet.ts';

const ethernetLength = 14;
const ipv4Length = 20;
const ipv6Length = 40;

/** What an ICMP echo carries where others have ports (RFC 792): enough to know it again in a capture. */
const echoIdentifier = 0x6b77;

export function frameOf(packet: Packet): Uint8Array {
  const transport = transportOf(packet);
  const six = packet.get('eth_type') === etherType.ipv6;
  const head = ethernetLength + (six ? ipv6Length : ipv4Length);
  const room = Math.max(0, packet.length - head - transport.length);
  const body = Buffer.concat([transport, Buffer.alloc(room)]);
  const protocol = Number(need(packet, 'ip_proto'));
  finish(body, protocol, six ? pseudoHeader6(packet, body.length) : pseudoHeader4(packet, body.length));
  return Buffer.concat([ethernet(packet), six ? ipv6(packet, body.length) : ipv4(packet, body.length), body]);
}

function need(packet: Packet, field: Parameters<Packet['get']>[0]): bigint {
  const value = packet.get(field);
  if (value === undefined) throw new Error(`the packet has no ${field}`);
  return value;
}

function bytes(value: bigint, length: number): Buffer {
  return Buffer.from(value.toString(16).padStart(2 * length, '0'), 'hex');
}

function ethernet(packet: Packet): Buffer {
  return Buffer.concat([
    bytes(need(packet, 'eth_dst'), 6),
    bytes(need(packet, 'eth_src'), 6),
    bytes(need(packet, 'eth_type'), 2),
  ]);
}

/** RFC 791, without options, not to be fragmented. */
function ipv4(packet: Packet, payload: number): Buffer {
  const header = Buffer.alloc(ipv4Length);
  header[0] = 0x45;
  header.writeUInt16BE(ipv4Length + payload, 2);
  header.writeUInt16BE(0x4000, 6);
  header[8] = Number(need(packet, 'ip_ttl'));
  header[9] = Number(need(packet, 'ip_proto'));
  bytes(need(packet, 'ipv4_src'), 4).copy(header, 12);
  bytes(need(packet, 'ipv4_dst'), 4).copy(header, 16);
  header.writeUInt16BE(checksum([header]), 10);
  return header;
}

/** RFC 8200. */
function ipv6(packet: Packet, payload: number): Buffer {
  const header = Buffer.alloc(ipv6Length);
  header[0] = 0x60;
  header.writeUInt16BE(payload, 4);
  header[6] = Number(need(packet, 'ip_proto'));
  header[7] = Number(need(packet, 'ip_ttl'));
  bytes(need(packet, 'ipv6_src'), 16).copy(header, 8);
  bytes(need(packet, 'ipv6_dst'), 16).copy(header, 24);
  return header;
}

function transportOf(packet: Packet): Buffer {
  const protocol = packet.get('ip_proto');
  switch (protocol) {
    case protocolNumber.tcp: {
      const header = Buffer.alloc(20);
      header.writeUInt16BE(Number(need(packet, 'tcp_src')), 0);
      header.writeUInt16BE(Number(need(packet, 'tcp_dst')), 2);
      header[12] = 5 << 4;
      header[13] = Number(need(packet, 'tcp_flags')) & 0xff;
      header.writeUInt16BE(0xffff, 14);
      return header;
    }
    case protocolNumber.udp:
      return Buffer.concat([bytes(need(packet, 'udp_src'), 2), bytes(need(packet, 'udp_dst'), 2), Buffer.alloc(4)]);
    case protocolNumber.icmp:
    case protocolNumber.icmpv6: {
      const six = protocol === protocolNumber.icmpv6;
      const header = Buffer.alloc(8);
      header[0] = Number(need(packet, six ? 'icmpv6_type' : 'icmpv4_type'));
      header[1] = Number(need(packet, six ? 'icmpv6_code' : 'icmpv4_code'));
      header.writeUInt16BE(echoIdentifier, 4);
      header.writeUInt16BE(1, 6);
      return header;
    }
    case protocolNumber.sctp: {
      // The common header with an INIT chunk (RFC 9260 section 3.3.2); its CRC32c is left at 0, which receivers discard.
      const header = Buffer.alloc(32);
      header.writeUInt16BE(Number(need(packet, 'sctp_src')), 0);
      header.writeUInt16BE(Number(need(packet, 'sctp_dst')), 2);
      header[12] = 1;
      header.writeUInt16BE(20, 14);
      return header;
    }
    default:
      return Buffer.alloc(0);
  }
}

/** Lengths and checksums that cover the whole of it. */
function finish(body: Buffer, protocol: number, pseudo: Buffer): void {
  switch (BigInt(protocol)) {
    case protocolNumber.tcp:
      body.writeUInt16BE(checksum([pseudo, body]), 16);
      return;
    case protocolNumber.udp:
      body.writeUInt16BE(body.length, 4);
      // Zero would say that there is none (RFC 768).
      body.writeUInt16BE(checksum([pseudo, body]) || 0xffff, 6);
      return;
    case protocolNumber.icmp:
      body.writeUInt16BE(checksum([body]), 2);
      return;
    case protocolNumber.icmpv6:
      body.writeUInt16BE(checksum([pseudo, body]), 2);
      return;
    default:
  }
}

function pseudoHeader4(packet: Packet, length: number): Buffer {
  const header = Buffer.alloc(12);
  bytes(need(packet, 'ipv4_src'), 4).copy(header, 0);
  bytes(need(packet, 'ipv4_dst'), 4).copy(header, 4);
  header[9] = Number(need(packet, 'ip_proto'));
  header.writeUInt16BE(length, 10);
  return header;
}

function pseudoHeader6(packet: Packet, length: number): Buffer {
  const header = Buffer.alloc(40);
  bytes(need(packet, 'ipv6_src'), 16).copy(header, 0);
  bytes(need(packet, 'ipv6_dst'), 16).copy(header, 16);
  header.writeUInt32BE(length, 32);
  header[39] = Number(need(packet, 'ip_proto'));
  return header;
}

/** RFC 1071. */
function checksum(parts: readonly Buffer[]): number {
  let sum = 0;
  for (const part of parts) {
    for (let i = 0; i + 1 < part.length; i += 2) sum += part.readUInt16BE(i);
    if (part.length % 2 === 1) sum += part.at(-1)! << 8;
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
