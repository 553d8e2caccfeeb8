import type { NetworkNamespace } from './namespace.ts';

/** Puts an Ethernet frame on the wire as it is (packet(7)): no checksum is filled in, no address corrected. */
export async function sendFrame(namespace: NetworkNamespace, device: string, hex: string): Promise<void> {
  const bytes = Buffer.from(hex, 'hex');
  if (bytes.length * 2 !== hex.length || bytes.length < 14) throw new Error(`not an Ethernet frame in hex: ${hex}`);
  await namespace.run('socat', ['-u', 'STDIN', `INTERFACE:${device}`], { input: bytes });
}

export type PingFrame = {
  ethSrc: string;
  ethDst: string;
  ipSrc: string;
  ipDst: string;
  /** IEEE 802.1Q VLAN id; untagged when left out. */
  vlan?: number;
  /** 64 when left out. */
  ttl?: number;
  /** Told apart by it in a capture; 16 bits. */
  identifier?: number;
};

const macBytes = (mac: string): Buffer => Buffer.from(mac.replaceAll(':', ''), 'hex');
const ipBytes = (ip: string): Buffer => Buffer.from(ip.split('.').map(Number));

/** RFC 1071. */
function internetChecksum(bytes: Buffer): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += bytes.readUInt8(i) * 256 + (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** An ICMP echo request (RFC 792) with checksums right, whatever its addresses: hex for `sendFrame`. */
export function pingFrame(frame: PingFrame): string {
  const icmp = Buffer.alloc(8 + 32, 0x6b);
  icmp.writeUInt32BE(0x08000000, 0);
  icmp.writeUInt16BE(frame.identifier ?? 0x4b57, 4);
  icmp.writeUInt16BE(1, 6);
  icmp.writeUInt16BE(internetChecksum(icmp), 2);
  const ip = Buffer.alloc(20);
  ip.writeUInt8(0x45, 0);
  ip.writeUInt16BE(ip.length + icmp.length, 2);
  ip.writeUInt8(frame.ttl ?? 64, 8);
  ip.writeUInt8(1, 9);
  ipBytes(frame.ipSrc).copy(ip, 12);
  ipBytes(frame.ipDst).copy(ip, 16);
  ip.writeUInt16BE(internetChecksum(ip), 10);
  const tag = frame.vlan === undefined ? '' : `8100${frame.vlan.toString(16).padStart(4, '0')}`;
  const addresses = Buffer.concat([macBytes(frame.ethDst), macBytes(frame.ethSrc)]);
  return `${addresses.toString('hex')}${tag}0800${Buffer.concat([ip, icmp]).toString('hex')}`;
}
