/**
 * Brings changes into one switch: bundles until everything is there but what the switch refuses, whose objects are set
 * aside. Tells what was refused, accepted and acknowledged.
 */
import { cookieResource } from '../../../src/pipeline/cookie.ts';
import type { Meter } from '../../../src/pipeline/flow.ts';
import { meterMod } from '../openflow/messages.ts';
import { decodeMeter, formatMeter, isMeterRecord, meterConfigOf } from '../openflow/meter-record.ts';
import { decodeFlows, recordLength } from '../openflow/record.ts';
import type { OpenflowError } from '../openflow/replies.ts';
import { formatFlow } from '../openflow/text.ts';
import { AcceptedShapes } from './accepted-shapes.ts';
import { type BundleContent, type Refusal, runBundle } from './bundle.ts';
import type { Connection } from './connection.ts';
import type { Merge, RecordPlace } from './desired.ts';
import { attempted } from './multipart.ts';
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
  readonly #accepted = new AcceptedShapes();

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
    if (rest.meters > 0) rest = await this.#addMeters(rest);
    const idle: Operations[] = [];
    const withoutMeters = (all: Operations): Operations => {
      if (all.meters === 0) return all;
      const [deletes, others] = all.parted((index) => all.isMeter(index));
      idle.push(deletes);
      return others;
    };
    rest = withoutMeters(rest);
    const all = rest;
    let foreign: readonly number[] = groups;
    let known = false;
    // A commit tells one refusal only. Where there are more, smaller bundles cost less each; the next ones grow again.
    let most = bundleFlows;
    while (rest.length + foreign.length > 0) {
      const part = rest.length > most ? rest.slice(0, most < bundleFlows ? wholeObjects(rest, most) : most) : rest;
      const last = part.length === rest.length;
      const content = {
        operations: part,
        groups: last ? foreign : [],
        atOnce: part === all && this.#mayGoAtOnce(part, foreign),
      };
      if (content.atOnce) counters.bundlesAtOnce++;
      const patience = part.length * patiencePerFlow;
      this.#connection.patience = patience;
      counters.flowMods += part.length;
      const outcome = await runBundle(this.#connection, ++this.#bundleId, content, bundleTimeout + patience);
      this.#connection.patience = 0;
      if (outcome.kind !== 'committed') this.#accepted.forget();
      if (outcome.kind === 'indeterminate') {
        counters.indeterminate++;
        this.#log.warn({ reason: outcome.reason }, 'a bundle ended in doubt');
        if (++this.#indeterminate >= indeterminateLimit) throw new Error(`bundles fail: ${outcome.reason}`);
        return false;
      }
      this.#indeterminate = 0;
      if (outcome.kind === 'committed') {
        counters.bundles++;
        known = content.atOnce;
        rest = rest.slice(part.length, rest.length);
        if (last) foreign = [];
        most = Math.min(2 * most, bundleFlows);
      } else {
        if (outcome.atCommit) most = Math.max(1, part.length >> 1);
        const refusedGroups = new Set(outcome.refusals.map(({ index }) => foreign[index - part.length]));
        if (last) foreign = foreign.filter((group) => !refusedGroups.has(group));
        rest = withoutMeters(this.#without(rest, outcome.refusals));
      }
    }
    if (!known && this.#state.desired.setAsideObjects === 0) this.#accepted.learn(all);
    for (const deletes of idle) await this.#deleteMeters(deletes);
    return true;
  }

  /** With something set aside units are not there as a whole, and say nothing about what the switch takes. */
  #mayGoAtOnce(operations: Operations, groups: readonly number[]): boolean {
    return groups.length === 0 && this.#state.desired.setAsideObjects === 0 && this.#accepted.cover(operations);
  }

  /**
   * Sets meters before the flows that use them; they are no part of bundles (OFPBFC_MSG_UNSUP).
   * @returns what is left to do; the objects behind meters that the switch refuses are set aside
   */
  async #addMeters(operations: Operations): Promise<Operations> {
    const wanted: number[] = [];
    for (let i = 0; i < operations.length; i++) if (operations.isMeter(i) && !operations.isDelete(i)) wanted.push(i);
    if (wanted.length === 0) return operations;
    const refused = await this.#setMeters(operations, wanted);
    const done = new Set(wanted.filter((_, at) => !refused.has(at)));
    const refusals = [...refused].map(([at, error]): Refusal => ({ index: wanted[at]!, error }));
    // What is set aside goes by what is still to be done: those refused must be among it.
    return this.#without(operations, refusals, done);
  }

  /** @returns errors by the place in `indices` */
  async #setMeters(operations: Operations, indices: readonly number[]): Promise<Map<number, OpenflowError>> {
    const refused = await this.#tellMeters(operations, indices, true);
    // Somebody else has made or deleted it meanwhile.
    const surprised = [...refused.keys()].filter((at) => isSurprise(refused.get(at)!));
    if (surprised.length === 0) return refused;
    const places = surprised.map((at) => indices[at]!);
    const again = await this.#tellMeters(operations, places, false);
    for (const [place, at] of surprised.entries()) {
      const error = again.get(place);
      if (error === undefined) refused.delete(at);
      else refused.set(at, error);
    }
    return refused;
  }

  /** @param asThought modifies what is thought to be there and adds the rest; else the other way about */
  #tellMeters(
    operations: Operations,
    indices: readonly number[],
    asThought: boolean,
  ): Promise<Map<number, OpenflowError>> {
    const requests = indices.map((index) => {
      const config = meterConfigOf(meterAt(operations, index));
      const command = operations.isInstalled(index) === asThought ? 'modify' : 'add';
      return (xid: number) => meterMod(xid, command, config);
    });
    return attempted(this.#connection, 'meters', this.#settings.replyTimeout, requests);
  }

  /** Deletes meters that no flow uses any more: the switch would delete the flow with it. */
  async #deleteMeters(operations: Operations): Promise<void> {
    const requests = Array.from({ length: operations.length }, (_, index) => {
      const { id } = meterAt(operations, index);
      return (xid: number) => meterMod(xid, 'delete', { meter: id });
    });
    const refused = await attempted(this.#connection, 'meters', this.#settings.replyTimeout, requests);
    for (const [index, error] of refused) {
      const meter = meterAt(operations, index).id;
      if (error.name !== unknownMeter) this.#log.warn({ meter, error: error.name }, 'the switch keeps a meter');
    }
  }

  /** Sets aside the objects behind what was refused; leaves out what is done. */
  #without(
    operations: Operations,
    refusals: readonly Refusal[],
    finished: ReadonlySet<number> = new Set(),
  ): Operations {
    const dropped = new Set<number>(finished);
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

function meterAt(operations: Operations, index: number): Meter {
  const { bytes, at } = operations.source(index);
  return decodeMeter(bytes, at + operations.offset(index));
}

/** OFPMMFC_*, OpenFlow 1.5.1 section 7.5.4.13. */
const meterExists = 'OFPMMFC_METER_EXISTS';
const unknownMeter = 'OFPMMFC_UNKNOWN_METER';

function isSurprise({ name }: OpenflowError): boolean {
  return name === meterExists || name === unknownMeter;
}

/** So many operations at least, and no object that they add is cut in two where its flows follow each other. */
function wholeObjects(operations: Operations, least: number): number {
  const of = (index: number): number => {
    const { bytes, at } = operations.source(index);
    return operations.isDelete(index) ? Number.NaN : objectOf(bytes, at + operations.offset(index));
  };
  let end = least;
  while (end < operations.length && of(end) === of(end - 1)) end++;
  return end;
}

function cookieAt(unit: Unit, offset: number): bigint {
  const operations = new Operations();
  operations.add(unit, offset, false);
  return cookieOf(operations, 0);
}

/** Notation of ovs-ofctl. */
function textOf(source: RecordSource, offset: number): string {
  const at = source.at + offset;
  if (isMeterRecord(source.bytes, at)) return formatMeter(decodeMeter(source.bytes, at));
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
