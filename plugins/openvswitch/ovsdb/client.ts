/** One OVSDB session (RFC 7047 section 4) over any stream: we ask, the server answers and notifies. */
import type { Duplex } from 'node:stream';
import { ConnectionClosedError, OvsdbError, ProtocolError } from './errors.ts';
import { DEFAULT_MAX_BYTES, JsonFramer } from './json-frame.ts';
import type { Operation } from './operations.ts';
import { brief, isObject } from './types.ts';

export type ConnectionOptions = {
  /** Milliseconds without a byte from the server before it is probed, and again before the session ends. Default 60,000. */
  probeInterval?: number;
  /** Bytes of one message received, and of everything waiting to be sent. Default 16 MiB. */
  maxBytes?: number;
  /** Requests that may wait for their answers at once. Default 1,000. */
  maxPending?: number;
};

/** How a monitor's updates are to be read: RFC 7047's `update`, or `update2` of Open vSwitch (ovsdb-server(7), 4.1.14). */
export type MonitorVersion = 'update' | 'update2';

/**
 * Takes the first contents of a monitor and then every change, in the order the server sent them.
 * What it throws ends the session.
 */
export type UpdateListener = (tables: Record<string, unknown>, version: MonitorVersion) => void;

/** The result of one operation (RFC 7047 section 5.2). */
export type OperationResult = { count?: number; uuid?: ['uuid', string]; rows?: Record<string, unknown>[] };

type Pending = { method: string; resolve(result: unknown): void; reject(error: Error): void };
type Monitor = { listener: UpdateListener; version: MonitorVersion; live: boolean };

export class OvsdbConnection {
  readonly #stream: Duplex;
  readonly #framer: JsonFramer;
  readonly #maxBytes: number;
  readonly #maxPending: number;
  readonly #probeInterval: number;
  readonly #pending = new Map<number, Pending>();
  readonly #monitors = new Map<string, Monitor>();
  readonly #closed = Promise.withResolvers<string>();
  #reason: string | undefined;
  #endedByPeer = false;
  #lastId = 0;
  #lastHeard = performance.now();
  /** When the probe under way runs out. */
  #probeDeadline: number | undefined;
  #probeTimer: NodeJS.Timeout | undefined;

