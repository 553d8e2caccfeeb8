/**
 * Addresses beyond a port's own: those it names as allowed address pairs, and any at all where an admin has taken its
 * port security off. One that several ports of a tier name is virtual (VRRP, RFC 9568): who has it at a moment only the
 * VMs know, so each of them gets what is sent to it, and the one that has it answers. No controller is in that.
 */
import { cookie } from '../cookie.ts';
import type { Action, Flow, Match } from '../flow.ts';
import { load, matching, registers } from '../registers.ts';
import { type Table, tables } from '../tables.ts';
import { toward } from './lookup.ts';
import {
  type Elsewhere,
  fromPrefix,
  type Ip,
  type IpPrefix,
  ipVersions,
  type LocalPort,
  type PortFacts,
  toIp,
  toPrefix,
} from './ports.ts';
import { routedTo } from './router.ts';
import { toStandby } from './vlan.ts';

/** A port that may have the address, on the switch the flows are for or at a peer; `mac`: the one it has it under. */
export type Claimant = {
  port: PortFacts;
  mac: number;
  at: Here | Elsewhere;
};

/** `behind` another hypervisor that has it while that one is alive, see vlan.ts. */
type Here = Pick<LocalPort, 'ofport' | 'zone' | 'epoch'> & { behind?: number };

const receiver = ({ ofport, zone, epoch }: Here): Action[] => [
  load(registers.outPort, ofport),
  load(registers.zone, zone),
  load(registers.portEpoch, epoch),
];

function flow(table: Table, priority: number, number: number, match: Match, actions: Action[], goto?: Table): Flow {
  const to = goto === undefined ? {} : { goto: goto.id };
  return { table: table.id, priority, cookie: cookie(table.id, number), match, actions, ...to };
}

function inTier(match: Match, port: PortFacts): Match {
  return matching(matching(match, registers.key, port.key), registers.tier, port.tier);
}

/** A frame of the tier for the address, whatever MAC it is under: a copy for each. */
export function lookupVirtual(ip: Ip, claimants: readonly [Claimant, ...Claimant[]]): Flow {
  const [{ port: first }] = claimants;
  return flow(tables.Lookup, 80, first.number, inTier(toIp(ip), first), copiesTo(claimants));
}

/** What a static route has led to the address: the same. @param resource number of the static route */
export function lookupRouted(resource: number, prefix: IpPrefix, claimants: readonly [Claimant, ...Claimant[]]): Flow {
  const [{ port, mac }] = claimants;
  return flow(tables.Lookup, 90, resource, routedTo(prefix, { ...port, mac }), copiesTo(claimants));
}

/**
 * @param resource number of the static route
 * @param under the MAC it has on the wire: the port's own, but for what a second gateway sends on to the first
 */
export function routedFromTunnel(
  resource: number,
  prefix: IpPrefix,
  port: LocalPort,
  mac: number,
  under = port.mac,
): Flow {
  const match = matching({ ...toPrefix(prefix), vlan_vid: 0, eth_dst: under }, registers.key, port.key);
  return flow(tables.TunnelLookup, 90, resource, match, received(port, mac), tables.TunnelSource);
}

function received(port: LocalPort, mac: number): Action[] {
  const rewrite: Action[] = mac === port.mac ? [] : [{ type: 'setField', field: 'eth_dst', value: mac }];
  return [...rewrite, ...receiver(port), load(registers.network, port.network)];
}

function copiesTo(claimants: readonly Claimant[]): Action[] {
  const severalHomes = claimants.some(({ at }) => 'peer' in at && at.orPeer !== undefined);
  return claimants.flatMap(({ port, mac, at }): Action[] => {
    if ('peer' in at)
      return [
        { type: 'setField', field: 'eth_dst', value: port.mac },
        ...toward(severalHomes ? { peer: at.peer, orPeer: at.orPeer ?? 0 } : at),
        { type: 'resubmit', table: tables.TunnelOutput.id },
      ];
    if (at.behind !== undefined)
      return [
        { type: 'setField', field: 'eth_dst', value: mac },
        ...toStandby(at, at.behind),
        { type: 'resubmit', table: tables.Chosen.id },
      ];
    return [
      { type: 'setField', field: 'eth_dst', value: mac },
      ...receiver(at),
      { type: 'resubmit', table: tables.IngressConntrack.id },
    ];
  });
}

/** What arrives by a tunnel for a port under an address it may have. @param under as above */
export function virtualFromTunnel(ip: Ip, port: LocalPort, mac: number, under = port.mac): Flow {
  const match = matching({ ...toIp(ip), vlan_vid: 0, eth_dst: under }, registers.key, port.key);
  return flow(tables.TunnelLookup, 100, port.number, match, received(port, mac), tables.TunnelSource);
}

/** What a port at a peer may send under. */
export function admitPair(port: PortFacts, prefix: IpPrefix, peer: number): Flow {
  const match = matching(matching(fromPrefix(prefix), registers.network, port.network), registers.fromPeer, peer);
  return flow(tables.TunnelSource, 80, port.number, match, [], tables.IngressConntrack);
}

/** Whatever is sent to the MAC of a port without port security. */
export function lookupUnsecured({ port, at }: Claimant): Flow {
  const match = inTier({ eth_dst: port.mac }, port);
  if ('peer' in at) return flow(tables.Lookup, 60, port.number, match, toward(at), tables.TunnelOutput);
  return at.behind === undefined
    ? flow(tables.Lookup, 60, port.number, match, receiver(at), tables.IngressConntrack)
    : flow(tables.Lookup, 60, port.number, match, toStandby(at, at.behind), tables.Chosen);
}

export function unsecuredFromTunnel(port: LocalPort): Flow {
  const match = matching({ vlan_vid: 0, eth_dst: port.mac }, registers.key, port.key);
  const actions = [...receiver(port), load(registers.network, port.network)];
  return flow(tables.TunnelLookup, 60, port.number, match, actions, tables.TunnelSource);
}

/** The peer of a port without port security may send under any address in the port's network. */
export function admitAnySource(port: PortFacts, peer: number): Flow[] {
  return ipVersions.map((version) =>
    flow(
      tables.TunnelSource,
      40,
      port.number,
      matching(matching(version, registers.network, port.network), registers.fromPeer, peer),
      [],
      tables.IngressConntrack,
    ),
  );
}
