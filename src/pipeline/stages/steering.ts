/**
 * Tables Steering and SteeringReturn, and what TunnelLookup, TunnelSource, Lookup and IngressConntrack know of them: one
 * direction of a conversation passes through other ports (hops) before it reaches its receiver. A hop is a router to the
 * packet: it gets frames at its own MAC from the router of its tier, and gives them back to that router. It sees one
 * direction only, so it has no part in connection tracking; sender and receiver have, as ever.
 */
import { cookie } from '../cookie.ts';
import type { Action, Flow, Match } from '../flow.ts';
import { load, matching, registers } from '../registers.ts';
import { rulePriority, type Table, tables } from '../tables.ts';
import { type Alternative, serviceMatch } from './judge.ts';
import { toward as towardHost } from './lookup.ts';
import {
  cameFrom,
  fromPrefix,
  ipVersions,
  type LocalPort,
  type PortFacts,
  type RemotePort,
  toPrefix,
} from './ports.ts';
import { toStandby } from './vlan.ts';

/** Who steers: its resource number, for the cookie, its network's number, and its priority, 1 to 32000. */
export type Steerer = { number: number; network: number; priority: number };

/** Where a packet goes next: to a hop, on its ordinary way, or nowhere. */
export type Onward = PortFacts | 'receiver' | 'nowhere';

function conversation({ source, destination, service }: Alternative): Match {
  return { ...fromPrefix(source), ...toPrefix(destination), ...serviceMatch(service) };
}

function at(table: Table, priority: number, number: number, match: Match) {
  return { table: table.id, priority, cookie: cookie(table.id, number), match };
}

/** The frame becomes one from the router of the hop's tier to the hop. */
function toward(hop: PortFacts): Action[] {
  return [
    { type: 'decTtl' },
    load(registers.steered, 1),
    load(registers.tier, hop.tier),
    { type: 'setField', field: 'eth_src', value: hop.routerMac },
    { type: 'setField', field: 'eth_dst', value: hop.mac },
  ];
}

/** What a sender sends of the conversation. Its own rules have allowed it. */
export function steer({ number, network, priority }: Steerer, alternative: Alternative, onward: Onward): Flow {
  const match = matching(conversation(alternative), registers.network, network);
  const flow = at(tables.Steering, rulePriority(priority, 'allow'), number, match);
  if (onward === 'nowhere') return { ...flow, actions: [] };
  if (onward === 'receiver') return { ...flow, actions: [], goto: tables.Router.id };
  return { ...flow, actions: toward(onward), goto: tables.Lookup.id };
}

/** What is from or to a hop itself is not steered. @param alternative with the hop's own address at one end */
export function passHop({ number, network, priority }: Steerer, alternative: Alternative): Flow {
  const match = matching(conversation(alternative), registers.network, network);
  return {
    ...at(tables.Steering, rulePriority(priority, 'deny'), number, match),
    actions: [],
    goto: tables.Router.id,
  };
}

/** Whatever nobody steers. */
export function notSteered(): Flow {
  return { ...at(tables.Steering, 1, 0, {}), actions: [], goto: tables.Router.id };
}

/** Steered packets are for a hop: neither its rules nor its connections are asked. */
export function skipConntrack(): Flow[] {
  return ipVersions.map((version) => ({
    ...at(tables.IngressConntrack, 110, 0, matching(version, registers.steered, 1)),
    actions: [],
    goto: tables.LocalOutput.id,
  }));
}

/**
 * Frames of foreign senders that a hop gives back: SteeringReturn says which of them pass. A hop in the tier of the
 * receiver, or of the next hop, has that on its link and may leave its router out.
 */
export function admitReturns(hop: LocalPort): Flow[] {
  return ipVersions.map((version) => ({
    ...at(tables.PortSecurity, 90, hop.number, {
      ...version,
      ...cameFrom(hop),
      eth_src: hop.mac,
      vlan_vid: 0,
    }),
    actions: [],
    goto: tables.SteeringReturn.id,
  }));
}

/** What a hop gives back of the conversation. */
export function steerReturn({ number, priority }: Steerer, hop: LocalPort, a: Alternative, onward: Onward): Flow {
  const match = { ...cameFrom(hop), ...conversation(a) };
  const flow = at(tables.SteeringReturn, rulePriority(priority, 'allow'), number, match);
  if (onward === 'nowhere') return { ...flow, actions: [] };
  if (onward === 'receiver') return { ...flow, actions: [], goto: tables.Route.id };
  return { ...flow, actions: toward(onward), goto: tables.Lookup.id };
}

/** A hop does not speak for another one, nor to it. @param alternative with a hop's own address at one end */
export function refuseReturn({ number, priority }: Steerer, hop: LocalPort, alternative: Alternative): Flow {
  const match = { ...cameFrom(hop), ...conversation(alternative) };
  return { ...at(tables.SteeringReturn, rulePriority(priority, 'deny'), number, match), actions: [] };
}

/** What arrives by a tunnel for a hop. */
export function steeredFromTunnel({ number }: Steerer, hop: LocalPort, alternative: Alternative): Flow {
  const match = { ...conversation(alternative), vlan_vid: 0, eth_dst: hop.mac };
  return {
    ...at(tables.TunnelLookup, 95, number, matching(match, registers.key, hop.key)),
    actions: [
      load(registers.outPort, hop.ofport),
      load(registers.network, hop.network),
      load(registers.tier, hop.tier),
      load(registers.steered, 1),
    ],
    goto: tables.TunnelSource.id,
  };
}

/** Packets of the conversation that come from the hypervisor of a hop, whoever has sent them. */
export function admitFromHop({ number, network }: Steerer, alternative: Alternative, peer: number): Flow {
  const match = matching(matching(conversation(alternative), registers.network, network), registers.fromPeer, peer);
  return { ...at(tables.TunnelSource, 90, number, match), actions: [], goto: tables.IngressConntrack.id };
}

function steeredTo(hop: PortFacts): Match {
  return matching(
    matching(matching({ eth_dst: hop.mac }, registers.key, hop.key), registers.tier, hop.tier),
    registers.steered,
    1,
  );
}

export function lookupHopLocal(hop: LocalPort): Flow {
  return {
    ...at(tables.Lookup, 95, hop.number, steeredTo(hop)),
    actions: [load(registers.outPort, hop.ofport)],
    goto: tables.IngressConntrack.id,
  };
}

/** On the second gateway of a hop behind a VLAN. @param first gateway */
export function lookupHopStandby(hop: LocalPort, first: number): Flow {
  return {
    ...at(tables.Lookup, 95, hop.number, steeredTo(hop)),
    actions: toStandby(hop, first),
    goto: tables.Chosen.id,
  };
}

export function lookupHopRemote(hop: RemotePort): Flow {
  return {
    ...at(tables.Lookup, 95, hop.number, steeredTo(hop)),
    actions: towardHost(hop),
    goto: tables.TunnelOutput.id,
  };
}
