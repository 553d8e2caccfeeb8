/**
 * Table Lookup: the receiver must be of the frame's tier, and the frame's IP one of the receiver's own: a frame for
 * somebody else's IP is not delivered, or a rule that allows traffic to that IP would open the port. (What a static route
 * leads to a port: see virtual-address.ts.)
 */
import { cookie } from '../cookie.ts';
import type { Action, Flow, Match } from '../flow.ts';
import { load, matching, registers } from '../registers.ts';
import { tables } from '../tables.ts';
import { type Elsewhere, type Ip, type LocalPort, type PortFacts, type RemotePort, toIp } from './ports.ts';
import { toStandby } from './vlan.ts';

function own(port: PortFacts, ip: Ip): Match {
  return matching(matching({ ...toIp(ip), eth_dst: port.mac }, registers.key, port.key), registers.tier, port.tier);
}

type Way = { actions: Action[]; goto: number };

const here = (port: LocalPort): Way => ({
  actions: [
    load(registers.outPort, port.ofport),
    load(registers.zone, port.zone),
    load(registers.portEpoch, port.epoch),
  ],
  goto: tables.IngressConntrack.id,
});

const there = (port: RemotePort): Way => ({ actions: toward(port), goto: tables.TunnelOutput.id });

/** To the hypervisor, or one of two. */
export function toward({ peer, orPeer }: Elsewhere): Action[] {
  const first = load(registers.toPeer, peer);
  return orPeer === undefined ? [first] : [first, load(registers.orPeer, orPeer)];
}

function lookup(port: PortFacts, way: Way): Flow[] {
  return port.ips.map((ip) => ({
    table: tables.Lookup.id,
    priority: 100,
    cookie: cookie(tables.Lookup.id, port.number),
    match: own(port, ip),
    ...way,
  }));
}

export const lookupLocal = (port: LocalPort): Flow[] => lookup(port, here(port));

export const lookupRemote = (port: RemotePort): Flow[] => lookup(port, there(port));

/** On the second gateway of a device behind a VLAN. @param first gateway */
export const lookupStandby = (port: LocalPort, first: number): Flow[] =>
  lookup(port, { actions: toStandby(port, first), goto: tables.Chosen.id });
