/**
 * Table Lookup: the receiver must be of the frame's tier, and the frame's IP one of the receiver's own: a frame for
 * somebody else's IP is not delivered, or a rule that allows traffic to that IP would open the port. (What a static route
 * leads to a port: see virtual-address.ts.)
 */
import { cookie } from '../cookie.ts';
import type { Action, Flow, Match } from '../flow.ts';
import { load, matching, registers } from '../registers.ts';
import { tables } from '../tables.ts';
import { type Ip, type LocalPort, type PortFacts, type RemotePort, toIp } from './ports.ts';

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

const there = (port: RemotePort): Way => ({
  actions: [load(registers.toPeer, port.peer)],
  goto: tables.TunnelOutput.id,
});

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
