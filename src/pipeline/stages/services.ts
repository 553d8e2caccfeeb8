/**
 * What a VM asks before it knows anybody: an address (DHCP, RFC 2131 and RFC 8415), a router (RFC 4861), names and metadata at
 * one link-local address. Tables ServiceRequest, SourceNat (its upper half), Responder, ServiceIdentity and ServiceReply, and
 * what the way there and back needs in others. A request goes to a gateway of the network; nothing of it is judged by access
 * rules, so exactly what is named here passes, and nothing else under that address.
 *
 * Who asks is never read from what a VM writes: a packet for the responder comes with tenant and MAC, which port security
 * holds to the port, and one for names or metadata with a source address that stands for one port.
 */
import { cookie } from '../cookie.ts';
import type { Action, Flow, Match, Meter } from '../flow.ts';
import { packetInCode } from '../packet-in.ts';
import { load, matching, registers } from '../registers.ts';
import { type Table, tables } from '../tables.ts';
import { ndType } from './neighbour.ts';
import {
  cameFrom,
  ethType,
  fromIp,
  fromPrefix,
  type Ip,
  type IpPrefix,
  ipProtocol,
  type LocalPort,
  linkLocal,
  type PortFacts,
  toIp,
} from './ports.ts';

/** 169.254.169.254: where names and metadata are asked for. */
export const serviceAddress: Ip & { family: 4 } = { family: 4, value: 0xa9fe_a9fe };

/** MAC of the services' end of their port: a resource number (see generatedMac) that no resource has. */
export const serviceMac = 0x0a00_0000_0000;

/** Connection of a gateway host's own program to the switch, NXT_SET_CONTROLLER_ID: `KG`. */
export const responderId = 0x4b47;

/**
 * Address that stands for a port among the services of a gateway host: in 240.0.0.0/4, which nobody else uses there.
 * Two ports have the same one only where their resource numbers are 2^28 - 1 apart, or a multiple of it.
 */
export function serviceIdentity(port: number): number {
  return 0xf000_0000 + (port % identities);
}

/** How many there are: 255.255.255.255 is none. */
export const identities = 2 ** 28 - 1;

/** A network whose ports ask. */
export type ServedNetwork = {
  /** Resource number, for the cookie. */
  number: number;
  /** Its number in registers. */
  network: number;
  gatewayMac: number;
  /** Whether its ports get their addresses and routers told. */
  addresses: boolean;
};

/** UDP ports: RFC 2131, RFC 8415. */
const dhcp = { v4: { client: 68, server: 67 }, v6: { client: 546, server: 547 } } as const;

const unspecified4: Ip = { family: 4, value: 0 };
const unspecified6: IpPrefix = { family: 6, value: 0n, length: 128 };

const toDhcp: Match = {
  eth_type: ethType.ipv4,
  ip_proto: ipProtocol.udp,
  udp_src: dhcp.v4.client,
  udp_dst: dhcp.v4.server,
};
const toDhcp6: Match = {
  eth_type: ethType.ipv6,
  ip_proto: ipProtocol.udp,
  udp_src: dhcp.v6.client,
  udp_dst: dhcp.v6.server,
};
const routerSolicitation: Match = {
  eth_type: ethType.ipv6,
  ip_proto: ipProtocol.icmpv6,
  icmpv6_type: ndType.routerSolicit,
  icmpv6_code: 0,
};

/** Names (RFC 1035, RFC 7766) and metadata. */
const served: readonly { protocol: number; field: 'udp' | 'tcp'; port: number }[] = [
  { protocol: ipProtocol.udp, field: 'udp', port: 53 },
  { protocol: ipProtocol.tcp, field: 'tcp', port: 53 },
  { protocol: ipProtocol.tcp, field: 'tcp', port: 80 },
];

const toServed: readonly Match[] = served.map(({ protocol, field, port }) => ({
  ...toIp(serviceAddress),
  ip_proto: protocol,
  [`${field}_dst`]: port,
}));

const fromServed: readonly Match[] = served.map(({ protocol, field, port }) => ({
  ...fromIp(serviceAddress),
  ip_proto: protocol,
  [`${field}_src`]: port,
}));

