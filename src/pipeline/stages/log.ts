/**
 * Table Log: new connections and denied packets of a network that are to be logged go to the controller, behind a meter of
 * the network's own, so that no tenant can drown the log of another. Only packets that decide something come here, never
 * those of an open connection. A network that logs nothing has no flow here, and nothing happens.
 *
 * Its flows and meters count as the pipeline's own: a switch that takes none of them logs nothing, and is in order otherwise.
 */
import { cookie } from '../cookie.ts';
import type { Action, Flow, Meter } from '../flow.ts';
import { logUserdata } from '../packet-in.ts';
import { matching, registers } from '../registers.ts';
import { tables } from '../tables.ts';

/** Ids of the meters of networks, above those of ports (qos.ts). @param network its number in registers */
const logMeter = (network: number): number => 0x1000_0000 + network;

/** Packets a second of a network on one switch, and at once. */
const rate = 20;
const burst = 60;

/** Enough for Ethernet, IPv6 and the ports behind it, some extension headers included. */
const headers = 128;

/** The subroutine. */
export const log: Action = { type: 'resubmit', table: tables.Log.id };

/** @param number resource number of the network @param network its number in registers */
export function logNetwork(number: number, network: number): { flow: Flow; meter: Meter } {
  const meter = logMeter(network);
  return {
    flow: {
      table: tables.Log.id,
      priority: 100,
      cookie: cookie(tables.Log.id, 0),
      match: matching({}, registers.network, network),
      actions: [{ type: 'controller', userdata: logUserdata(number), meter, maxLength: headers }],
    },
    meter: { id: meter, cookie: cookie(tables.Log.id, 0), unit: 'pktps', rate, burst },
  };
}
