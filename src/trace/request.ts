/** What is to be traced, found in intent and in the cloud as it is now; what cannot be traced is a problem about its field. */

import type { HypervisorNumber } from '../drivers/switch-plugin.ts';
import { parseMac } from '../intent/addresses.ts';
import { formatIp, type Ip, isIn, parseIp, parseIpPrefix } from '../intent/ip.ts';
import type { Path, Resource, View } from '../intent/model.ts';
import { networkOf, tenantOf } from '../intent/path.ts';
import { protocolNumber as numberOf } from '../intent/protocols.ts';
import { isHidden } from '../intent/transit.ts';
import type { Bound, Home, Placement } from '../inventory/placement.ts';
import { serviceAddress } from '../pipeline/stages/services.ts';
import { fieldProblem } from '../problems.ts';
import type { ConnectionState } from './probe.ts';
import { asking } from './questions.ts';

export type TraceRequest = {
  /** Path of the sending port, or an address beyond a provider network (any will do where it is left out). */
  from: Path | { outside: string | undefined };
  /** From outside: a public address, by path or as it is, or the port it is published for. */
  to: { port: Path } | { ip: string } | { publicIp: Path } | { ask: Question };
  /** Name or number, as rules take it; `icmp` is that of the IP version. */
  protocol: string;
  sourcePort?: number | undefined;
  destinationPort?: number | undefined;
  icmp?: { type: number; code?: number | undefined } | undefined;
  state: ConnectionState;
  ttl?: number | undefined;
  /** Of the frame, bytes. */
  length?: number | undefined;
  /** One of the sender's addresses. */
  source?: string | undefined;
  /** Names of hypervisors that are taken to be dead. */
  assumeDown?: readonly string[] | undefined;
  /** Path of the tenant that asks: nothing of others is found. */
  within?: Path | undefined;
};

/** What a VM asks everybody on its link. */
export type Question = 'dhcp' | 'dhcpv6' | 'router';

export type Endpoint = { port: Resource<'port'>; mac: number; ip: Ip };

export type Sender = {
  /** Undefined: outside. */
  port: Resource<'port'> | undefined;
  mac: number;
  ip: Ip;
  /** Where its packets come in. */
  at: { hypervisor: HypervisorNumber; ofport: number };
};

export type Resolved = {
  /** Whose rules are asked for the sender: its own network; of one outside, that of the public address. */
  network: Path;
  sender: Sender;
  target: Ip;
  /** Where nobody has to be asked for it. */
  targetMac?: number;
  /** Port that has the destination address in the sender's network or one peered with it; else one that was named. */
  receiver: Endpoint | undefined;
  /** From outside: what it comes in by. */
  publicIp?: Resource<'public-ip'>;
  protocol: number;
  sourcePort: number;
  destinationPort: number;
  icmp: { type: number; code: number };
  ttl: number;
  length: number;
  state: ConnectionState;
};

const icmp = { v4: 1, v6: 58 } as const;
const withPorts = new Set([6, 17, 132]);

/** IANA's dynamic ports begin at 49152: a source port that nothing in particular listens on. */
const usualSourcePort = 49_152;
const usualTtl = 64;
/** Ethernet, IPv6 and TCP with room for a few options. */
const usualLength = 98;

/**
 * Of what a port sends. @param down hypervisors that are taken to be dead
 * @throws Problem about the field at fault
 */
export function resolve(
  view: View,
  placement: Placement,
  request: TraceRequest,
  down: ReadonlySet<HypervisorNumber> = new Set(),
): Resolved {
  if (typeof request.from !== 'string') throw new Error('what comes from outside is resolved elsewhere');
  const port = portAt(view, request.from, '/from', request.within);
  const at = homeOf(placement.get(port.path), down);
  if (at === undefined || at.ofport === 0)
    throw fieldProblem('trace.port-not-bound', '/from', `${port.path} is bound nowhere now: nothing comes from it`);
  if ('ask' in request.to) return asking(port, at, request.to.ask, request);
  if ('publicIp' in request.to) {
    const address = publicIpAt(view, request.to.publicIp, '/to');
    return resolve(view, placement, { ...request, to: { ip: address.spec.address } }, down);
  }
  const named = 'port' in request.to ? portAt(view, request.to.port, '/to', request.within) : undefined;
  if (named !== undefined && tenantOf(named.path) !== tenantOf(port.path))
    throw fieldProblem(
      'request.invalid',
      '/to',
      `${named.path} is of another tenant: no packet goes there by its path`,
    );
  const { source, target } = addresses(port, named, request);
  const packet = packetAsked(request, source.family === 6);
  const receiver = named ?? portWith(view, port, target);
  return {
    network: networkOf(port.path)!,
    sender: { port, mac: macOf(port), ip: source, at },
    target,
    receiver: receiver && { port: receiver, mac: macOf(receiver), ip: target },
    ...packet,
  };
}

