/**
 * Everything that happens on the southbound thread: sessions with hypervisors (OVSDB, through the chassis room) and with
 * their switches (OpenFlow), desired flows as bytes, and what is to be done about the difference.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { hashBytes } from '../../../src/drivers/hash.ts';
import type {
  Admission,
  ConnectionsTo,
  FlowCounters,
  HypervisorNumber,
  PacketOut,
  PatchSpec,
  PortCounters,
  SwitchHealth,
  TunnelSpec,
} from '../../../src/drivers/switch-plugin.ts';
import { Problem } from '../../../src/problems.ts';
import type { Chassis } from '../chassis/options.ts';
import { ByteWriter } from '../openflow/bytes.ts';
import {
  aggregateRequest,
  anyPort,
  ctFlush,
  ctFlushZone,
  type FlowFilter,
  flowDescRequest,
  packetOut,
  portStatsRequest,
} from '../openflow/messages.ts';
import { parseAggregate, parseFlowDescPart, parsePortStats } from '../openflow/replies.ts';
import { AuditPacer } from './audit.ts';
import type { DriftRecords } from './comparison.ts';
import { ConnectPacer } from './connect-pacer.ts';
import { type Connection, ConnectionClosed } from './connection.ts';
import { OpenflowListener } from './listener.ts';
import { confirmed, multipart } from './multipart.ts';
import { Session } from './session.ts';
import type { FlowEvents, Log, SwitchSettings } from './settings.ts';
import { Slab } from './slab.ts';
import { type SwitchCounters, SwitchState } from './state.ts';

export type SouthboundOptions = {
  openflow: { host: string; port: number };
  trustedNetworks: readonly string[];
  insecure: boolean;
  settings: SwitchSettings;
  /** Made once the OpenFlow port is known, since it writes it to hypervisors. */
  makeChassis(openflowPort: number): Chassis;
  events: FlowEvents & { refused(peer: string, reason: string): void };
  log: Log;
};

/** As Pass, with the flows in one buffer. */
export type PackedPass = {
  sequence: number;
  flows: Uint8Array;
  set: { unit: string; on: HypervisorNumber[]; at: number; length: number }[];
  remove: { unit: string; on: HypervisorNumber[] }[];
};

export type InstalledRecords = {
  records: Uint8Array;
  /** Packets, bytes and seconds of each record. */
  counters: Float64Array;
};

/** Keys of units, a line each: one text goes to another thread sooner than many. */
export type HeldRecords = { keys: string; hashes: Float64Array };

export type SwitchStats = SwitchCounters & {
  hypervisor: HypervisorNumber;
  connected: boolean;
  flows: number;
  /** Of desired flows, shared ones counted for each switch. */
  bytes: number;
  /** Memory of the index of keys. */
  indexBytes: number;
  units: number;
  setAside: number;
  /** Milliseconds; undefined until measured. */
  echoRtt: number | undefined;
  /** Bytes that wait for the switch to take them. */
  waiting: number;
  lastReadTook: number | undefined;
};

export type SouthboundStats = {
  /** Units and bytes as they are kept, each once. */
  slab: { units: number; flows: number; bytes: number; reserved: number };
  switches: SwitchStats[];
};

/** Beyond that one request for all ports costs less than one each. */
const portsAskedSingly = 8;

/** Milliseconds of work before echoes have their turn. */
const sliceTime = 2;

type Managed = {
  state: SwitchState;
  admission: Admission | undefined;
  session: Session | undefined;
  ended: Promise<void>;
};

/** BFD packets a second that come by a tunnel: one each interval less a quarter (RFC 5880 section 6.8.7), and as many to spare. */
const bfdRate = { fast: 25, slow: 3 } as const;
/** Packets a second; so that a tunnel more or less is seldom a change. */
const allowanceStep = 1_000;

/**
 * BFD passes the slow path of its bridge, and so the `slowpath` meter (compose_slow_path() of
 * ofproto/ofproto-dpif-upcall.c): with many tunnels it must not be what the meter drops.
 */
