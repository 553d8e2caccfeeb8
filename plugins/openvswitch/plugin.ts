/**
 * Open vSwitch as a switch plugin. This is its main-thread side: flows are encoded, decoded and printed here; everything
 * else is a message to the southbound thread, so that a long compile never delays a switch.
 */

import { Worker } from 'node:worker_threads';
import type {
  Admission,
  ConnectionsTo,
  Drift,
  FlowCounters,
  HeldUnits,
  HypervisorNumber,
  InstalledFlow,
  Naming,
  PacketOut,
  Pass,
  PatchSpec,
  PortCounters,
  SwitchEvents,
  SwitchHealth,
  SwitchPlugin,
  TunnelSpec,
} from '../../src/drivers/switch-plugin.ts';
import type { ThreadLoad } from '../../src/drivers/thread-load.ts';
import type { Flow, Meter } from '../../src/pipeline/flow.ts';
import { fieldProblem, Problem } from '../../src/problems.ts';
import { gre } from './chassis/gre.ts';
import { giveBack } from './openflow/bytes.ts';
import { highestTable } from './openflow/instructions.ts';
import { encodeUnit } from './openflow/meter-record.ts';
import { decodeFlows } from './openflow/record.ts';
import { formatFlow, parseFlow } from './openflow/text.ts';
import { decodeAny } from './switch/foreign.ts';
import { pack } from './switch/pack.ts';
import { defaultSettings, type Log, type SwitchSettings } from './switch/settings.ts';
import type { SouthboundStats } from './switch/southbound.ts';
import type { Failure, FromWorker, LogLevel, RequestName, Requests, ToWorker, WorkerOptions } from './switch/thread.ts';

export type { SouthboundStats, SwitchStats } from './switch/southbound.ts';
export type { LogLevel } from './switch/thread.ts';

export type OpenVswitchOptions = {
  /** Where hypervisors connect over OVSDB, in Open vSwitch's notation: `ptcp:PORT[:ADDRESS]`, `punix:PATH`. */
  listenOvsdb: string[];
  /** Where their switches connect; port 0 is any that is free. */
  listenOpenflow: { host: string; port: number };
  /** CIDR prefixes from which plain tcp is accepted, beside loopback. */
  trustedNetworks?: string[];
  /** Accept plain tcp from anywhere. */
  insecure?: boolean;
  /** What becomes of changes nobody asked for; `mend` unless told. */
  driftPolicy?: 'mend' | 'report';
  /** Write `options:local_ip` on tunnels; true unless told. */
  tunnelLocalIp?: boolean;
  /** Address switches are told to connect to; unless told, the one their OVSDB session came to. */
  advertise?: string;
  log: Log;
  /** The least that is logged; `info` unless told. */
  logLevel?: LogLevel;
  /** The southbound thread has ended without being asked to: nothing is programmed any more. */
  onFatal(error: Error): void;
  /** Names of tables for `format` and `parse`; numbers where there are none. */
  tableName?(table: number): string | undefined;
  /** Timings and limits, for tests and unusual switches. */
  settings?: Partial<Omit<SwitchSettings, 'driftPolicy'>>;
};

type Waiting = { resolve(result: unknown): void; reject(error: Error): void };

/** .ts where Node strips types, .js in a release. */
const workerFile = new URL(`./southbound.worker${import.meta.url.slice(-3)}`, import.meta.url);

export class OpenVswitchPlugin implements SwitchPlugin {
  readonly overhead = gre.overhead('0.0.0.0');
  readonly #options: OpenVswitchOptions;
  readonly #tableNumbers = new Map<string, number>();
  readonly #waiting = new Map<number, Waiting>();
  #worker: Worker | undefined;
  #events: SwitchEvents | undefined;
  #naming: Naming | undefined;
  #nextRequest = 1;
  #started = false;
  #ended: string | undefined;
  #fatal: Error | undefined;
  #stopping: Promise<void> | undefined;

  constructor(options: OpenVswitchOptions) {
    this.#options = options;
    for (let table = 0; table <= highestTable; table++) {
      const name = options.tableName?.(table);
      if (name !== undefined) this.#tableNumbers.set(name, table);
    }
  }

  encode(flows: readonly Flow[], meters: readonly Meter[] = []): Uint8Array {
    return encodeUnit(flows, meters);
  }