  constructor(stream: Duplex, options: ConnectionOptions = {}) {
    this.#stream = stream;
    this.#maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES;
    this.#maxPending = options.maxPending ?? 1000;
    this.#probeInterval = options.probeInterval ?? 60_000;
    this.#framer = new JsonFramer((text) => this.#receive(text), { maxBytes: this.#maxBytes });
    stream.on('data', (chunk: Buffer) => this.#read(chunk));
    stream.on('end', () => this.#gone(this.#framer.idle ? 'closed by the peer' : 'closed by the peer in mid-message'));
    stream.on('close', () => this.#gone('closed'));
    stream.on('error', (error) => this.#gone(error.message));
    this.#scheduleProbe(this.#probeInterval);
  }

  /** Resolves, never rejects, with why the session ended. */
  get closed(): Promise<string> {
    return this.#closed.promise;
  }

  get isClosed(): boolean {
    return this.#reason !== undefined;
  }

  /** Whether it was the peer, or the way to it, that ended the session. */
  get endedByPeer(): boolean {
    return this.#endedByPeer;
  }

  /** Ends the session now; whatever waits for an answer is rejected with ConnectionClosedError. Later calls do nothing. */
  close(reason: string): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    clearTimeout(this.#probeTimer);
    this.#monitors.clear();
    this.#stream.destroy();
    const waiting = [...this.#pending.values()];
    this.#pending.clear();
    for (const { method, reject } of waiting) reject(new ConnectionClosedError(`${method}: ${reason}`));
    this.#closed.resolve(reason);
  }

  /**
   * @throws OvsdbError when the server answers with an error, ConnectionClosedError when the session ends before it answers.
   */
  request(method: string, params: readonly unknown[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#request(method, params, { method, resolve, reject });
    });
  }

  /**
   * All of the operations, or none.
   * @returns the result of each operation.
   * @throws OvsdbError of the operation that failed, or of the commit; ConnectionClosedError: the outcome is unknown.
   */
  async transact(database: string, operations: readonly Operation[]): Promise<OperationResult[]> {
    const results = await this.request('transact', [database, ...operations]);
    if (!Array.isArray(results)) throw this.#violation(`transact answered with ${brief(results)}`);
    for (const [index, result] of results.entries()) {
      // Operations after the one that failed have null (RFC 7047 section 4.1.3); a failed commit adds a result of its own.
      if (isObject(result) && typeof result.error === 'string') {
        const details = typeof result.details === 'string' ? result.details : '';
        throw new OvsdbError(result.error, details, index < operations.length ? index : undefined);
      }
      if (!isObject(result)) throw this.#violation(`an operation answered with ${brief(result)}`);
    }
    if (results.length < operations.length)
      throw this.#violation('transact answered fewer operations than it was given');
    return results as OperationResult[];
  }

  /**
   * Watches columns of tables, with `monitor_cond` where the server has it. The listener is called with the first
   * contents before this resolves, and synchronously as messages arrive: nothing overtakes anything.
   * @param tables columns by table.
   */
  async monitor(database: string, tables: Record<string, string[]>, listener: UpdateListener): Promise<void> {
    const requests = Object.fromEntries(Object.entries(tables).map(([table, columns]) => [table, [{ columns }]]));
    try {
      await this.#monitor('monitor_cond', 'update2', database, requests, listener);
    } catch (error) {
      if (!(error instanceof OvsdbError) || error.error !== 'unknown method') throw error;
      const first = Object.fromEntries(Object.entries(tables).map(([table, columns]) => [table, { columns }]));
      await this.#monitor('monitor', 'update', database, first, listener);
    }
  }

  /** Asks for a sign of life. The session ends when none has come after `timeout` milliseconds. */
  probe(timeout: number): void {
    const asked = performance.now();
    if (this.isClosed || (this.#probeDeadline ?? Number.POSITIVE_INFINITY) <= asked + timeout) return;
    this.#probeDeadline = asked + timeout;
    // Anything received is a sign of life, so the answer itself is of no interest, nor is its absence at the end.
    this.request('echo', []).catch(() => {});
    clearTimeout(this.#probeTimer);
    this.#probeTimer = setTimeout(() => {
      this.#probeDeadline = undefined;
      if (this.#lastHeard < asked) this.close(`no answer to a probe for ${timeout} ms`);
      else this.#scheduleProbe(this.#probeInterval);
    }, timeout);
  }

  #monitor(
    method: string,
    version: MonitorVersion,
    database: string,
    requests: Record<string, unknown>,
    listener: UpdateListener,
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      const name = `${method}-${this.#lastId + 1}`;
      const monitor: Monitor = { listener, version, live: false };
      this.#monitors.set(name, monitor);
      this.#request(method, [database, name, requests], {
        method,
        resolve: (result) => {
          // In the read loop, not a microtask later: an update may stand in the same piece of the stream.
          if (!isObject(result)) throw new ProtocolError(`${method} answered with ${brief(result)}`);
          monitor.live = true;
          listener(result, version);
          resolve();
        },
        reject: (error) => {
          this.#monitors.delete(name);
          reject(error);
        },
      });
    });
  }

  #request(method: string, params: readonly unknown[], pending: Pending): void {
    if (this.#reason !== undefined) {
      pending.reject(new ConnectionClosedError(`${method}: ${this.#reason}`));
      return;
    }
    if (this.#pending.size >= this.#maxPending) {
      pending.reject(new Error(`${method}: ${this.#pending.size} requests wait for an answer already`));
      return;
    }
    const id = ++this.#lastId;
    this.#pending.set(id, pending);
    this.#send({ method, params, id });
  }

