/**
 * Table ArpResponder: the switch answers for every port of the tier it knows, here or elsewhere, and for nobody else.
 * Each answer costs the switch a slow-path upcall (it rewrites ARP fields), which the `slowpath` meter bounds.
 */
import { cookie } from '../cookie.ts';
import { type Flow, reservedPort } from '../flow.ts';
import { matching, registers } from '../registers.ts';
import { tables } from '../tables.ts';
import { ethType, type LocalPort, type PortFacts } from './ports.ts';

/** RFC 826 opcodes. */
const request = 1;
const reply = 2;

export function answerArp(port: PortFacts): Flow[] {
  return port.ips.map((ip) => ({
    table: tables.ArpResponder.id,
    priority: 100,
    cookie: cookie(tables.ArpResponder.id, port.number),
    match: matching({ eth_type: ethType.arp, arp_op: request, arp_tpa: ip }, registers.tier, port.tier),
    actions: [
      {
        type: 'move',
        source: { field: 'eth_src', offset: 0, bits: 48 },
        target: { field: 'eth_dst', offset: 0, bits: 48 },
      },
      { type: 'setField', field: 'eth_src', value: port.mac },
      { type: 'setField', field: 'arp_op', value: reply },
      {
        type: 'move',
        source: { field: 'arp_sha', offset: 0, bits: 48 },
        target: { field: 'arp_tha', offset: 0, bits: 48 },
      },
      {
        type: 'move',
        source: { field: 'arp_spa', offset: 0, bits: 32 },
        target: { field: 'arp_tpa', offset: 0, bits: 32 },
      },
      { type: 'setField', field: 'arp_sha', value: port.mac },
      { type: 'setField', field: 'arp_spa', value: ip },
      { type: 'output', port: reservedPort.inPort },
    ],
  }));
}

/** Silence for the port's own addresses: an answer would look like a duplicate to it (RFC 5227). */
export function keepSilentForOwn(port: LocalPort): Flow[] {
  return port.ips.map((ip) => ({
    table: tables.ArpResponder.id,
    priority: 110,
    cookie: cookie(tables.ArpResponder.id, port.number),
    match: { in_port: port.ofport, eth_type: ethType.arp, arp_tpa: ip },
    actions: [],
  }));
}
