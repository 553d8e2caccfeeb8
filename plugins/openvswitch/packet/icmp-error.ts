/**
 * ICMP errors about a frame, as the router it was sent to would send them: RFC 792, RFC 1191, RFC 1812 section 4.3 for
 * IPv4, RFC 4443 for IPv6.
 */
import type { IcmpErrorKind, IcmpErrorOrder } from '../../../src/pipeline/packet-in.ts';
import { addWords, checksumOf } from './checksum.ts';

const ethernetHeader = 14;
const etherType = { ipv4: 0x0800, ipv6: 0x86dd } as const;
const protocol = { icmp: 1, icmpv6: 58 } as const;
const ipv6Header = 40;
const icmpHeader = 8;
/** Initial TTL and hop limit, RFC 1700 and RFC 8200 (IANA). */
const hops = 64;
/** Most bytes of an error: RFC 1812 section 4.3.2.3, RFC 4443 section 2.4 (c). */
const most = { ipv4: 576, ipv6: 1280 } as const;
/** IPv4 precedence of errors: internetwork control, RFC 1812 section 4.3.2.5. */
const precedence = 0xc0;

type Said = { type: number; code: number };

const v4: Record<IcmpErrorKind, Said> = {
  timeExceeded: { type: 11, code: 0 },
  netUnreachable: { type: 3, code: 0 },
  hostUnreachable: { type: 3, code: 1 },
  prohibited: { type: 3, code: 13 },
  tooBig: { type: 3, code: 4 },
};

const v6: Record<IcmpErrorKind, Said> = {
  timeExceeded: { type: 3, code: 0 },
  netUnreachable: { type: 1, code: 0 },
  hostUnreachable: { type: 1, code: 3 },
  prohibited: { type: 1, code: 1 },
  tooBig: { type: 2, code: 0 },
};

/**
 * The frame that tells the sender. Undefined where no error may be sent: about an error, a later fragment, or a packet
 * to or from an address that is not one host's; and where the frame is no IP packet of the gateway's family.
 */
export function icmpErrorFor(frame: Buffer, order: IcmpErrorOrder): Buffer | undefined {
  if (frame.length < ethernetHeader || (frame[0]! & 1) !== 0) return undefined;
  const packet = frame.subarray(ethernetHeader);
  const type = frame.readUInt16BE(12);
  if (order.gateway.family === 4) {
    return type === etherType.ipv4 && mayTellV4(packet) ? errorV4(frame, packet, order) : undefined;
  }
  return type === etherType.ipv6 && mayTellV6(packet, order.kind) ? errorV6(frame, packet, order) : undefined;
}

/** RFC 1812 section 4.3.2.7. */
function mayTellV4(packet: Buffer): boolean {
  if (packet.length < 20 || packet[0]! >> 4 !== 4) return false;
  const header = (packet[0]! & 15) * 4;
  if (header < 20 || packet.length < header) return false;
  if ((packet.readUInt16BE(6) & 0x1fff) !== 0) return false;
  if (!isHostV4(packet.readUInt32BE(12)) || !isHostV4(packet.readUInt32BE(16))) return false;
  // Of ICMP only queries and their replies: a type not known may be an error.
  return packet[9] !== protocol.icmp || [0, 8, 13, 14, 15, 16, 17, 18].includes(packet[header] ?? -1);
}

/** Neither this network (0/8), nor loopback, multicast, reserved or broadcast. */
function isHostV4(address: number): boolean {
  const first = address >>> 24;
  return first !== 0 && first !== 127 && first < 224;
}

/** RFC 4443 section 2.4 (e). */
function mayTellV6(packet: Buffer, kind: IcmpErrorKind): boolean {
  if (packet.length < ipv6Header || packet[0]! >> 4 !== 6) return false;
  const source = packet.readBigUInt64BE(8);
  if (packet[8] === 0xff || (source === 0n && packet.readBigUInt64BE(16) < 2n)) return false;
  if (packet[24] === 0xff && kind !== 'tooBig') return false;
  const upper = upperLayer(packet);
  if (upper === undefined) return false;
  // Errors are below 128, and 137 is a redirect.
  const { next, at } = upper;
  return next !== protocol.icmpv6 || ((packet[at] ?? 0) >= 128 && packet[at] !== 137);
}

