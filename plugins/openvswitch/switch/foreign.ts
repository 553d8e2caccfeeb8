/** Flows read from a switch, which may be somebody else's and use what our vocabulary lacks. */
import type { Flow } from '../../../src/pipeline/flow.ts';
import {
  decodeFlows,
  forEachRecord,
  recordCookie,
  recordHeaderBytes,
  recordPriority,
  recordTable,
} from '../openflow/record.ts';

/**
 * As decodeFlows; a flow that cannot be said comes with an empty match and, as a note, the bytes of its match and
 * instructions as they were on the wire.
 */
export function decodeAny(records: Uint8Array): Flow[] {
  try {
    return decodeFlows(records);
  } catch {
    // One of them at least is beyond us: one by one, then.
    const flows: Flow[] = [];
    forEachRecord(records, (at, length) => flows.push(decodeOne(records.subarray(at, at + length))));
    return flows;
  }
}

function decodeOne(record: Uint8Array): Flow {
  try {
    return decodeFlows(record)[0]!;
  } catch {
    return {
      table: recordTable(record, 0),
      priority: recordPriority(record, 0),
      cookie: recordCookie(record, 0),
      match: {},
      actions: [{ type: 'note', data: record.slice(recordHeaderBytes) }],
    };
  }
}