/** What of the packet has nothing to do with who sends it. */
export type PacketAsked = Pick<
  Resolved,
  'protocol' | 'sourcePort' | 'destinationPort' | 'icmp' | 'ttl' | 'length' | 'state'
>;

/** @throws Problem request.invalid about a field */
export function packetAsked(request: TraceRequest, six: boolean): PacketAsked {
  const protocol = protocolOf(request.protocol, six);
  const ownPorts = withPorts.has(protocol);
  for (const field of ['sourcePort', 'destinationPort'] as const)
    if (request[field] !== undefined && !ownPorts)
      throw fieldProblem('request.invalid', `/${field}`, `${request.protocol} has no ports`);
  const isIcmp = protocol === icmp.v4 || protocol === icmp.v6;
  if (request.icmp !== undefined && !isIcmp)
    throw fieldProblem('request.invalid', '/icmp', `${request.protocol} has no ICMP type`);
  const least = six ? 14 + 40 + 24 : 14 + 20 + 24;
  if (request.length !== undefined && request.length < least)
    throw fieldProblem('request.invalid', '/length', `An Ethernet frame with these headers has ${least} bytes or more`);
  return {
    protocol,
    sourcePort: ownPorts ? (request.sourcePort ?? usualSourcePort) : 0,
    destinationPort: ownPorts ? (request.destinationPort ?? 0) : 0,
    icmp: { type: request.icmp?.type ?? usualIcmp(six, request.state), code: request.icmp?.code ?? 0 },
    ttl: request.ttl ?? usualTtl,
    length: request.length ?? usualLength,
    state: request.state,
  };
}

/** Of a device that two gateways have: the first that is not taken to be dead. */
export function homeOf(bound: Bound | undefined, down: ReadonlySet<HypervisorNumber>): Home | undefined {
  if (bound?.standby !== undefined && down.has(bound.hypervisor)) return bound.standby;
  return bound;
}

/** An echo request, or the reply to one. */
function usualIcmp(six: boolean, state: ConnectionState): number {
  if (state === 'reply') return six ? 129 : 0;
  return six ? 128 : 8;
}

/** @param within tenant that asks */
export function portAt(view: View, path: Path, field: string, within?: Path): Resource<'port'> {
  const port = view.getAs('port', path);
  if (port === undefined || (within !== undefined && isHidden(port)))
    throw fieldProblem('resource.not-found', field, `There is no port ${path}`);
  return port;
}

export const macOf = (port: Resource<'port'>): number => {
  const mac = parseMac(port.spec.mac);
  if (mac === undefined) throw new Error(`unchecked MAC in intent: ${port.spec.mac}`);
  return mac;
};

export function publicIpAt(view: View, path: Path, field: string): Resource<'public-ip'> {
  const address = view.getAs('public-ip', path);
  if (address === undefined) throw fieldProblem('resource.not-found', field, `There is no public address ${path}`);
  return address;
}

function ipsOf(port: Resource<'port'>): Ip[] {
  return port.spec.ips.flatMap((text) => parseIp(text) ?? []);
}

function addresses(
  port: Resource<'port'>,
  named: Resource<'port'> | undefined,
  { to, source: wanted }: TraceRequest,
): { source: Ip; target: Ip } {
  const own = ipsOf(port);
  if (wanted !== undefined) {
    const asked = parseIp(wanted);
    if (asked === undefined) throw fieldProblem('address.invalid', '/source', `${wanted} is no IP address`);
    const target = named === undefined ? destination((to as { ip: string }).ip) : sameFamily(ipsOf(named), asked);
    if (target === undefined || target.family !== asked.family)
      throw fieldProblem('address.invalid', '/source', `${wanted} and the destination are not of one IP version`);
    return { source: asked, target };
  }
  if ('ip' in to) {
    const target = destination(to.ip);
    const source = sameFamily(own, target);
    if (source === undefined)
      throw fieldProblem('address.invalid', '/to', `${port.path} has no IPv${target.family} address to send from`);
    return { source, target };
  }
  for (const target of named === undefined ? [] : ipsOf(named)) {
    const source = sameFamily(own, target);
    if (source !== undefined) return { source, target };
  }
  throw fieldProblem(
    'address.invalid',
    '/to',
    `${port.path} and ${named?.path ?? 'that'} have no addresses of one IP version`,
  );
}