  decode(flows: Uint8Array): Flow[] {
    return decodeFlows(flows);
  }

  format(flow: Flow): string {
    const { tableName } = this.#options;
    return formatFlow(flow, tableName === undefined ? {} : { tableName });
  }

  parse(text: string): Flow {
    try {
      return parseFlow(text, { tableNumber: (name) => this.#tableNumbers.get(name) });
    } catch (error) {
      throw fieldProblem('request.invalid', '', error instanceof Error ? error.message : String(error));
    }
  }

  async start(events: SwitchEvents, naming?: Naming): Promise<{ managers: string[] }> {
    if (this.#worker !== undefined) throw new Error('the plugin was started before');
    this.#events = events;
    this.#naming = naming;
    const worker = new Worker(workerFile, { workerData: this.#workerOptions(), name: 'southbound' });
    this.#worker = worker;
    worker.on('message', (message: FromWorker) => this.#take(message));
    worker.on('error', (error) => this.#fail(error instanceof Error ? error : new Error(String(error))));
    worker.on('exit', (code) => this.#fail(new Error(`the southbound thread ended with code ${code}`)));
    try {
      const started = await this.#request('start');
      this.#started = true;
      return started;
    } catch (error) {
      await this.stop();
      throw this.#fatal ?? error;
    }
  }

  admit(admission: Admission): void {
    this.#post({ type: 'admit', admission });
  }

  dismiss(hypervisor: HypervisorNumber): void {
    this.#post({ type: 'dismiss', hypervisor });
  }

  setTunnels(hypervisor: HypervisorNumber, tunnels: TunnelSpec[]): void {
    this.#post({ type: 'setTunnels', hypervisor, tunnels });
  }

  setPatches(hypervisor: HypervisorNumber, patches: PatchSpec[]): void {
    this.#post({ type: 'setPatches', hypervisor, patches });
  }

  ready(hypervisor: HypervisorNumber): void {
    this.#post({ type: 'ready', hypervisor });
  }

  apply(pass: Pass): void {
    const packed = pack(pass);
    this.#post({ type: 'apply', pass: packed }, [packed.flows.buffer]);
    // Each was made by `encode` for itself, and has been copied.
    for (const { flows } of pass.set) giveBack(flows);
  }

  async flushZone(hypervisor: HypervisorNumber, zone: number): Promise<void> {
    await this.#request('flushZone', hypervisor, zone);
  }

  async forgetConnections(hypervisor: HypervisorNumber, connections: readonly ConnectionsTo[]): Promise<void> {
    await this.#request('forgetConnections', hypervisor, connections);
  }

  async sendPacket(hypervisor: HypervisorNumber, packet: PacketOut): Promise<void> {
    await this.#request('sendPacket', hypervisor, packet);
  }

  async installed(hypervisor: HypervisorNumber, cookies?: readonly bigint[]): Promise<InstalledFlow[]> {
    const { records, counters } = await this.#request('installed', hypervisor, cookies);
    return decodeAny(records).map((flow, index) => ({
      ...flow,
      packets: BigInt(counters[index * 3]!),
      bytes: BigInt(counters[index * 3 + 1]!),
      duration: counters[index * 3 + 2]!,
    }));
  }

  counted(hypervisor: HypervisorNumber, cookies: readonly bigint[]): Promise<FlowCounters[]> {
    return this.#request('counted', hypervisor, cookies);
  }

  portCounters(hypervisor: HypervisorNumber, ofports: readonly number[]): Promise<(PortCounters | undefined)[]> {
    return this.#request('portCounters', hypervisor, ofports);
  }

  async desired(hypervisor: HypervisorNumber): Promise<Flow[]> {
    return decodeFlows(await this.#request('desired', hypervisor));
  }

  async drift(hypervisor: HypervisorNumber): Promise<Drift> {
    const { missing, extra, different } = await this.#request('drift', hypervisor);
    const pairs = decodeAny(different);
    const drift: Drift = { missing: decodeFlows(missing), extra: decodeAny(extra), different: [] };
    for (let at = 0; at + 1 < pairs.length; at += 2) drift.different.push([pairs[at]!, pairs[at + 1]!]);
    return drift;
  }

  async held(hypervisor: HypervisorNumber): Promise<HeldUnits> {
    const { keys, hashes } = await this.#request('held', hypervisor);
    return { units: linesOf(keys), hashes };
  }

  health(hypervisor: HypervisorNumber): Promise<SwitchHealth> {
    return this.#request('health', hypervisor);
  }

  load(): Promise<ThreadLoad> {
    return this.#request('load');
  }

  /** For metrics: what is kept, and what has happened on each switch. */
  stats(): Promise<SouthboundStats> {
    return this.#request('stats');
  }

  /** May be called more than once. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    const worker = this.#worker;
    if (worker === undefined || this.#ended !== undefined) return;
    try {
      await this.#request('stop');
    } catch (error) {
      // It could not say goodbye to its switches; the thread ends all the same.
      this.#options.log.warn({ err: error }, 'the southbound thread did not stop cleanly');
    }
    this.#end('the plugin has stopped');
    await worker.terminate();
  }

  #workerOptions(): WorkerOptions {
    const { listenOvsdb, listenOpenflow, trustedNetworks = [], insecure = false, advertise } = this.#options;
    const { driftPolicy = 'mend', tunnelLocalIp = true, logLevel = 'info', settings } = this.#options;
    return {
      listenOvsdb,
      listenOpenflow,
      trustedNetworks,
      insecure,
      tunnelLocalIp,
      advertise,
      settings: { ...defaultSettings, ...settings, driftPolicy },
      logLevel,
    };
  }

  #post(message: ToWorker, transfer: ArrayBuffer[] = []): void {
    // After the end there is nobody to tell, and onFatal has said so.
    if (this.#ended !== undefined) return;
    if (this.#worker === undefined) throw new Error('the plugin has not been started');
    this.#worker.postMessage(message, transfer);
  }

  #request<Name extends RequestName>(
    name: Name,
    ...params: Requests[Name]['params']
  ): Promise<Requests[Name]['result']> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) {
        reject(new Problem('hypervisor.not-connected', this.#ended));
        return;
      }
      const id = this.#nextRequest++;
      this.#waiting.set(id, { resolve: resolve as (result: unknown) => void, reject });
      this.#post({ type: 'request', id, name, params });
    });
  }

  #take(message: FromWorker): void {
    switch (message.type) {
      case 'events':
        for (const { name, params } of message.events) {
          (this.#events![name] as (...params: unknown[]) => void)(...params);
        }
        break;
      case 'log':
        this.#options.log[message.level](named(message.fields, this.#naming), message.message);
        break;
      case 'reply':
        this.#settle(message.id)?.resolve(message.result);
        break;
      case 'failure':
        this.#settle(message.id)?.reject(errorOf(message.failure));
        break;
    }
  }

  #settle(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    return waiting;
  }

  #end(reason: string): void {
    this.#ended ??= reason;
    for (const waiting of this.#waiting.values()) waiting.reject(new Problem('hypervisor.not-connected', reason));
    this.#waiting.clear();
  }

  #fail(error: Error): void {
    if (this.#ended !== undefined) return;
    this.#fatal = error;
    this.#end(`the southbound thread has ended: ${error.message}`);
    this.#options.log.error({ err: error }, 'the southbound thread has ended');
    // Before that `start` is who tells.
    if (this.#started) this.#options.onFatal(error);
  }
}

/** One at a time, as they are asked for. */
function* linesOf(text: string): Iterable<string> {
  for (let from = 0, to = 0; to >= 0 && text !== ''; from = to + 1) {
    to = text.indexOf('\n', from);
    yield to < 0 ? text.slice(from) : text.slice(from, to);
  }
}

/** The thread knows numbers only; lines of the log name the object, and its revision. */
function named(fields: object, naming: Naming | undefined): object {
  const { hypervisor, resource, ...rest } = fields as { hypervisor?: unknown; resource?: unknown };
  if (naming === undefined) return fields;
  const host = typeof hypervisor === 'number' ? naming.hypervisor(hypervisor) : undefined;
  const object = typeof resource === 'number' ? naming.resource(resource) : host;
  return {
    ...(hypervisor === undefined ? {} : { hypervisor: host?.name ?? hypervisor }),
    ...(object === undefined ? {} : { object: object.path, revision: object.revision }),
    ...rest,
  };
}

function errorOf(failure: Failure): Error {
  if ('message' in failure) return new Error(failure.message);
  return new Problem(failure.code as Problem['code'], failure.detail, failure.errors);
}