  #send(message: object): void {
    if (this.#reason !== undefined) return;
    this.#stream.write(JSON.stringify(message));
    // We go on reading when the server does not: ovsdb-server reads nothing while it has something left to send, so two
    // that both wait would wait for ever. Hence a bound instead of back-pressure.
    if (this.#stream.writableLength > this.#maxBytes) this.close('the peer does not read');
  }

  #read(chunk: Buffer): void {
    if (this.#reason !== undefined) return;
    this.#lastHeard = performance.now();
    try {
      this.#framer.push(chunk);
    } catch (error) {
      this.close(error instanceof Error ? error.message : String(error));
    }
  }

  #receive(text: string): void {
    // The rest of a piece of the stream whose beginning ended the session.
    if (this.#reason !== undefined) return;
    let message: unknown;
    try {
      message = JSON.parse(text);
    } catch (error) {
      throw new ProtocolError(`a message that is not JSON: ${brief(text)}`, { cause: error });
    }
    if (!isObject(message)) throw new ProtocolError(`${brief(message)} is no JSON-RPC message`);
    if (typeof message.method === 'string') this.#requested(message.method, message.params, message.id ?? null);
    else if ('id' in message && ('result' in message || 'error' in message)) this.#answered(message);
    else throw new ProtocolError(`${brief(message)} is no JSON-RPC message`);
  }

  #requested(method: string, params: unknown, id: unknown): void {
    if (!Array.isArray(params)) throw new ProtocolError(`${method} with ${brief(params)} for parameters`);
    if (id !== null) {
      if (method === 'echo') this.#send({ id, result: params, error: null });
      else this.#send({ id, result: null, error: 'unknown method' });
      return;
    }
    switch (method) {
      case 'update':
      case 'update2':
        this.#updated(method, params);
        break;
      case 'monitor_canceled':
        // The database is converted or gone: what we hold no longer means anything.
        this.close('the server cancelled the monitor');
        break;
      default:
      // Notifications of a later protocol (locked, stolen …) are for those who asked for them.
    }
  }

  #updated(version: MonitorVersion, params: unknown[]): void {
    const [name, tables] = params;
    const monitor = typeof name === 'string' ? this.#monitors.get(name) : undefined;
    if (!monitor?.live || monitor.version !== version)
      throw new ProtocolError(`${version} for ${brief(name)}, unknown here`);
    if (!isObject(tables)) throw new ProtocolError(`${version} with ${brief(tables)} for tables`);
    monitor.listener(tables, version);
  }

  #answered(message: Record<string, unknown>): void {
    const id = message.id;
    const pending = typeof id === 'number' ? this.#pending.get(id) : undefined;
    if (typeof id !== 'number' || !pending) throw new ProtocolError(`an answer to ${brief(id)}, which nobody asked`);
    const error = message.error ?? null;
    if (error === null) {
      // Stays pending until taken: a listener that throws here rejects it as the session ends.
      pending.resolve(message.result);
      this.#pending.delete(id);
      return;
    }
    this.#pending.delete(id);
    if (typeof error === 'string') pending.reject(new OvsdbError(error));
    else if (isObject(error) && typeof error.error === 'string') {
      pending.reject(new OvsdbError(error.error, typeof error.details === 'string' ? error.details : ''));
    } else pending.reject(new OvsdbError('error', brief(error)));
  }

  #gone(reason: string): void {
    if (this.#reason !== undefined) return;
    this.#endedByPeer = true;
    this.close(reason);
  }

  /** The server answered, but not with what was asked: ends the session. */
  #violation(message: string): ProtocolError {
    this.close(message);
    return new ProtocolError(message);
  }

  #scheduleProbe(delay: number): void {
    if (this.#reason !== undefined) return;
    this.#probeTimer = setTimeout(() => {
      const silent = performance.now() - this.#lastHeard;
      if (silent < this.#probeInterval) this.#scheduleProbe(this.#probeInterval - silent);
      else this.probe(this.#probeInterval);
    }, delay);
  }
}
