/** Table LocalOutput. OpenFlow itself never sends a frame out of the port it came in by. */
import { cookie } from '../cookie.ts';
import type { Action, Flow } from '../flow.ts';
import { registers, subfield } from '../registers.ts';
import { tables } from '../tables.ts';

/** By the port that was looked up. */
export function deliver(): Action {
  return { type: 'outputReg', source: subfield(registers.outPort) };
}

export function localOutput(): Flow {
  return {
    table: tables.LocalOutput.id,
    priority: 100,
    cookie: cookie(tables.LocalOutput.id, 0),
    match: {},
    actions: [deliver()],
  };
}
