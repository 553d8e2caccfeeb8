/**
 * One OpenFlow session with one switch, from the handshake to its end: read back, bring to desired, and keep so. One
 * loop does everything that changes the switch, so there is one bundle at a time and what comes meanwhile is coalesced.
 */
import { cookieGeneration } from '../../../src/pipeline/cookie.ts';
import { withFields } from '../log.ts';
import { ByteWriter } from '../openflow/bytes.ts';
import { type Message, messageType } from '../openflow/frame.ts';
import { flowDescRequest, multipartType } from '../openflow/messages.ts';
import { parseError, parseFlowUpdates, parseMultipart, parsePortStatus } from '../openflow/replies.ts';
import type { AuditPacer } from './audit.ts';
import { Comparison } from './comparison.ts';
import type { ConnectPacer } from './connect-pacer.ts';
import { type Connection, ConnectionClosed } from './connection.ts';
import { multipart } from './multipart.ts';
import { cookieOf, Operations } from './operations.ts';
import { PacketIns } from './packet-ins.ts';
import { Programmer } from './programmer.ts';
import type { FlowEvents, Log, SwitchSettings } from './settings.ts';
import {
  askForUserdata,
  isHindered,
  type MeterDrift,
  readGroups,
  readHindered,
  readMeters,
  requestForward,
  setMeters,
  unhinder,
  watchForChanges,
} from './setup.ts';
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
  audits: AuditPacer;
  connects: ConnectPacer;
  /** Sessions with a bundle under way for a pass. */
  underWay: { count: number };
  events: FlowEvents;
  log: Log;
};

/** Milliseconds until an audit that had to wait for others is tried again, at least. */
const auditRetry = 100;

export class Session {
  readonly connection: Connection;
  readonly #state: SwitchState;
  readonly #settings: SwitchSettings;
  readonly #audits: AuditPacer;
  readonly #connects: ConnectPacer;
  readonly #programmer: Programmer;
  readonly #underWay: { count: number };
  readonly #packetIns: PacketIns;
  readonly #events: FlowEvents;
  readonly #log: Log;
  readonly #updates = new ByteWriter();
  readonly #jobs: Job[] = [];
  #live = false;
  #wake: (() => void) | undefined;
  #awake = false;
  #watching = true;
  /** When to read the switch for drift, on performance.now()'s clock. */
  #readAt = Number.POSITIVE_INFINITY;
  /** There was a sign of drift; else nothing but time speaks for that reading. */
  #suspected = false;
  #lastRead = 0;
  /** Drift told last under the policy `report`, so that it is told once. */
  #reported = '';

