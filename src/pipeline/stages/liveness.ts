/**
 * Tables LivePorts, LiveNetworks and LiveRules: a connection's label is live while nothing that it was judged by has changed.
 * It names the rule that allowed it, and three epochs: of that rule, of the port, of what the network denies. There is a flow
 * for each value that is in force, so a change of intent leaves no trace behind but the flows of what is: no timer, no
 * tombstone, nothing to be remembered over a restart.
 */
import { cookie } from '../cookie.ts';
import type { Flow } from '../flow.ts';
import { connection, load, matching, registers } from '../registers.ts';
import { tables } from '../tables.ts';

/** @param number resource number of the port */
export function livePort(number: number, zone: number, epoch: number): Flow {
  return {
    table: tables.LivePorts.id,
    priority: 100,
    cookie: cookie(tables.LivePorts.id, number),
    match: matching(matching({}, registers.zone, zone), connection.portEpochLabel, epoch),
    actions: [],
    goto: tables.LiveNetworks.id,
  };
}

/** @param number resource number @param network its number in registers */
export function liveNetwork(number: number, network: number, denyEpoch: number): Flow {
  return {
    table: tables.LiveNetworks.id,
    priority: 100,
    cookie: cookie(tables.LiveNetworks.id, number),
    match: matching(matching({}, registers.network, network), connection.denyEpochLabel, denyEpoch),
    actions: [],
    goto: tables.LiveRules.id,
  };
}

/** @param network of an access rule; a policy's label may be in any network, as its id is no rule's */
export function liveRule(rule: { number: number; id: number; epoch: number }, network: number | undefined): Flow {
  const labelled = matching(matching({}, connection.ruleLabel, rule.id), connection.ruleEpochLabel, rule.epoch);
  return {
    table: tables.LiveRules.id,
    priority: 100,
    cookie: cookie(tables.LiveRules.id, rule.number),
    match: network === undefined ? labelled : matching(labelled, registers.network, network),
    actions: [load(registers.live, 1)],
  };
}