function slowpathFor(tunnels: readonly TunnelSpec[]): number {
  const rate = tunnels.reduce((sum, { fast }) => sum + (fast ? bfdRate.fast : bfdRate.slow), 0);
  return Math.ceil(rate / allowanceStep) * allowanceStep;
}

export class Southbound {
  readonly #options: SouthboundOptions;
  readonly #slab = new Slab();
  readonly #audits = new AuditPacer();
  readonly #connects = new ConnectPacer();
  readonly #underWay = { count: 0 };
  readonly #switches = new Map<HypervisorNumber, Managed>();
  readonly #byDatapathId = new Map<bigint, HypervisorNumber>();
  readonly #listener: OpenflowListener;
  #chassis: Chassis | undefined;

  constructor(options: SouthboundOptions) {
    this.#options = options;
    this.#listener = new OpenflowListener({
      ...options.openflow,
      trustedNetworks: options.trustedNetworks,
      insecure: options.insecure,
      settings: options.settings,
      isAdmitted: (datapathId) => this.#byDatapathId.has(datapathId),
      peerOf: (datapathId) => this.#chassis?.peerOf(datapathId),
      accept: (datapathId, connection) => this.#accept(datapathId, connection),
      refused: options.events.refused,
      log: options.log,
    });
  }

  async start(): Promise<{ managers: string[] }> {
    const port = await this.#listener.start();
    try {
      this.#chassis = this.#options.makeChassis(port);
      return await this.#chassis.start();
    } catch (error) {
      this.#listener.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    this.#listener.stop();
    const ended: Promise<void>[] = [];
    for (const managed of this.#switches.values()) {
      managed.session?.connection.close('Keyway is stopping');
      ended.push(managed.ended);
    }
    await this.#chassis?.stop();
    await Promise.all(ended);
  }

  admit(admission: Admission): void {
    const managed = this.#managed(admission.hypervisor);
    const before = managed.admission;
    if (before !== undefined && before.datapathId !== admission.datapathId) {
      this.#byDatapathId.delete(before.datapathId);
      managed.session?.connection.close('its datapath id was changed');
    }
    managed.admission = admission;
    this.#byDatapathId.set(admission.datapathId, admission.hypervisor);
    this.#chassis?.admit(admission);
  }

  dismiss(hypervisor: HypervisorNumber): void {
    const managed = this.#switches.get(hypervisor);
    if (managed === undefined) return;
    this.#switches.delete(hypervisor);
    if (managed.admission !== undefined) this.#byDatapathId.delete(managed.admission.datapathId);
    this.#chassis?.dismiss(hypervisor);
    managed.session?.connection.close('the hypervisor was dismissed');
    // A bundle under way still refers to its units.
    void managed.ended.then(() => managed.state.clear());
  }

  setTunnels(hypervisor: HypervisorNumber, tunnels: TunnelSpec[]): void {
    const { state, session } = this.#managed(hypervisor);
    const allowance = slowpathFor(tunnels);
    if (state.slowpathAllowance !== allowance) {
      state.slowpathAllowance = allowance;
      session?.limitsChanged();
    }
    this.#chassis?.setTunnels(hypervisor, tunnels);
  }

  setPatches(hypervisor: HypervisorNumber, patches: PatchSpec[]): void {
    this.#chassis?.setPatches(hypervisor, patches);
  }

  ready(hypervisor: HypervisorNumber): void {
    const managed = this.#managed(hypervisor);
    managed.state.ready = true;
    managed.session?.wake();
  }

  apply({ sequence, flows, set, remove }: PackedPass): void {
    const touched = new Set<Managed>();
    for (const { unit: key, on, at, length } of set) {
      const unit = this.#slab.add(key, flows.subarray(at, at + length));
      for (const hypervisor of on) {
        const managed = this.#managed(hypervisor);
        managed.state.put(key, this.#slab.retain(unit));
        touched.add(managed);
      }
      this.#slab.release(unit);
    }
    for (const { unit: key, on } of remove) {
      for (const hypervisor of on) {
        const managed = this.#managed(hypervisor);
        managed.state.put(key, undefined);
        touched.add(managed);
      }
    }
    for (const managed of touched) {
      managed.state.passed(sequence);
      managed.session?.wake();
    }
  }

  /** @throws Problem hypervisor.not-connected */
  async flushZone(hypervisor: HypervisorNumber, zone: number): Promise<void> {
    await this.#withConnection(hypervisor, ({ connection }) =>
      confirmed(connection, `flush of conntrack zone ${zone}`, this.#options.settings.replyTimeout, [
        (xid) => ctFlushZone(xid, zone),
      ]),
    );
  }

  /** @throws Problem hypervisor.not-connected, RequestRefused */
  async forgetConnections(hypervisor: HypervisorNumber, connections: readonly ConnectionsTo[]): Promise<void> {
    await this.#withConnection(hypervisor, ({ connection }) =>
      confirmed(
        connection,
        'flush of connections',
        this.#options.settings.replyTimeout,
        connections.map((one) => (xid: number) => ctFlush(xid, one)),
      ),
    );
  }

  /** @throws Problem hypervisor.not-connected, RequestRefused */
  async sendPacket(hypervisor: HypervisorNumber, { inPort, actions, bytes }: PacketOut): Promise<void> {
    await this.#withConnection(hypervisor, ({ connection }) =>
      confirmed(connection, 'a packet', this.#options.settings.replyTimeout, [
        (xid) => packetOut(xid, inPort, actions, bytes),
      ]),
    );
  }

  /** @param cookies only flows with one of these. @throws Problem hypervisor.not-connected */
  installed(hypervisor: HypervisorNumber, cookies?: readonly bigint[]): Promise<InstalledRecords> {
    return this.#withConnection(hypervisor, async ({ connection }) => {
      const records = new ByteWriter(64 * 1024);
      const counters: number[] = [];
      const read = (filter: FlowFilter) =>
        multipart(
          connection,
          'flows',
          this.#options.settings.replyTimeout,
          (xid) => flowDescRequest(xid, filter),
          (body) =>
            parseFlowDescPart(body, records, (_offset, _length, { packets = 0, bytes = 0, duration = 0 }) => {
              counters.push(packets, bytes, duration);
            }),
        );
      await (cookies === undefined ? read({}) : Promise.all(cookies.map((cookie) => read({ cookie }))));
      return { records: records.take(), counters: Float64Array.from(counters) };
    });
  }

  /** @throws Problem hypervisor.not-connected */
  counted(hypervisor: HypervisorNumber, cookies: readonly bigint[]): Promise<FlowCounters[]> {
    return this.#withConnection(hypervisor, ({ connection }) =>
      Promise.all(
        cookies.map(async (cookie) => {
          // With the whole cookie asked for, Open vSwitch finds the flows by an index.
          const sum: FlowCounters = { flows: 0, packets: 0, bytes: 0 };
          await multipart(
            connection,
            'counters',
            this.#options.settings.replyTimeout,
            (xid) => aggregateRequest(xid, { cookie }),
            (body) => {
              const { flows, packets, bytes } = parseAggregate(body);
              sum.flows += flows;
              sum.packets += packets;
              sum.bytes += bytes;
            },
          );
          return sum;
        }),
      ),
    );
  }

  /** In the order of `ofports`. @throws Problem hypervisor.not-connected */
  portCounters(hypervisor: HypervisorNumber, ofports: readonly number[]): Promise<(PortCounters | undefined)[]> {
    return this.#withConnection(hypervisor, async ({ connection }) => {
      const counted = new Map<number, PortCounters>();
      const asked = ofports.length > portsAskedSingly ? [anyPort] : new Set(ofports);
      const read = (port: number) =>
        multipart(
          connection,
          'port counters',
          this.#options.settings.replyTimeout,
          (xid) => portStatsRequest(xid, port),
          (body) => {
            for (const { port: of, ...counters } of parsePortStats(body)) counted.set(of, counters);
          },
        );
      await Promise.all(Array.from(asked, read));
      return ofports.map((port) => counted.get(port));
    });
  }

  /** Records, as they will be once everything applied is programmed. */
  desired(hypervisor: HypervisorNumber): Uint8Array {
    const units = this.#switches.get(hypervisor)?.state.units() ?? [];
    const all = new Uint8Array(units.reduce((sum, unit) => sum + unit.length, 0));
    let at = 0;
    for (const unit of units) {
      all.set(unit.bytes.subarray(unit.at, unit.at + unit.length), at);
      at += unit.length;
    }
    return all;
  }

  /** @throws Problem hypervisor.not-connected */
  drift(hypervisor: HypervisorNumber): Promise<DriftRecords> {
    return this.#withConnection(hypervisor, async (session) => (await session.compare()).records());
  }

  /** As `desired`, at the moment of the call; hashed a few milliseconds at a time. */
  async held(hypervisor: HypervisorNumber): Promise<HeldRecords> {
    const units = this.#switches.get(hypervisor)?.state.units() ?? [];
    for (const unit of units) this.#slab.retain(unit);
    try {
      const hashes = new Float64Array(units.length);
      let slice = performance.now();
      for (const [i, { bytes, at, length }] of units.entries()) {
        hashes[i] = hashBytes(bytes.subarray(at, at + length));
        if (performance.now() - slice < sliceTime) continue;
        await nextTurn();
        slice = performance.now();
      }
      return { keys: units.map(({ key }) => key).join('\n'), hashes };
    } finally {
      for (const unit of units) this.#slab.release(unit);
    }
  }

  /** @throws Problem hypervisor.not-connected */
  async health(hypervisor: HypervisorNumber): Promise<SwitchHealth> {
    if (this.#chassis === undefined) throw new Error('the southbound has not been started');
    return await this.#chassis.health(hypervisor);
  }

  /** Switches that are being programmed with a pass. */
  get programming(): number {
    return this.#underWay.count;
  }

  stats(): SouthboundStats {
    const switches = [...this.#switches.values()].map(({ state, session }): SwitchStats => {
      const { hypervisor, desired, counters, lastReadTook } = state;
      return {
        hypervisor,
        connected: session?.live ?? false,
        ...desired.size,
        indexBytes: desired.index.bytes,
        units: desired.units.size,
        setAside: desired.setAsideObjects,
        echoRtt: session?.connection.echoRtt,
        waiting: session?.connection.waiting ?? 0,
        lastReadTook,
        ...counters,
      };
    });
    return { slab: this.#slab.stats(), switches };
  }

  #managed(hypervisor: HypervisorNumber): Managed {
    let managed = this.#switches.get(hypervisor);
    if (managed === undefined) {
      const state = new SwitchState(hypervisor, this.#slab);
      managed = { state, admission: undefined, session: undefined, ended: Promise.resolve() };
      this.#switches.set(hypervisor, managed);
    }
    return managed;
  }

  #accept(datapathId: bigint, connection: Connection): void {
    const hypervisor = this.#byDatapathId.get(datapathId);
    const managed = hypervisor === undefined ? undefined : this.#switches.get(hypervisor);
    if (managed === undefined) {
      connection.close('the hypervisor was dismissed');
      return;
    }
    managed.session?.connection.close('replaced by a newer session of the same switch');
    const { settings, events, log } = this.#options;
    const session = new Session({
      state: managed.state,
      connection,
      settings,
      audits: this.#audits,
      connects: this.#connects,
      underWay: this.#underWay,
      events,
      log,
    });
    managed.session = session;
    log.debug({ hypervisor, peer: connection.peer }, 'a switch connected');
    // One session at a time works on the state: the one before has to have let go of it.
    managed.ended = managed.ended
      .then(() => session.run())
      .then(() => {
        if (managed.session === session) managed.session = undefined;
        log.debug({ hypervisor, reason: connection.closed }, 'a switch is gone');
      });
  }

  async #withConnection<T>(hypervisor: HypervisorNumber, work: (session: Session) => Promise<T>): Promise<T> {
    const session = this.#switches.get(hypervisor)?.session;
    if (session === undefined || !session.live) {
      throw new Problem('hypervisor.not-connected', `hypervisor ${hypervisor} has no OpenFlow session`);
    }
    try {
      return await work(session);
    } catch (error) {
      if (!(error instanceof ConnectionClosed)) throw error;
      throw new Problem('hypervisor.not-connected', `hypervisor ${hypervisor}: ${error.message}`);
    }
  }
}