/** What the services say of themselves: DHCP servers' answers, router advertisements, answers to questions. */
const answers: readonly Match[] = [
  { eth_type: ethType.ipv4, ip_proto: ipProtocol.udp, udp_src: dhcp.v4.server, udp_dst: dhcp.v4.client },
  { eth_type: ethType.ipv6, ip_proto: ipProtocol.udp, udp_src: dhcp.v6.server, udp_dst: dhcp.v6.client },
  { eth_type: ethType.ipv6, ip_proto: ipProtocol.icmpv6, icmpv6_type: ndType.routerAdvert, icmpv6_code: 0 },
  ...fromServed,
];

function flow(table: Table, priority: number, number: number, match: Match, actions: Action[], goto?: Table): Flow {
  const to = goto === undefined ? {} : { goto: goto.id };
  return { table: table.id, priority, cookie: cookie(table.id, number), match, actions, ...to };
}

const hasV6 = (port: PortFacts): boolean => port.ips.some(({ family }) => family === 6);

/** The address by which a port is told apart; undefined: it has none of IPv4. */
function mainAddress(port: PortFacts): Ip | undefined {
  return port.ips.find(({ family }) => family === 4);
}

// On the switch of the VM

/** What a port may ask under its own MAC, before it has an address and when it renews one. */
export function askForAddress(port: LocalPort): Flow[] {
  const own = { in_port: port.ofport, eth_src: port.mac, vlan_vid: 0 };
  const asked: Match[] = [unspecified4, ...port.ips.filter(({ family }) => family === 4)].map((source) => ({
    ...toDhcp,
    ...fromIp(source),
  }));
  if (hasV6(port)) {
    asked.push({ ...toDhcp6, ...fromPrefix(linkLocal) });
    for (const source of [linkLocal, unspecified6]) asked.push({ ...routerSolicitation, ...fromPrefix(source) });
  }
  return asked.map((match) =>
    flow(tables.PortSecurity, 210, port.number, { ...own, ...match }, [], tables.ServiceRequest),
  );
}

/** Questions go to the gateway of the network; anything else under the address of the services goes nowhere (RFC 3927 section 7). */
export function requestServices({ number, network, gatewayMac }: ServedNetwork): Flow[] {
  return [
    ...toServed.map((match) =>
      flow(tables.Gateway, 110, number, matching(match, registers.network, network), [], tables.ServiceRequest),
    ),
    flow(tables.Gateway, 105, number, matching(toIp(serviceAddress), registers.network, network), []),
    flow(
      tables.ServiceRequest,
      100,
      number,
      matching({}, registers.network, network),
      [load(registers.service, 1), { type: 'setField', field: 'eth_dst', value: gatewayMac }],
      tables.WayOut,
    ),
  ];
}

/** Answers that arrive for a port, under the MAC of its network's gateway, which no VM has. */
export function answersFromTunnel(port: LocalPort, gatewayMac: number): Flow {
  const match = matching({ eth_src: gatewayMac, eth_dst: port.mac, vlan_vid: 0 }, registers.key, port.key);
  const actions = [
    load(registers.outPort, port.ofport),
    load(registers.zone, port.zone),
    load(registers.portEpoch, port.epoch),
    load(registers.network, port.network),
    load(registers.service, 1),
  ];
  return flow(tables.TunnelLookup, 110, port.number, match, actions, tables.TunnelSource);
}

/** Answers come from a gateway of the network. @param gateway its number */
export function admitAnswers({ number, network }: ServedNetwork, gateway: number): Flow[] {
  const from = matching(matching({}, registers.network, network), registers.fromPeer, gateway);
  return answers.map((match) =>
    flow(
      tables.TunnelSource,
      110,
      number,
      matching({ ...match, ...from }, registers.service, 1),
      [],
      tables.LocalOutput,
    ),
  );
}

/** Nothing else travels under the MAC of a gateway. */
export function refuseOtherAnswers(): Flow {
  return flow(tables.TunnelSource, 107, 0, matching({}, registers.service, 1), []);
}

/** A port without port security may send under any MAC but this one. */
export function keepGatewayMac(port: LocalPort, gatewayMac: number): Flow {
  return flow(tables.PortSecurity, 205, port.number, { ...cameFrom(port), eth_src: gatewayMac }, []);
}

// On the gateways

