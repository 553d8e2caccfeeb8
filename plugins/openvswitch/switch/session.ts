/**
 * One OpenFlow session with one switch, from the handshake to its end: read back, bring to desired, and keep so. One
 * loop does everything that changes the switch, so there is one bundle at a time and what comes meanwhile is coalesced.
 */
import { cookieGeneration } from '../../../src/pipeline/cookie.ts';
import { ByteWriter } from '../openflow/bytes.ts';
import { type Message, messageType } from '../openflow/frame.ts';
import { flowDescRequest, multipartType } from '../openflow/messages.ts';
import { decodeFlows, recordLength } from '../openflow/record.ts';
import { parseError, parseFlowUpdates, parseMultipart } from '../openflow/replies.ts';
import { formatFlow } from '../openflow/text.ts';
import { type BundleContent, type Refusal, runBundle } from './bundle.ts';
import { Comparison } from './comparison.ts';
import { type Connection, ConnectionClosed } from './connection.ts';
import type { Merge, RecordPlace } from './desired.ts';
import { multipart } from './multipart.ts';
import { cookieOf, Operations, objectOf, type RecordSource } from './operations.ts';
import type { FlowEvents, Log, SwitchSettings } from './settings.ts';
import { deleteMeters, readGroups, readMeters, requestForward, setMeters, watchForChanges } from './setup.ts';
import type { Unit } from './slab.ts';
import type { SwitchState } from './state.ts';

type ReadFor =
  /** The session is new: whatever was refused is tried again. */
  | 'connect'
  /** A bundle's outcome is unknown. */
  | 'indeterminate'
  /** Somebody else has changed something, or it is time to look. */
  | 'drift';

type Job = { run(): Promise<void>; fail(error: Error): void };

export type SessionOptions = {
  state: SwitchState;
  connection: Connection;
  settings: SwitchSettings;
  events: FlowEvents;
  log: Log;
};

/** Code of a record refused because another unit claims the same table, priority and match. */
export const duplicateMatch = 'KEYWAY_DUPLICATE_MATCH';

/** Milliseconds. A switch was seen to take 0.01 for a flow. */
const patiencePerFlow = 0.2;

/** Bundles in a row that may end in doubt before the session is given up. */
const indeterminateLimit = 3;

export class Session {
  readonly connection: Connection;
  readonly #state: SwitchState;
  readonly #settings: SwitchSettings;
  readonly #events: FlowEvents;
  readonly #log: Log;
  readonly #updates = new ByteWriter();
  readonly #jobs: Job[] = [];
  #live = false;
  #wake: (() => void) | undefined;
  #awake = false;
  #bundleId = 0;
  #indeterminate = 0;
  #watching = true;
  /** When to read the switch for drift, on performance.now()'s clock. */
  #readAt = Number.POSITIVE_INFINITY;
  #lastRead = 0;
  /** Drift told last under the policy `report`, so that it is told once. */
  #reported = '';

  constructor({ state, connection, settings, events, log }: SessionOptions) {
    this.#state = state;
    this.connection = connection;
    this.#settings = settings;
    this.#events = events;
    this.#log = log;
    connection.onMessage = (message) => this.#unasked(message);
    connection.onClose = () => this.wake();
  }

  /** Read back and in sync. */
  get live(): boolean {
    return this.#live;
  }

  /** There may be something to do. */
  wake(): void {
    this.#awake = true;
    this.#wake?.();
  }

