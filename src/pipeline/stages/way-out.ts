/**
 * The way out of a tenant's network: from the router to the network's gateway, or straight out where the address has static
 * NAT here. IPv4 is routed there (router.ts); what asks the services takes the same way, of both IP versions. Which of two
 * gateways is in charge each switch sees for itself, by BFD of its tunnels: the first one while that is alive.
 */
import { cookie } from '../cookie.ts';
import { type Action, bundleNone, type Flow, type Match } from '../flow.ts';
import { load, matching, registers, subfield } from '../registers.ts';
import { routePriority, type Table, tables } from '../tables.ts';
import { ownFlow } from './conntrack.ts';
import { ethType, fromIp, fromPrefix, type IpPrefix, toPrefix } from './ports.ts';

/** A network that has a way out. */
export type OutwardNetwork = {
  /** Resource number, for the cookie. */
  number: number;
  /** Its number in registers. */
  network: number;
  /** The tenant's key. */
  key: number;
  /** MAC under which what goes out travels to the gateway. */
  gatewayMac: number;
};

function flow(table: Table, priority: number, number: number, match: Match, actions: Action[], goto?: Table): Flow {
  const to = goto === undefined ? {} : { goto: goto.id };
  return { table: table.id, priority, cookie: cookie(table.id, number), match, actions, ...to };
}

const inNetwork = (match: Match, { network }: OutwardNetwork): Match => matching(match, registers.network, network);

/**
 * Where no tier, peering or static route leads. What came from outside does not leave again, and what is inside is nowhere
 * else.
 */
export function routeOutside(network: OutwardNetwork, inside: readonly IpPrefix[]): Flow[] {
  const match = matching(inNetwork({ eth_type: ethType.ipv4 }, network), registers.fromOutside, 0);
  const actions: Action[] = [{ type: 'decTtl' }, load(registers.routed, 1)];
  return [
    flow(tables.Route, routePriority(0, 'outside'), network.number, match, actions, tables.WayOut),
    ...inside.map((prefix) =>
      flow(
        tables.WayOut,
        120,
        network.number,
        matching(inNetwork(toPrefix(prefix), network), registers.service, 0),
        [],
      ),
    ),
  ];
}

const toGateway = ({ gatewayMac }: OutwardNetwork, gateway: number): Action[] => [
  { type: 'setField', field: 'eth_dst', value: gatewayMac },
  load(registers.toPeer, gateway),
];

/** From a hypervisor that is no gateway of the network. @param second 0: there is none */
export function toGateways(network: OutwardNetwork, first: number, second: number): Flow {
  const actions = [...toGateway(network, first), load(registers.orPeer, second)];
  return flow(tables.WayOut, 100, network.number, inNetwork({}, network), actions, tables.TunnelOutput);
}

/** On the first gateway. @param zone conntrack zone of the network's NAT there */
export function atFirstGateway(network: OutwardNetwork, zone: number): Flow {
  const actions = [load(registers.zone, zone)];
  return flow(tables.WayOut, 100, network.number, inNetwork({}, network), actions, tables.SourceNat);
}

/** On the second one, which is in charge while it sees the first dead. */
export function atSecondGateway(network: OutwardNetwork, zone: number, first: number): Flow {
  const actions = [
    ...toGateway(network, first),
    load(registers.zone, zone),
    load(registers.outbound, 1),
    askWhetherAlive,
  ];
  return flow(tables.WayOut, 100, network.number, inNetwork({}, network), actions, tables.Chosen);
}

/** An IPv4 address with static NAT that has the provider network where it is. @param rule its resource number is the cookie's */
export function straightOut(
  { number }: { number: number },
  network: OutwardNetwork,
  address: number,
  zone: number,
): Flow {
  const match = matching(inNetwork(fromIp({ family: 4, value: address }), network), registers.service, 0);
  return flow(tables.WayOut, 110, number, match, [load(registers.zone, zone)], tables.SourceNat);
}

/** On a gateway: what hosts of the network send there. */
export function arriveAtGateway(network: OutwardNetwork, zone: number): Flow {
  const match = matching({ eth_dst: network.gatewayMac, vlan_vid: 0 }, registers.key, network.key);
  const actions = [load(registers.network, network.network), load(registers.zone, zone), load(registers.outbound, 1)];
  return flow(tables.TunnelLookup, 105, network.number, match, actions, tables.TunnelSource);
}

/** At a host: what a gateway sends comes from outside, so under no address that is inside. */
export function admitOutside(network: OutwardNetwork, inside: readonly IpPrefix[], gateway: number): Flow[] {
  const from = (match: Match): Match => matching(inNetwork(match, network), registers.fromPeer, gateway);
  return [
    ...inside.map((prefix) => flow(tables.TunnelSource, 35, network.number, from(fromPrefix(prefix)), [])),
    flow(tables.TunnelSource, 30, network.number, from({ eth_type: ethType.ipv4 }), [], tables.IngressConntrack),
  ];
}

/** The subroutine that says by which port the gateway in `toPeer` is alive; `bundleNone`: by none. */
export const askWhetherAlive: Action = { type: 'resubmit', table: tables.GatewayAlive.id };

/** This switch is in charge. */
export const inCharge: Action = load(registers.alive, bundleNone);

/** @param ofport of the tunnel to it @param resource number of its hypervisor resource */
export function gatewayAlive(gateway: number, ofport: number, resource: number): Flow {
  const match = matching({}, registers.toPeer, gateway);
  const actions: Action[] = [{ type: 'bundleLoad', target: subfield(registers.alive), members: [ofport] }];
  return flow(tables.GatewayAlive, 100, resource, match, actions);
}

/**
 * To the first of two hypervisors whose tunnel is alive. @param ofports of the tunnels that exist, in that order
 * @param resource number of the first one's hypervisor resource
 */
export function toEither(first: number, second: number, ofports: readonly number[], resource: number): Flow {
  const match = matching(matching({}, registers.toPeer, first), registers.orPeer, second);
  return flow(tables.TunnelOutput, 110, resource, match, [
    { type: 'move', source: subfield(registers.key), target: { field: 'tun_id', offset: 0, bits: 32 } },
    { type: 'bundle', members: [...ofports] },
  ]);
}

/** The same on every switch. */
export function chooseGateway(): Flow[] {
  const alone = matching({}, registers.alive, bundleNone);
  return [
    ownFlow(tables.Chosen, 110, matching(alone, registers.outbound, 1), [], tables.SourceNat),
    ownFlow(tables.Chosen, 100, matching(alone, registers.outbound, 0), [], tables.IngressConntrack),
    ownFlow(tables.Chosen, 50, {}, [], tables.TunnelOutput),
    ownFlow(tables.IngressConntrack, 120, matching({}, registers.outbound, 1), [], tables.SourceNat),
  ];
}
