/**
 * Table Lookup: the receiver must be of the frame's tier, and the frame's IP one of the receiver's own: a frame for
 * somebody else's IP is not delivered, or a rule that allows traffic to that IP would open the port. The exception is
 * what a static route has led to a port.
 */
import { cookie } from '../cookie.ts';
import type { Action, Flow, Match } from '../flow.ts';
import { load, matching, registers } from '../registers.ts';
import { tables } from '../tables.ts';
import { type Ip, type IpPrefix, type LocalPort, type PortFacts, type RemotePort, toIp } from './ports.ts';
import { routedTo } from './router.ts';

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

function lookupRouted(resource: number, prefix: IpPrefix, port: PortFacts, way: Way): Flow {
  return {
    table: tables.Lookup.id,
    priority: 90,
    cookie: cookie(tables.Lookup.id, resource),
    match: routedTo(prefix, port),
    ...way,
  };
}

/** @param resource number of the static route */
export const lookupRoutedLocal = (resource: number, prefix: IpPrefix, port: LocalPort): Flow =>
  lookupRouted(resource, prefix, port, here(port));

/** @param resource number of the static route */
export const lookupRoutedRemote = (resource: number, prefix: IpPrefix, port: RemotePort): Flow =>
  lookupRouted(resource, prefix, port, there(port));