const sameFamily = (ips: readonly Ip[], other: Ip): Ip | undefined => ips.find((ip) => ip.family === other.family);

const prefix = (text: string) => {
  const parsed = parseIpPrefix(text);
  if (parsed === undefined) throw new Error(`not a prefix: ${text}`);
  return parsed;
};

/** Where no unicast packet of a tenant's goes (RFC 6890, RFC 4291). */
const refused = [
  { prefix: prefix('224.0.0.0/4'), what: 'a multicast address' },
  { prefix: prefix('255.255.255.255/32'), what: 'the broadcast address' },
  { prefix: prefix('0.0.0.0/8'), what: 'no destination' },
  { prefix: prefix('127.0.0.0/8'), what: 'a loopback address' },
  { prefix: prefix('169.254.0.0/16'), what: 'a link-local address' },
  { prefix: prefix('ff00::/8'), what: 'a multicast address' },
  { prefix: prefix('fe80::/10'), what: 'a link-local address' },
  { prefix: prefix('::ffff:0:0/96'), what: 'an IPv4-mapped address' },
  { prefix: prefix('::/127'), what: 'no destination' },
];

export function destination(text: string): Ip {
  const ip = parseIp(text);
  if (ip === undefined) throw fieldProblem('address.invalid', '/to', `${text} is no IP address`);
  // Names and metadata.
  if (ip.family === 4 && ip.value === serviceAddress.value) return ip;
  const bad = refused.find((one) => isIn(one.prefix, ip));
  if (bad !== undefined)
    throw fieldProblem('address.invalid', '/to', `${text} is ${bad.what}: a trace goes to one host`);
  return ip;
}

function protocolOf(text: string, six: boolean): number {
  const number = numberOf(text);
  if (number === undefined) throw fieldProblem('request.invalid', '/protocol', `${text} is no IP protocol`);
  if (text === 'icmp' || text === 'icmpv6') return six ? icmp.v6 : icmp.v4;
  return number;
}

/** The pair by which the port may have an address beside its own. */
export function pairOf({ spec }: Resource<'port'>, ip: Ip): { mac?: string } | undefined {
  return spec.allowedAddressPairs?.find(({ ip: text }) => {
    const range = parseIpPrefix(text.includes('/') ? text : `${text}/${ip.family === 4 ? 32 : 128}`);
    return range !== undefined && isIn(range, ip);
  });
}

/** Networks that the network's packets may be routed to, itself first. */
export function reachable(view: View, network: Path): Path[] {
  const tenant = tenantOf(network);
  const found = [network];
  const name = network.slice(network.lastIndexOf('/') + 1);
  if (tenant === undefined) return found;
  for (const { spec } of view.children('peering', tenant)) {
    if (!spec.networks.includes(name)) continue;
    for (const other of spec.networks) if (other !== name) found.push(`${tenant}/networks/${other}`);
  }
  return found;
}

function portWith(view: View, sender: Resource<'port'>, ip: Ip): Resource<'port'> | undefined {
  const text = formatIp(ip);
  for (const network of reachable(view, networkOf(sender.path)!))
    for (const port of view.children('port', network)) if (port.spec.ips.includes(text)) return port;
  return undefined;
}

/** Whom the sender asks for a MAC: the receiver where it is a neighbour, else the gateway of its tier; undefined: nobody. */
export function firstHop(view: View, port: Resource<'port'>, ip: Ip, target: Ip): Ip | undefined {
  const tier = view.getAs('tier', `${networkOf(port.path)}/tiers/${port.spec.tier}`);
  if (tier === undefined) return undefined;
  const { cidr, gateway, ipv6Cidr, ipv6Gateway } = tier.spec;
  if (ip.family === 4) {
    if (target.family !== 4) return undefined;
    return isIn(parseIpPrefix(cidr)!, target) ? target : parseIp(gateway);
  }
  const own = ipv6Cidr === undefined ? undefined : parseIpPrefix(ipv6Cidr);
  if (own !== undefined && isIn(own, target)) return target;
  return ipv6Gateway === undefined ? undefined : parseIp(ipv6Gateway);
}
