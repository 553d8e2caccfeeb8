/**
 * What a port may send and receive, by meters of its own on its switch (RFC 2697 in spirit: a bucket that is refilled at a
 * rate), and the DSCP (RFC 2474) of what it sends. What a port sends is metered before anything else is done with it.
 */
import { cookie } from '../cookie.ts';
import type { Action, Flow, Meter } from '../flow.ts';
import { matching, registers } from '../registers.ts';
import { tables } from '../tables.ts';
import { deliver } from './output.ts';
import { ipVersions, type LocalPort } from './ports.ts';

/** Kilobits (1000 bits) a second, and kilobits at once. */
export type RateLimit = { rate: number; burst: number };

export type Qos = { fromVm?: RateLimit; toVm?: RateLimit; dscp?: number };

/** Ids of a port's meters: zones are a switch's own numbers of its ports, reused as meters may be. */
const fromVmMeter = (zone: number): number => 2 * zone;
const toVmMeter = (zone: number): number => 2 * zone + 1;

export function portMeters({ number, zone }: LocalPort, { fromVm, toVm }: Qos): Meter[] {
  const meter = (id: number, table: number, { rate, burst }: RateLimit): Meter => ({
    id,
    cookie: cookie(table, number),
    unit: 'kbps',
    rate,
    burst,
  });
  const meters: Meter[] = [];
  if (fromVm !== undefined) meters.push(meter(fromVmMeter(zone), tables.Classifier.id, fromVm));
  if (toVm !== undefined) meters.push(meter(toVmMeter(zone), tables.LocalOutput.id, toVm));
  return meters;
}

/** The port's flow of the Classifier as its quality of service has it; IP packets have one each where they are marked. */
export function limitFromVm(classified: Flow, { zone }: LocalPort, { fromVm, dscp }: Qos): Flow[] {
  const limit: Action[] = fromVm === undefined ? [] : [{ type: 'meter', meter: fromVmMeter(zone) }];
  const flow: Flow = { ...classified, actions: [...limit, ...classified.actions] };
  if (dscp === undefined) return [flow];
  return [
    flow,
    ...ipVersions.map((version) => ({
      ...flow,
      priority: classified.priority + 10,
      match: { ...classified.match, ...version },
      actions: [...limit, { type: 'setField', field: 'ip_dscp', value: dscp } as const, ...classified.actions],
    })),
  ];
}

export function limitToVm(port: LocalPort, { toVm }: Qos): Flow[] {
  if (toVm === undefined) return [];
  return [
    {
      table: tables.LocalOutput.id,
      priority: 110,
      cookie: cookie(tables.LocalOutput.id, port.number),
      match: matching(
        port.shared === true ? matching({}, registers.zone, port.zone) : {},
        registers.outPort,
        port.ofport,
      ),
      actions: [{ type: 'meter', meter: toVmMeter(port.zone) }, deliver()],
    },
  ];
}