/** Extension headers that may come first: hop-by-hop, routing, destination options. RFC 8200 section 4.1. */
const extensions: readonly number[] = [0, 43, 60];
const fragmentHeader = 44;

/** What follows the extension headers, and where. Undefined for a later fragment and where the chain is cut short. */
function upperLayer(packet: Buffer): { next: number; at: number } | undefined {
  let next = packet[6]!;
  let at = ipv6Header;
  while (extensions.includes(next) || next === fragmentHeader) {
    if (at + 8 > packet.length) return undefined;
    if (next === fragmentHeader && (packet.readUInt16BE(at + 2) & 0xfff8) !== 0) return undefined;
    const length = next === fragmentHeader ? 8 : (packet[at + 1]! + 1) * 8;
    next = packet[at]!;
    at += length;
  }
  return { next, at };
}

function errorV4(frame: Buffer, packet: Buffer, { kind, gateway, mtu }: IcmpErrorOrder): Buffer {
  const quoted = packet.subarray(0, Math.min(packet.length, packet.readUInt16BE(2), most.ipv4 - 20 - icmpHeader));
  const length = 20 + icmpHeader + quoted.length;
  const reply = Buffer.alloc(ethernetHeader + length);
  putEthernet(reply, frame);
  const ip = reply.subarray(ethernetHeader);
  ip[0] = 0x45;
  ip[1] = precedence;
  ip.writeUInt16BE(length, 2);
  ip[8] = hops;
  ip[9] = protocol.icmp;
  ip.writeUInt32BE(Number(gateway.value), 12);
  packet.copy(ip, 16, 12, 16);
  ip.writeUInt16BE(checksumOf(addWords(ip, 0, 20)), 10);
  const { type, code } = v4[kind];
  ip[20] = type;
  ip[21] = code;
  // RFC 1191 section 4.
  if (kind === 'tooBig') ip.writeUInt16BE(mtu, 26);
  quoted.copy(ip, 28);
  ip.writeUInt16BE(checksumOf(addWords(ip, 20, length)), 22);
  return reply;
}

function errorV6(frame: Buffer, packet: Buffer, { kind, gateway, mtu }: IcmpErrorOrder): Buffer {
  const whole = ipv6Header + packet.readUInt16BE(4);
  const quoted = packet.subarray(0, Math.min(packet.length, whole, most.ipv6 - ipv6Header - icmpHeader));
  const payload = icmpHeader + quoted.length;
  const reply = Buffer.alloc(ethernetHeader + ipv6Header + payload);
  putEthernet(reply, frame);
  const ip = reply.subarray(ethernetHeader);
  ip[0] = 0x60;
  ip.writeUInt16BE(payload, 4);
  ip[6] = protocol.icmpv6;
  ip[7] = hops;
  const address = BigInt(gateway.value);
  ip.writeBigUInt64BE(address >> 64n, 8);
  ip.writeBigUInt64BE(address & 0xffff_ffff_ffff_ffffn, 16);
  packet.copy(ip, 24, 8, 24);
  const { type, code } = v6[kind];
  ip[40] = type;
  ip[41] = code;
  if (kind === 'tooBig') ip.writeUInt32BE(mtu, 44);
  quoted.copy(ip, 48);
  // Over a pseudo header of addresses, length and next header, RFC 8200 section 8.1.
  const pseudo = addWords(ip, 8, ipv6Header) + payload + protocol.icmpv6;
  ip.writeUInt16BE(checksumOf(addWords(ip, ipv6Header, ip.length, pseudo)), 42);
  return reply;
}

/** Back to where the frame came from, from whom it was for. */
function putEthernet(reply: Buffer, frame: Buffer): void {
  frame.copy(reply, 0, 6, 12);
  frame.copy(reply, 6, 0, 6);
  frame.copy(reply, 12, 12, 14);
}
