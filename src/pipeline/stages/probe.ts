/**
 * Table Probe: what the controller sends from one hypervisor to another to see whether the tunnel carries it. A probe has a
 * key of its own, which no tenant ever has, and an EtherType that is no protocol of anybody's; it never leaves this table
 * but for the controller, behind a meter.
 */
import { cookie } from '../cookie.ts';
import type { Flow, Meter } from '../flow.ts';
import { packetInCode } from '../packet-in.ts';
import { tables } from '../tables.ts';

/** Tenants' keys begin at 1. */
export const probeKey = 0;

/** Local Experimental EtherType 1 (IEEE 802, RFC 9542 section 3). */
export const probeEtherType = 0x88b5;

/** Bytes of a probe that come to the controller: Ethernet header and what says which probe it is. */
const head = 64;

/** Above the meters of ports and networks. */
export const probeMeter: Meter = {
  id: 0x2000_0000,
  cookie: cookie(tables.Probe.id, 0),
  unit: 'pktps',
  rate: 200,
  burst: 200,
};

export function endProbes(): Flow[] {
  const { TunnelIngress, Probe } = tables;
  return [
    {
      table: TunnelIngress.id,
      priority: 110,
      cookie: cookie(TunnelIngress.id, 0),
      match: { tun_id: probeKey, eth_type: probeEtherType },
      actions: [],
      goto: Probe.id,
    },
    {
      table: Probe.id,
      priority: 100,
      cookie: cookie(Probe.id, 0),
      match: { eth_type: probeEtherType },
      actions: [
        { type: 'controller', userdata: Uint8Array.of(packetInCode.probe), meter: probeMeter.id, maxLength: head },
      ],
    },
  ];
}
