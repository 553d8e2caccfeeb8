/**
 * Devices behind a VLAN, which two gateways have a port to. A frame of theirs comes in at both, and what is for them may leave
 * by both: so the second gateway takes part only while the first is dead in its eyes (BFD of the tunnel between them, see
 * GatewayAlive). Nobody else has to know which of them it is, and no controller is in it.
 */
import { cookie } from '../cookie.ts';
import type { Action, Flow } from '../flow.ts';
import { load, matching, registers } from '../registers.ts';
import { tables } from '../tables.ts';
import type { LocalPort } from './ports.ts';

/** OFPP_NONE as bundle_load writes it: none of its members is live. */
const noneAlive = 0xffff;

/** Whether the first gateway is alive goes into the register `alive`. */
export function lookAtFirst(first: number): Action[] {
  return [load(registers.toPeer, first), { type: 'resubmit', table: tables.GatewayAlive.id }];
}

/** The Classifier's flows of a port as the second gateway has them. */
export function standBy(classified: readonly Flow[], first: number): Flow[] {
  return classified.map((flow) => ({
    ...flow,
    actions: [...flow.actions, ...lookAtFirst(first)],
    goto: tables.StandbyPort.id,
  }));
}

/** While the first gateway lives, what comes from the device is its affair: a miss. */
export function takeOver(): Flow {
  return {
    table: tables.StandbyPort.id,
    priority: 100,
    cookie: cookie(tables.StandbyPort.id, 0),
    match: matching({}, registers.alive, noneAlive),
    actions: [load(registers.alive, 0), load(registers.toPeer, 0)],
    goto: tables.PortSecurity.id,
  };
}

/** To the port here, or where it is too: whichever gateway is in charge. */
export function toStandby(
  { ofport, zone, epoch }: Pick<LocalPort, 'ofport' | 'zone' | 'epoch'>,
  first: number,
): Action[] {
  return [
    load(registers.outPort, ofport),
    load(registers.zone, zone),
    load(registers.portEpoch, epoch),
    ...lookAtFirst(first),
  ];
}
