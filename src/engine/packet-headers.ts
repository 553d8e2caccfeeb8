/** What the headers of a frame say, for people: addresses, protocol and ports. Only untagged IP packets are read. */
import { formatIp } from '../intent/ip.ts';
import { canonicalProtocol } from '../intent/protocols.ts';

export type PacketHeaders = {
  source: string;
  destination: string;
  /** Name, or number where it has none. */
  protocol: string;
  sourcePort?: number;
  destinationPort?: number;
  icmpType?: number;
  icmpCode?: number;
};

/** Extension headers of IPv6 that have their own length: RFC 8200 section 4 and RFC 6275. */
const extensions = new Set([0, 43, 60, 135]);
const fragment = 44;

const [icmp, tcp, udp, icmpv6, sctp] = [1, 6, 17, 58, 132];

/** Undefined for what is no IP packet, or too short for its header. */
export function packetHeaders(frame: Uint8Array): PacketHeaders | undefined {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (view.byteLength < 34) return undefined;
  const ip = 14;
  if (view.getUint16(12) === 0x0800) {
    const header = (view.getUint8(ip) & 0xf) * 4;
    const first = (view.getUint16(ip + 6) & 0x1fff) === 0;
    return {
      source: formatIp({ family: 4, value: view.getUint32(ip + 12) }),
      destination: formatIp({ family: 4, value: view.getUint32(ip + 16) }),
      ...transport(view, view.getUint8(ip + 9), first ? ip + header : undefined),
    };
  }
  if (view.getUint16(12) !== 0x86dd || view.byteLength < 54) return undefined;
  const address = (at: number) =>
    formatIp({ family: 6, value: (view.getBigUint64(at) << 64n) | view.getBigUint64(at + 8) });
  let next = view.getUint8(ip + 6);
  let at: number | undefined = ip + 40;
  while (at !== undefined && at + 8 <= view.byteLength && (extensions.has(next) || next === fragment)) {
    const later: boolean = next === fragment && (view.getUint16(at + 2) & 0xfff8) !== 0;
    const length: number = next === fragment ? 8 : 8 * (view.getUint8(at + 1) + 1);
    next = view.getUint8(at);
    at = later ? undefined : at + length;
  }
  return { source: address(ip + 8), destination: address(ip + 24), ...transport(view, next, at) };
}

/** @param at where its header begins; undefined in a later fragment, which has none */
function transport(view: DataView, protocol: number, at: number | undefined) {
  const name = { protocol: canonicalProtocol(String(protocol)) ?? String(protocol) };
  if (at === undefined || at + 4 > view.byteLength) return name;
  if (protocol === tcp || protocol === udp || protocol === sctp)
    return { ...name, sourcePort: view.getUint16(at), destinationPort: view.getUint16(at + 2) };
  if (protocol === icmp || protocol === icmpv6)
    return { ...name, icmpType: view.getUint8(at), icmpCode: view.getUint8(at + 1) };
  return name;
}