  constructor({ state, connection, settings, audits, connects, underWay, events, log: everybodys }: SessionOptions) {
    const log = withFields(everybodys, () => ({ hypervisor: state.hypervisor }));
    this.#audits = audits;
    this.#connects = connects;
    this.#underWay = underWay;
    this.#programmer = new Programmer({ state, connection, settings, events, log });
    this.#packetIns = new PacketIns({ state, connection, settings, events });
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
      await askForUserdata(this.connection, this.#settings, this.#log);
      this.#watching = await watchForChanges(this.connection, this.#settings, this.#log);
      while (!this.#state.ready) await this.#sleep(Number.POSITIVE_INFINITY);
      const endTurn = await this.#connects.turn();
      try {
        await this.#untilDesired('connect');
      } finally {
        endTurn();
      }
      this.#live = true;
      this.#events.connected(this.#state.hypervisor);
      this.#programmer.confirm();
      for (;;) await this.#step();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (!(error instanceof ConnectionClosed)) {
        this.#log.warn({ err: error }, 'a session with a switch failed');
      }
      this.connection.close(reason);
      for (const job of this.#jobs.splice(0)) job.fail(new ConnectionClosed(reason));
      const wasLive = this.#live;
      this.#live = false;
      if (wasLive) this.#events.disconnected(this.#state.hypervisor, this.connection.closed ?? reason);
    }
  }

  /** The rate of a virtual meter is to be another one. */
  limitsChanged(): void {
    const run = async (): Promise<void> =>
      setMeters(this.connection, this.#settings, await this.#readMeters(), this.#log);
    // A session that ends takes them with it; the next one sets them when it connects.
    const fail = (error: Error): void => this.#log.debug({ err: error }, 'virtual meters were not changed');
    this.#jobs.push({ run, fail });
    this.wake();
  }

  /** Reads the switch and compares, between bundles. @throws ConnectionClosed, RequestRefused, ReplyOverdue */
  compare(): Promise<Comparison> {
    return new Promise((resolve, reject) => {
      if (this.connection.closed !== undefined) {
        reject(new ConnectionClosed(this.connection.closed));
        return;
      }
      const run = async (): Promise<void> => {
        const meters = await this.#readMeters();
        resolve(await this.#readFlows(meters));
      };
      this.#jobs.push({ run, fail: reject });
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
    if (read) await this.#look();
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
    this.#underWay.count++;
    try {
      const merge = this.#programmer.merge();
      let done: boolean;
      try {
        done = await this.#programmer.commit({ operations: merge.operations, groups: [] });
      } finally {
        this.#state.release(merge.retired);
      }
      if (!done) await this.#untilDesired('indeterminate');
    } finally {
      this.#underWay.count--;
    }
    this.#programmer.confirm();
  }

  async #look(): Promise<void> {
    if (this.#suspected || !this.#watching) {
      await this.#untilDesired('drift');
    } else if (this.#audits.begin()) {
      const started = performance.now();
      try {
        await this.#untilDesired('drift');
      } finally {
        this.#audits.done(performance.now() - started);
      }
    } else {
      this.#readAt = performance.now() + auditRetry * (1 + Math.random());
    }
  }

  async #untilDesired(why: ReadFor): Promise<void> {
    let done = await this.#bringToDesired(why);
    while (!done) done = await this.#bringToDesired('indeterminate');
    if (why === 'drift') this.#programmer.confirm();
  }

  /** @returns false where the outcome of its bundle is unknown, and it has to be done again */
  async #bringToDesired(why: ReadFor): Promise<boolean> {
    const { desired, counters } = this.#state;
    if (why === 'connect') desired.retryAll();
    // What waits is merged first, and comes out of the comparison; but then it could not be told from drift.
    if (why !== 'drift') this.#state.release(this.#programmer.merge().retired);
    // What changes from here on may be missed by this reading.
    this.#readAt = Number.POSITIVE_INFINITY;
    this.#suspected = false;
    const started = performance.now();
    const hindered = await readHindered(this.connection, this.#settings.replyTimeout);
    const groups = await readGroups(this.connection, this.#settings.replyTimeout);
    const meters = await this.#readMeters();
    const comparison = await this.#readFlows(meters);
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
        extra: counts.extra + groups.length,
        different: counts.different + meters.different.length + hindered.length,
      };
      this.#tellDrift(drift);
      if (this.#settings.driftPolicy === 'report') return true;
    } else {
      this.#log.info({ why, installed, fallbacks, ...counts, took }, 'the switch was read back');
    }
    await setMeters(this.connection, this.#settings, meters, this.#log);
    await unhinder(this.connection, this.#settings, hindered, this.#log);
    if (this.#settings.driftPolicy === 'report')
      return await this.#programmer.commit({ operations: onlyOurs(operations), groups: [] });
    return await this.#programmer.commit({ operations, groups });
  }

  #tellDrift(counts: { missing: number; extra: number; different: number }): void {
    const { hypervisor, counters } = this.#state;
    const { missing, extra, different } = counts;
    const told = missing + extra + different === 0 ? '' : `${missing} ${extra} ${different}`;
    const again = this.#settings.driftPolicy === 'report' && told === this.#reported;
    this.#reported = told;
    if (told === '' || again) return;
    counters.drift += missing + extra + different;
    this.#log.debug({ ...counts, policy: this.#settings.driftPolicy }, 'the switch has drifted');
    this.#events.drifted(hypervisor, counts);
  }

  #readMeters(): Promise<MeterDrift> {
    return readMeters(this.connection, this.#settings, this.#state.slowpathAllowance);
  }

  async #readFlows(meters: MeterDrift): Promise<Comparison> {
    const comparison = new Comparison(this.#state.desired);
    comparison.meters(meters.others);
    await multipart(
      this.connection,
      'flows',
      this.#settings.replyTimeout,
      (xid) => flowDescRequest(xid),
      (body) => comparison.part(body),
    );
    return comparison;
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
    } else if (message.type === messageType.portStatus) {
      if (isHindered(parsePortStatus(message.body).port)) this.#suspectDrift();
    } else if (message.type === messageType.experimenter) {
      this.#packetIns.take(message.body);
    } else if (message.type === messageType.error) {
      const { name, refusedXid } = parseError(message.body);
      this.#log.warn({ error: name, xid: refusedXid }, 'an error nobody waited for');
    }
  }

  #suspectDrift(): void {
    this.#suspected = true;
    // A switch that somebody else keeps changing is not read without end.
    const rest = 2 * (this.#state.lastReadTook ?? 0) - (performance.now() - this.#lastRead);
    this.#scheduleRead(Math.max(this.#settings.driftDelay, rest));
  }

  /** The sooner one counts. */
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

/** Leaves alone what somebody else put there: a cookie of generation 0 is never ours. */
function onlyOurs(operations: Operations): Operations {
  const ours = new Operations();
  for (let index = 0; index < operations.length; index++) {
    const foreign = operations.isDelete(index) && cookieGeneration(cookieOf(operations, index)) === 0;
    if (!foreign) ours.take(operations, index);
  }
  return ours;
}
