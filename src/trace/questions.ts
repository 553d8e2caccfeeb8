/** What a VM asks everybody on its link before it knows anybody: for an address, for a router. */
import { parseMac } from '../intent/addresses.ts';
import type { Ip } from '../intent/ip.ts';
import type { Resource } from '../intent/model.ts';
import { networkOf } from '../intent/path.ts';
import type { Home } from '../inventory/placement.ts';
import { fieldProblem } from '../problems.ts';
import type { Question, Resolved, TraceRequest } from './request.ts';

/** fe80::/64 with the interface identifier of the MAC: RFC 4291 appendix A. */
function linkLocal(mac: number): Ip & { family: 6 } {
  const bits = BigInt(mac);
  const identifier = ((bits >> 24n) << 40n) | (0xfffen << 24n) | (bits & 0xffffffn);
  return { family: 6, value: (0xfe80n << 112n) | (identifier ^ (1n << 57n)) };
}

type Asked = Pick<Resolved, 'target' | 'protocol' | 'sourcePort' | 'destinationPort' | 'length'> & {
  targetMac: number;
  source(mac: number): Ip;
  icmpType: number;
  ttl: number;
};

const questions: Record<Question, Asked> = {
  // RFC 2131 section 4.1.
  dhcp: {
    source: () => ({ family: 4, value: 0 }),
    target: { family: 4, value: 0xffff_ffff },
    targetMac: 0xffff_ffff_ffff,
    protocol: 17,
    sourcePort: 68,
    destinationPort: 67,
    icmpType: 0,
    ttl: 64,
    length: 342,
  },
  // RFC 8415 section 7.1: ff02::1:2, all relay agents and servers.
  dhcpv6: {
    source: linkLocal,
    target: { family: 6, value: (0xff02n << 112n) | 0x1_0002n },
    targetMac: 0x3333_0001_0002,
    protocol: 17,
    sourcePort: 546,
    destinationPort: 547,
    icmpType: 0,
    ttl: 1,
    length: 120,
  },
  // RFC 4861 section 4.1: ff02::2, all routers.
  router: {
    source: linkLocal,
    target: { family: 6, value: (0xff02n << 112n) | 2n },
    targetMac: 0x3333_0000_0002,
    protocol: 58,
    sourcePort: 0,
    destinationPort: 0,
    icmpType: 133,
    ttl: 255,
    length: 70,
  },
};

/** @throws Problem request.invalid where it would be part of a connection */
export function asking(port: Resource<'port'>, at: Home, question: Question, { state }: TraceRequest): Resolved {
  if (state !== 'new') throw fieldProblem('request.invalid', '/state', 'A question opens no connection');
  const { source, icmpType, ...asked } = questions[question];
  const mac = parseMac(port.spec.mac) ?? 0;
  return {
    ...asked,
    network: networkOf(port.path)!,
    sender: { port, mac, ip: source(mac), at },
    receiver: undefined,
    icmp: { type: icmpType, code: 0 },
    state,
  };
}
