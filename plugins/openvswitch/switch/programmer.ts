/**
 * Brings changes into one switch: bundles until everything is there but what the switch refuses, whose objects are set
 * aside. Tells what was refused, accepted and acknowledged.
 */
import { cookieResource } from '../../../src/pipeline/cookie.ts';
import { decodeFlows, recordLength } from '../openflow/record.ts';
import { formatFlow } from '../openflow/text.ts';
import { type BundleContent, type Refusal, runBundle } from './bundle.ts';
import type { Connection } from './connection.ts';
import type { Merge, RecordPlace } from './desired.ts';
import { cookieOf, Operations, objectOf, type RecordSource } from './operations.ts';
import type { FlowEvents, Log, SwitchSettings } from './settings.ts';
import type { Unit } from './slab.ts';
import type { SwitchState } from './state.ts';

/** Code of a record refused because another unit claims the same table, priority and match. */
export const duplicateMatch = 'KEYWAY_DUPLICATE_MATCH';

/** Milliseconds. A switch was seen to take 0.01 for a flow. */
const patiencePerFlow = 0.2;

/** Bundles in a row that may end in doubt before the session is given up. */
const indeterminateLimit = 3;

export type ProgrammerOptions = {
  state: SwitchState;
  connection: Connection;
  settings: SwitchSettings;
  events: FlowEvents;
  log: Log;
};

export class Programmer {
  readonly #state: SwitchState;
  readonly #connection: Connection;
  readonly #settings: SwitchSettings;
  readonly #events: FlowEvents;
  readonly #log: Log;
  #bundleId = 0;
  #indeterminate = 0;

  constructor({ state, connection, settings, events, log }: ProgrammerOptions) {
    this.#state = state;
    this.#connection = connection;
    this.#settings = settings;
    this.#events = events;
    this.#log = log;
  }

  /** What waits becomes desired; the caller releases what is retired. */
  merge(): Merge {
    const merge = this.#state.merge();
    for (const { unit, offset } of merge.duplicates) {
      this.#reject({ unit, offset }, cookieAt(unit, offset), unit.key, duplicateMatch);
    }
    return merge;
  }

  /** Bundles until everything is in the switch but what it refuses. @returns false where the last one's outcome is unknown */
  async commit({ operations, groups }: BundleContent): Promise<boolean> {
    const { counters } = this.#state;
    const { bundleFlows, bundleTimeout } = this.#settings;
    let rest = operations.addsFirst();
    let foreign: readonly number[] = groups;
    while (rest.length + foreign.length > 0) {
      const part = rest.length > bundleFlows ? rest.slice(0, bundleFlows) : rest;
      const last = part.length === rest.length;
      const content = { operations: part, groups: last ? foreign : [] };
      const patience = part.length * patiencePerFlow;
      this.#connection.patience = patience;
      counters.flowMods += part.length;
      const outcome = await runBundle(this.#connection, ++this.#bundleId, content, bundleTimeout + patience);
      this.#connection.patience = 0;
      if (outcome.kind === 'indeterminate') {
        counters.indeterminate++;
        this.#log.warn({ reason: outcome.reason }, 'a bundle ended in doubt');
        if (++this.#indeterminate >= indeterminateLimit) throw new Error(`bundles fail: ${outcome.reason}`);
        return false;
      }
      this.#indeterminate = 0;
      if (outcome.kind === 'committed') {
        counters.bundles++;
        rest = rest.slice(part.length, rest.length);
        if (last) foreign = [];
      } else {
        const refusedGroups = new Set(outcome.refusals.map(({ index }) => foreign[index - part.length]));
        if (last) foreign = foreign.filter((group) => !refusedGroups.has(group));
        rest = this.#without(rest, outcome.refusals);
      }
    }
    return true;
  }

  /** Sets aside the objects behind what was refused. */
  #without(operations: Operations, refusals: readonly Refusal[]): Operations {
    const dropped = new Set<number>();
    const culprits: { source: RecordSource; offset: number; object: number; cookie: bigint; error: string }[] = [];
    for (const { index, error } of refusals) {
      if (index >= operations.length) {
        this.#log.warn({ error: error.name }, 'the switch keeps a foreign group');
        continue;
      }
      const source = operations.source(index);
      const offset = operations.offset(index);
      if (operations.isDelete(index)) {
        dropped.add(index);
        const flow = textOf(source, offset);
        const resource = cookieResource(cookieOf(operations, index));
        this.#log.warn({ resource, flow, error: error.name }, 'the switch keeps a flow');
      } else {
        const object = objectOf(source.bytes, source.at + offset);
        culprits.push({ source, offset, object, cookie: cookieOf(operations, index), error: error.name });
      }
    }
    let rest = operations;
    if (dropped.size > 0) {
      rest = new Operations();
      for (let index = 0; index < operations.length; index++) if (!dropped.has(index)) rest.take(operations, index);
    }
    const done = new Set<number>();
    for (const { source, offset, object, cookie, error } of culprits) {
      if (done.has(object)) continue;
      done.add(object);
      rest = this.#state.desired.reject(object, rest);
      // What is added comes from units alone.
      this.#reject({ unit: source as Unit, offset }, cookie, (source as Unit).key, error);
    }
    return rest.addsFirst();
  }

  #reject({ unit, offset }: RecordPlace, cookie: bigint, key: string, error: string): void {
    const { hypervisor, rejected } = this.#state;
    rejected.set(objectOf(unit.bytes, unit.at + offset), cookie);
    const flow = textOf(unit, offset);
    const resource = cookieResource(cookie);
    this.#log.debug({ resource, unit: key, flow, error }, 'a flow was refused: what it serves is set aside');
    this.#events.rejected({ hypervisor, unit: key, cookie, flow, error });
  }

  /** Everything merged is in the switch: tells so. */
  confirm(): void {
    const { desired, hypervisor, rejected } = this.#state;
    for (const [object, cookie] of rejected) {
      if (desired.isSetAside(object)) continue;
      rejected.delete(object);
      this.#events.accepted(hypervisor, cookie);
    }
    const sequence = this.#state.confirmed();
    if (sequence !== undefined) this.#events.acknowledged(hypervisor, sequence);
  }
}

function cookieAt(unit: Unit, offset: number): bigint {
  const operations = new Operations();
  operations.add(unit, offset, false);
  return cookieOf(operations, 0);
}

/** Notation of ovs-ofctl. */
function textOf(source: RecordSource, offset: number): string {
  const at = source.at + offset;
  const record = source.bytes.subarray(at, at + recordLength(source.bytes, at));
  try {
    return decodeFlows(record)
      .map((flow) => formatFlow(flow))
      .join('\n');
  } catch (error) {
    // Only foreign flows can be beyond our vocabulary; their bytes say as much as we know.
    return `${Buffer.from(record).toString('hex')} (${error instanceof Error ? error.message : String(error)})`;
  }
}