  /** Lasts as long as the connection, whose end it causes where something goes wrong. */
  async run(): Promise<void> {
    try {
      this.#watching = await watchForChanges(this.connection, this.#settings, this.#log);
      while (!this.#state.ready) await this.#sleep(Number.POSITIVE_INFINITY);
      await this.#untilDesired('connect');
      this.#live = true;
      this.#events.connected(this.#state.hypervisor);
      this.#confirm();
      for (;;) await this.#step();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (!(error instanceof ConnectionClosed)) {
        const { hypervisor } = this.#state;
        this.#log.warn({ hypervisor, err: error }, 'a session with a switch failed');
      }
      this.connection.close(reason);
      for (const job of this.#jobs.splice(0)) job.fail(new ConnectionClosed(reason));
      const wasLive = this.#live;
      this.#live = false;
      if (wasLive) this.#events.disconnected(this.#state.hypervisor, this.connection.closed ?? reason);
    }
  }

  /** Reads the switch and compares, between bundles. @throws ConnectionClosed, RequestRefused, ReplyOverdue */
  compare(): Promise<Comparison> {
    return new Promise((resolve, reject) => {
      if (this.connection.closed !== undefined) {
        reject(new ConnectionClosed(this.connection.closed));
        return;
      }
      this.#jobs.push({ run: async () => resolve(await this.#readFlows()), fail: reject });
      this.wake();
    });
  }

  /** One of each kind that is due, so that none waits for another for long. */
  async #step(): Promise<void> {
    const job = this.#jobs.shift();
    const read = performance.now() >= this.#readAt;
    if (!this.#state.hasPending && job === undefined && !read) await this.#sleep(this.#readAt);
    if (this.#state.hasPending) await this.#program();
    if (job !== undefined) await this.#runJob(job);
    if (read) await this.#untilDesired('drift');
    if (this.connection.closed !== undefined) throw new ConnectionClosed(this.connection.closed);
  }

  async #runJob(job: Job): Promise<void> {
    try {
      await job.run();
    } catch (error) {
      job.fail(error instanceof Error ? error : new Error(String(error)));
    }
  }

  async #program(): Promise<void> {
    const merge = this.#merge();
    let done: boolean;
    try {
      done = await this.#commit({ operations: merge.operations, groups: [] });
    } finally {
      this.#state.release(merge.retired);
    }
    if (!done) await this.#untilDesired('indeterminate');
    this.#confirm();
  }

