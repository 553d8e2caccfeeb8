/**
 * What a flow tells the controller of a packet it sends there, in the userdata of its controller action: first a code that
 * says who is to take it, then what that one needs.
 */
import type { Ip } from './stages/ports.ts';

/** Codes, of one byte. */
export const packetInCode = {
  /** Answered by the southbound thread with an ICMP error. */
  icmpError: 1,
  /** A rule or a default that is to be logged. */
  log: 2,
  /** A packet that is followed on its way. */
  trace: 3,
  /** A probe from one hypervisor to another. */
  probe: 4,
  /** A request to the services of a gateway host: for the program there, never for the controller. */
  service: 5,
  /** ARP that tells the MAC of a pool's next hop. */
  nextHop: 6,
} as const;

/** What a router says when it does not pass a packet on: RFC 792, RFC 1812, RFC 4443. */
export type IcmpErrorKind =
  | 'timeExceeded'
  | 'netUnreachable'
  | 'hostUnreachable'
  /** By a filter: RFC 1812 section 5.2.7.1, RFC 4443 section 3.1 code 1. */
  | 'prohibited'
  | 'tooBig';

const kinds: readonly IcmpErrorKind[] = ['timeExceeded', 'netUnreachable', 'hostUnreachable', 'prohibited', 'tooBig'];

export type IcmpErrorOrder = {
  kind: IcmpErrorKind;
  /** Who says so: the address of the receiving tier's gateway. */
  gateway: Ip;
  /** Of the next link, bytes of an IP packet; 0 where the kind is not `tooBig`. */
  mtu: number;
};

/** Code, kind, MTU in 2 bytes, address in 4 or 16. */
export function icmpErrorUserdata({ kind, gateway, mtu }: IcmpErrorOrder): Uint8Array {
  const bytes = new Uint8Array(4 + (gateway.family === 4 ? 4 : 16));
  bytes.set([packetInCode.icmpError, kinds.indexOf(kind), mtu >>> 8, mtu & 0xff]);
  let rest = BigInt(gateway.value);
  for (let at = bytes.length - 1; at >= 4; at--) {
    bytes[at] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  return bytes;
}

/** Code, resource number of the network in 5 bytes. What decided is in registers. */
export function logUserdata(network: number): Uint8Array {
  return numbered(packetInCode.log, network);
}

/** The network's resource number; undefined for anything else. */
export function parseLogUserdata(userdata: Uint8Array): number | undefined {
  return parseNumbered(packetInCode.log, userdata);
}

/** Code, resource number of the pool in 5 bytes. */
export function nextHopUserdata(pool: number): Uint8Array {
  return numbered(packetInCode.nextHop, pool);
}

/** The pool's resource number; undefined for anything else. */
export function parseNextHopUserdata(userdata: Uint8Array): number | undefined {
  return parseNumbered(packetInCode.nextHop, userdata);
}

function numbered(code: number, number: number): Uint8Array {
  const bytes = new Uint8Array(6);
  bytes[0] = code;
  bytes[1] = Math.floor(number / 2 ** 32);
  new DataView(bytes.buffer).setUint32(2, number % 2 ** 32);
  return bytes;
}

function parseNumbered(code: number, userdata: Uint8Array): number | undefined {
  if (userdata[0] !== code || userdata.length !== 6) return undefined;
  const low = new DataView(userdata.buffer, userdata.byteOffset).getUint32(2);
  return userdata[1]! * 2 ** 32 + low;
}

/** The inverse; undefined for anything else. */
export function parseIcmpErrorUserdata(userdata: Uint8Array): IcmpErrorOrder | undefined {
  const kind = kinds[userdata[1] ?? kinds.length];
  const family = ({ 8: 4, 20: 6 } as const)[userdata.length];
  if (userdata[0] !== packetInCode.icmpError || kind === undefined || family === undefined) return undefined;
  let value = 0n;
  for (const byte of userdata.subarray(4)) value = (value << 8n) | BigInt(byte);
  const gateway: Ip = family === 4 ? { family, value: Number(value) } : { family, value };
  return { kind, gateway, mtu: (userdata[2]! << 8) | userdata[3]! };
}
