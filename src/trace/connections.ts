/**
 * What connection tracking says of a packet: of a new connection nothing is known; a connection that was assumed to be
 * there is recognised by its addresses and ports, in either direction, and translated as it was when it began. Zones are
 * those of one switch.
 */
import { ctState, type FieldName } from '../pipeline/flow.ts';
import { etherType, type Packet, protocolNumber } from './packet.ts';

export type Tracked = {
  state: number;
  mark: bigint;
  label: bigint;
  original: Tuple | undefined;
  /** Addresses and ports that NAT gives the packet; undefined for what is not known. */
  translated: Tuple | undefined;
};

/** Addresses and ports of the packet that opened the connection. */
export type Tuple = { proto: bigint; source: bigint; target: bigint; sourcePort: bigint; targetPort: bigint };

export type Committed = {
  zone: number;
  tuple: Tuple;
  /** What NAT made of it; undefined: nothing. */
  translated?: Tuple | undefined;
  mark: bigint;
  label: bigint;
};

const { new: isNew, est, rpl, inv, trk } = ctState;

export class Connections {
  readonly #known = new Map<string, Committed>();
  /** By what answers look like. */
  readonly #answers = new Map<string, Committed>();

  /** A connection that replies have been seen of. */
  establish(committed: Committed): void {
    const { zone, tuple, translated = tuple } = committed;
    this.#known.set(key(zone, tuple), committed);
    this.#answers.set(key(zone, reversed(translated)), committed);
  }

  track(zone: number, packet: Packet): Tracked {
    const tuple = tupleOf(packet);
    const nothing = { mark: 0n, label: 0n, original: undefined, translated: undefined };
    if (tuple === undefined) return { state: trk | inv, ...nothing };
    const forward = this.#known.get(key(zone, tuple));
    const known = forward ?? this.#answers.get(key(zone, tuple));
    if (known !== undefined) {
      const { mark, label, tuple: original } = known;
      const translated = forward === undefined ? reversed(original) : (known.translated ?? original);
      return { state: trk | est | (forward === undefined ? rpl : 0), mark, label, original, translated };
    }
    if (!opens(packet)) return { state: trk | inv, ...nothing };
    return { ...nothing, state: trk | isNew, original: tuple };
  }
}

function key(zone: number, { proto, source, target, sourcePort, targetPort }: Tuple): string {
  return [zone, proto, source, target, sourcePort, targetPort].join();
}

/** ICMP request and reply types: a reply is tracked under its request's (RFC 792, RFC 4443). */
const requestOf = new Map<bigint, bigint>([
  [0n, 8n],
  [14n, 13n],
  [16n, 15n],
  [18n, 17n],
  [129n, 128n],
]);

function isIcmp(packet: Packet): boolean {
  const proto = packet.get('ip_proto');
  return proto === protocolNumber.icmp || proto === protocolNumber.icmpv6;
}

function icmpType(packet: Packet): bigint {
  return packet.get('icmpv4_type') ?? packet.get('icmpv6_type') ?? 0n;
}

/** Undefined for what is no IP packet. */
export function tupleOf(packet: Packet): Tuple | undefined {
  const six = packet.get('eth_type') === etherType.ipv6;
  const source = packet.get(six ? 'ipv6_src' : 'ipv4_src');
  const target = packet.get(six ? 'ipv6_dst' : 'ipv4_dst');
  if (source === undefined || target === undefined) return undefined;
  const proto = packet.get('ip_proto') ?? 0n;
  if (isIcmp(packet)) {
    // One identifier: what tells two apart here is the type of the request.
    const type = icmpType(packet);
    const request = requestOf.get(type) ?? type;
    return { proto, source, target, sourcePort: request, targetPort: request };
  }
  return { proto, source, target, sourcePort: transport(packet, 'src'), targetPort: transport(packet, 'dst') };
}

function transport(packet: Packet, side: 'src' | 'dst'): bigint {
  for (const proto of ['tcp', 'udp', 'sctp'] as const) {
    const value = packet.get(`${proto}_${side}` satisfies FieldName);
    if (value !== undefined) return value;
  }
  return 0n;
}

/** As an answer has it. */
export function reversed({ proto, source, target, sourcePort, targetPort }: Tuple): Tuple {
  return { proto, source: target, target: source, sourcePort: targetPort, targetPort: sourcePort };
}

/** Whether Linux lets it open a connection (nf_conntrack_proto_icmp.c, -icmpv6.c, -tcp.c): else the packet is invalid. */
function opens(packet: Packet): boolean {
  const proto = packet.get('ip_proto');
  if (proto === protocolNumber.icmp) return [8n, 13n, 15n, 17n].includes(icmpType(packet));
  if (proto === protocolNumber.icmpv6) return icmpType(packet) === 128n;
  if (proto === protocolNumber.tcp) {
    const flags = packet.get('tcp_flags') ?? 0n;
    const [fin, syn, rst, ack] = [0x01n, 0x02n, 0x04n, 0x10n].map((bit) => (flags & bit) !== 0n);
    return !rst && !(syn && (ack || fin)) && (syn || ack === true);
  }
  return true;
}