/** A request of a port at a peer that has no address yet, or only one of its link. */
export function admitUnaddressed(port: PortFacts, peer: number): Flow[] {
  const asked: Match[] = [{ ...toDhcp, ...fromIp(unspecified4) }];
  if (hasV6(port)) {
    asked.push({ ...toDhcp6, ...fromPrefix(linkLocal) });
    for (const source of [linkLocal, unspecified6]) asked.push({ ...routerSolicitation, ...fromPrefix(source) });
  }
  return asked.map((match) => {
    const from = matching(
      matching({ ...match, eth_src: port.mac }, registers.network, port.network),
      registers.fromPeer,
      peer,
    );
    return flow(
      tables.TunnelSource,
      105,
      port.number,
      matching(from, registers.outbound, 1),
      [],
      tables.IngressConntrack,
    );
  });
}

/** Ids of the meters of requests, above those of ports, networks, probes and tiers. */
const requestMeters = 0x4000_0000;

/**
 * Requests a second of a network, and at once: many VMs may start together, and none of them keeps the program on the gateway
 * host from another tenant's.
 */
const requests = { rate: 500, burst: 1_000 } as const;

/** Which requests go to the program itself, and which to where it listens. */
export function sortRequests({ number, network, addresses }: ServedNetwork): { flows: Flow[]; meters: Meter[] } {
  const meter = requestMeters + network;
  const of = (match: Match): Match => matching(match, registers.network, network);
  const flows = toServed.map((match) => flow(tables.SourceNat, 110, number, of(match), [], tables.ServiceIdentity));
  if (!addresses) return { flows, meters: [] };
  const respond: Action = {
    type: 'controller',
    userdata: Uint8Array.of(packetInCode.service),
    meter,
    id: responderId,
  };
  flows.push(
    ...[toDhcp, toDhcp6, routerSolicitation].map((match) =>
      flow(tables.SourceNat, 120, number, of(match), [], tables.Responder),
    ),
    flow(tables.Responder, 100, number, of({}), [respond]),
  );
  return {
    flows,
    meters: [{ id: meter, cookie: cookie(tables.Responder.id, number), unit: 'pktps', ...requests }],
  };
}

/** The port the services are behind gets what is asked, and says nothing but what they answer. */
export function servicesPort(ofport: number): Flow[] {
  const answered = { in_port: ofport, vlan_vid: 0, ...fromIp(serviceAddress) };
  return [
    flow(tables.Classifier, 70, 0, answered, [], tables.ServiceReply),
    flow(tables.ServiceOutput, 100, 0, {}, [{ type: 'output', port: ofport }]),
  ];
}

/** The questions of a port, and the answers to them. */
export function identify(port: PortFacts, gatewayMac: number): Flow[] {
  const address = mainAddress(port);
  if (address === undefined) return [];
  const identity: Ip = { family: 4, value: serviceIdentity(port.number) };
  return [
    flow(
      tables.ServiceIdentity,
      100,
      port.number,
      matching({ ...fromIp(address), eth_src: port.mac }, registers.network, port.network),
      [
        { type: 'setField', field: 'ipv4_src', value: identity.value },
        { type: 'setField', field: 'eth_dst', value: serviceMac },
      ],
      tables.ServiceOutput,
    ),
    flow(
      tables.ServiceReply,
      100,
      port.number,
      toIp(identity),
      [
        { type: 'setField', field: 'ipv4_dst', value: address.value },
        { type: 'setField', field: 'eth_src', value: gatewayMac },
        { type: 'setField', field: 'eth_dst', value: port.mac },
        load(registers.key, port.key),
        load(registers.network, port.network),
        load(registers.tier, port.tier),
        load(registers.service, 1),
      ],
      tables.Lookup,
    ),
  ];
}

/** Where answers to the port go: out of the switch by `ofport`, or to the peer it is at. */
export function answerTo(port: PortFacts, at: { ofport: number } | { peer: number }): Flow {
  const match = matching(matching({ eth_dst: port.mac, vlan_vid: 0 }, registers.key, port.key), registers.service, 1);
  return 'peer' in at
    ? flow(tables.Lookup, 110, port.number, match, [load(registers.toPeer, at.peer)], tables.TunnelOutput)
    : flow(tables.Lookup, 110, port.number, match, [load(registers.outPort, at.ofport)], tables.LocalOutput);
}