  async #untilDesired(why: ReadFor): Promise<void> {
    let done = await this.#bringToDesired(why);
    while (!done) done = await this.#bringToDesired('indeterminate');
    if (why === 'drift') this.#confirm();
  }

  /** @returns false where the outcome of its bundle is unknown, and it has to be done again */
  async #bringToDesired(why: ReadFor): Promise<boolean> {
    const { desired, counters, hypervisor } = this.#state;
    if (why === 'connect') desired.retryAll();
    // What waits is merged first, and comes out of the comparison; but then it could not be told from drift.
    if (why !== 'drift') this.#state.release(this.#merge().retired);
    this.#readAt = Number.POSITIVE_INFINITY;
    const started = performance.now();
    const groups = await readGroups(this.connection, this.#settings.replyTimeout);
    const meters = await readMeters(this.connection, this.#settings);
    const comparison = await this.#readFlows();
    const { operations, counts, installed, fallbacks } = comparison.finish();
    this.#lastRead = performance.now();
    const took = this.#lastRead - started;
    this.#state.lastReadTook = took;
    this.#scheduleRead(
      this.#watching ? this.#settings.auditInterval : Math.max(this.#settings.pollInterval, took * 20),
    );
    counters.reads++;
    counters.fallbacks += fallbacks;
    if (why === 'drift') {
      const drift = {
        missing: counts.missing + meters.missing.length,
        extra: counts.extra + groups.length + meters.extra.length,
        different: counts.different + meters.different.length,
      };
      this.#tellDrift(drift);
      if (this.#settings.driftPolicy === 'report') return true;
    } else {
      this.#log.info({ hypervisor, why, installed, fallbacks, ...counts, took }, 'the switch was read back');
    }
    await setMeters(this.connection, this.#settings, meters, this.#log);
    if (this.#settings.driftPolicy === 'report')
      return await this.#commit({ operations: onlyOurs(operations), groups: [] });
    const done = await this.#commit({ operations, groups });
    if (done) await deleteMeters(this.connection, this.#settings, meters, this.#log);
    return done;
  }

  #tellDrift(counts: { missing: number; extra: number; different: number }): void {
    const { hypervisor, counters } = this.#state;
    const { missing, extra, different } = counts;
    const told = missing + extra + different === 0 ? '' : `${missing} ${extra} ${different}`;
    const again = this.#settings.driftPolicy === 'report' && told === this.#reported;
    this.#reported = told;
    if (told === '' || again) return;
    counters.drift += missing + extra + different;
    this.#log.warn({ hypervisor, ...counts, policy: this.#settings.driftPolicy }, 'the switch has drifted');
    this.#events.drifted(hypervisor, counts);
  }

  async #readFlows(): Promise<Comparison> {
    const comparison = new Comparison(this.#state.desired);
    await multipart(
      this.connection,
      'flows',
      this.#settings.replyTimeout,
      (xid) => flowDescRequest(xid),
      (body) => comparison.part(body),
    );
    return comparison;
  }

  #merge(): Merge {
    const merge = this.#state.merge();
    for (const { unit, offset } of merge.duplicates) {
      this.#reject({ unit, offset }, cookieAt(unit, offset), unit.key, duplicateMatch);
    }
    return merge;
  }

  /** Bundles until everything is in the switch but what it refuses. @returns false where the last one's outcome is unknown */
  async #commit({ operations, groups }: BundleContent): Promise<boolean> {
    const { counters } = this.#state;
    const { bundleFlows, bundleTimeout } = this.#settings;
    let rest = operations.addsFirst();
    let foreign: readonly number[] = groups;
    while (rest.length + foreign.length > 0) {
      const part = rest.length > bundleFlows ? rest.slice(0, bundleFlows) : rest;
      const last = part.length === rest.length;
      const content = { operations: part, groups: last ? foreign : [] };
      const patience = part.length * patiencePerFlow;
      this.connection.patience = patience;
      counters.flowMods += part.length;
      const outcome = await runBundle(this.connection, ++this.#bundleId, content, bundleTimeout + patience);
      this.connection.patience = 0;
      if (outcome.kind === 'indeterminate') {
        counters.indeterminate++;
        this.#log.warn({ hypervisor: this.#state.hypervisor, reason: outcome.reason }, 'a bundle ended in doubt');
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
        this.#log.warn({ hypervisor: this.#state.hypervisor, error: error.name }, 'the switch keeps a foreign group');
        continue;
      }
      const source = operations.source(index);
      const offset = operations.offset(index);
      if (operations.isDelete(index)) {
        dropped.add(index);
        const flow = textOf(source, offset);
        this.#log.warn({ hypervisor: this.#state.hypervisor, flow, error: error.name }, 'the switch keeps a flow');
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
    this.#log.warn({ hypervisor, unit: key, flow, error }, 'a flow was refused: what it serves is set aside');
    this.#events.rejected({ hypervisor, unit: key, cookie, flow, error });
  }

  /** Everything merged is in the switch: tells so. */
  #confirm(): void {
    const { desired, hypervisor, rejected } = this.#state;
    for (const [object, cookie] of rejected) {
      if (desired.isSetAside(object)) continue;
      rejected.delete(object);
      this.#events.accepted(hypervisor, cookie);
    }
    const sequence = this.#state.confirmed();
    if (sequence !== undefined) this.#events.acknowledged(hypervisor, sequence);
  }

  #unasked(message: Message): void {
    if (message.type === requestForward) {
      this.#suspectDrift();
    } else if (message.type === messageType.multipartReply) {
      const { type, body } = parseMultipart(message.body);
      if (type !== multipartType.flowMonitor) return;
      this.#updates.clear();
      for (const { event } of parseFlowUpdates(body, this.#updates)) {
        // Our own changes come abbreviated. A pause hides changes until it is over.
        if (event !== 'abbreviated' && event !== 'paused') this.#suspectDrift();
      }
    } else if (message.type === messageType.error) {
      const { name, refusedXid } = parseError(message.body);
      this.#log.warn(
        { hypervisor: this.#state.hypervisor, error: name, xid: refusedXid },
        'an error nobody waited for',
      );
    }
  }

  #suspectDrift(): void {
    // A switch that somebody else keeps changing is not read without end.
    const rest = 2 * (this.#state.lastReadTook ?? 0) - (performance.now() - this.#lastRead);
    this.#scheduleRead(Math.max(this.#settings.driftDelay, rest));
  }

  #scheduleRead(delay: number): void {
    const at = performance.now() + delay;
    if (at >= this.#readAt) return;
    this.#readAt = at;
    this.wake();
  }

  /** Until `wake`, or the time given. @throws ConnectionClosed */
  async #sleep(until: number): Promise<void> {
    if (!this.#awake) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        if (until < Number.POSITIVE_INFINITY) {
          const timer = setTimeout(resolve, Math.max(1, until - performance.now()));
          this.#wake = () => {
            clearTimeout(timer);
            resolve();
          };
        }
      });
      this.#wake = undefined;
    }
    this.#awake = false;
    if (this.connection.closed !== undefined) throw new ConnectionClosed(this.connection.closed);
  }
}

function cookieAt(unit: Unit, offset: number): bigint {
  const operations = new Operations();
  operations.add(unit, offset, false);
  return cookieOf(operations, 0);
}

/** Leaves alone what somebody else put there: a cookie of generation 0 is never ours. */
function onlyOurs(operations: Operations): Operations {
  const ours = new Operations();
  for (let index = 0; index < operations.length; index++) {
    const foreign = operations.isDelete(index) && cookieGeneration(cookieOf(operations, index)) === 0;
    if (!foreign) ours.take(operations, index);
  }
  return ours;
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
