/**
 * Table Lookup: the receiver must be of the sender's tier, and the frame's IP one of the receiver's own: a frame for
 * somebody else's IP is not delivered, or a rule that allows traffic to that IP would open the port.
 */
import { cookie } from '../cookie.ts';
import type { Flow } from '../flow.ts';
import { load, matching, registers } from '../registers.ts';
import { tables } from '../tables.ts';
import { ethType, type LocalPort, type PortFacts, type RemotePort } from './ports.ts';

function lookupMatch(port: PortFacts, ip: number) {
  return matching(
    matching({ eth_type: ethType.ipv4, eth_dst: port.mac, ipv4_dst: ip }, registers.key, port.key),
    registers.tier,
    port.tier,
  );
}

export function lookupLocal(port: LocalPort): Flow[] {
  return port.ips.map((ip) => ({
    table: tables.Lookup.id,
    priority: 100,
    cookie: cookie(tables.Lookup.id, port.number),
    match: lookupMatch(port, ip),
    actions: [load(registers.outPort, port.ofport), load(registers.zone, port.zone)],
    goto: tables.IngressConntrack.id,
  }));
}

export function lookupRemote(port: RemotePort): Flow[] {
  return port.ips.map((ip) => ({
    table: tables.Lookup.id,
    priority: 100,
    cookie: cookie(tables.Lookup.id, port.number),
    match: lookupMatch(port, ip),
    actions: [load(registers.toPeer, port.peer)],
    goto: tables.TunnelOutput.id,
  }));
}
