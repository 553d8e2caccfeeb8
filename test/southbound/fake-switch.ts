/**
 * A switch made for tests: it speaks OpenFlow 1.5 over TCP with code of its own, keeps a flow table, and fails wherever
 * it is told to. Layouts are those of OpenFlow 1.5.1.
 */
import { connect, type Socket } from 'node:net';
import { recordHeaderBytes, recordMatchLength } from '../../plugins/openvswitch/openflow/record.ts';

export const OFPT = {
  hello: 0,
  error: 1,
  echoRequest: 2,
  echoReply: 3,
  featuresRequest: 5,
  featuresReply: 6,
  flowMod: 14,
  groupMod: 15,
  multipartRequest: 18,
  multipartReply: 19,
  barrierRequest: 20,
  barrierReply: 21,
  setAsync: 28,
  meterMod: 29,
  bundleControl: 33,
  bundleAdd: 34,
} as const;

export type Entry = {
  table: number;
  priority: number;
  cookie: bigint;
  match: Buffer;
  instructions: Buffer;
  /** Seconds. */
  idleTimeout?: number;
};

export type Received = { type: number; xid: number; body: Buffer };

type Modification = { xid: number; command: number; key: string; entry: Entry; group: number | undefined };

/** What to answer with instead of doing it: OpenFlow error type and code. */
export type Fault = [type: number, code: number];

export type FakeSwitchOptions = {
  port: number;
  datapathId: bigint;
  /** Sees every message first; true: it has dealt with it. */
  intercept?(message: Received, fake: FakeSwitch): boolean;
  /** Refuses a meter, by its id, when it is added or modified. */
  refuseMeter?(meter: number): Fault | undefined;
  /** Refuses a flow when it is added to a bundle. */
  refuseAdd?(entry: Entry): Fault | undefined;
  /** Refuses a flow when the bundle is committed. */
  refuseCommit?(entry: Entry): Fault | undefined;
};

export class FakeSwitch {
  readonly options: FakeSwitchOptions;
  readonly flows = new Map<string, Entry>();
  readonly groups = new Set<number>();
  readonly meters = new Map<number, Buffer>();
  /** Message types in the order they came. */
  readonly log: number[] = [];
  flowMods = 0;
  commits = 0;
  /** Resolves when the connection has ended. */
  closed: Promise<void> = Promise.resolve();
  #socket: Socket | undefined;
  #buffer = Buffer.alloc(0);
  #bundles = new Map<number, Modification[]>();
  #held: Received[] | undefined;

  constructor(options: FakeSwitchOptions) {
    this.options = options;
  }

  /** Connects and says HELLO. */
  async connect(hello: Buffer = message(OFPT.hello, 1, Buffer.from([0, 1, 0, 8, 0, 0, 0, 1 << 6]))): Promise<this> {
    const socket = connect({ port: this.options.port, host: '127.0.0.1' });
    this.#socket = socket;
    socket.setNoDelay(true);
    this.#held = undefined;
    this.#buffer = Buffer.alloc(0);
    this.#bundles = new Map();
    socket.on('error', () => {
      // The other side may reset what it refuses; `closed` tells.
    });
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()));
    await new Promise<void>((resolve) => socket.once('connect', () => resolve()));
    socket.on('data', (chunk) => this.#receive(chunk));
    socket.write(hello);
    return this;
  }

  get socket(): Socket {
    return this.#socket!;
  }

  send(bytes: Uint8Array): void {
    this.socket.write(bytes);
  }

  error(xid: number, [type, code]: Fault): void {
    const body = Buffer.alloc(4);
    body.writeUInt16BE(type, 0);
    body.writeUInt16BE(code, 2);
    this.send(message(OFPT.error, xid, body));
  }

  /** From here on messages wait, the given one first. */
  hold(first: Received): void {
    this.#held = [{ ...first, body: Buffer.from(first.body) }];
  }

  resume(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const received of held) this.handle(received);
  }

  drop(): void {
    this.socket.destroy();
  }

  /** As somebody else would, without telling (this switch's flow monitor is silent). */
  add(entry: Entry): void {
    this.flows.set(keyOf(entry), entry);
  }

  #receive(chunk: Buffer): void {
    this.#buffer = Buffer.concat([this.#buffer, chunk]);
    while (this.#buffer.length >= 8) {
      const length = this.#buffer.readUInt16BE(2);
      if (this.#buffer.length < length) return;
      const type = this.#buffer[1]!;
      const received = { type, xid: this.#buffer.readUInt32BE(4), body: this.#buffer.subarray(8, length) };
      this.#buffer = this.#buffer.subarray(length);
      this.log.push(type);
      if (this.#held !== undefined) this.#held.push(received);
      else if (this.options.intercept?.(received, this) !== true) this.handle(received);
      if (this.socket.destroyed) return;
    }
  }

  handle({ type, xid, body }: Received): void {
    if (type === OFPT.echoRequest) this.send(message(OFPT.echoReply, xid, body));
    else if (type === OFPT.featuresRequest) this.#features(xid);
    else if (type === OFPT.barrierRequest) this.send(message(OFPT.barrierReply, xid));
    else if (type === OFPT.multipartRequest) this.#multipart(xid, body);
    else if (type === OFPT.meterMod) this.#meter(xid, body);
    else if (type === OFPT.bundleAdd) this.#bundleAdd(xid, body);
    else if (type === OFPT.bundleControl) this.bundleControl(xid, body);
  }

  #features(xid: number): void {
    const body = Buffer.alloc(24);
    body.writeBigUInt64BE(this.options.datapathId, 0);
    body[12] = 254;
    body.writeUInt32BE(0x04f | (1 << 9) | (1 << 10), 16);
    this.send(message(OFPT.featuresReply, xid, body));
  }

  #multipart(xid: number, body: Buffer): void {
    const type = body.readUInt16BE(0);
    if (type === 1) {
      for (const part of parts([...this.flows.values()].map(flowDesc))) this.send(multipart(xid, type, part, true));
      this.send(multipart(xid, type, Buffer.alloc(0), false));
    } else if (type === 7) {
      this.send(multipart(xid, type, Buffer.concat([...this.groups].map(groupDesc)), false));
    } else if (type === 10) {
      this.send(multipart(xid, type, Buffer.concat([...this.meters.values()]), false));
    } else if (type === 13) {
      // It has no ports.
      this.send(multipart(xid, type, Buffer.alloc(0), false));
    }
  }

  /** ofp_meter_mod and ofp_meter_config differ in their head only. */
  #meter(xid: number, body: Buffer): void {
    const meter = body.readUInt32BE(4);
    const fault = body.readUInt16BE(0) === 2 ? undefined : this.options.refuseMeter?.(meter);
    if (fault !== undefined) {
      this.error(xid, fault);
      return;
    }
    if (body.readUInt16BE(0) === 2) {
      this.meters.delete(meter);
      return;
    }
    const config = Buffer.from(body);
    config.writeUInt16BE(config.length, 0);
    config.copy(config, 2, 2, 4);
    this.meters.set(meter, config);
  }

  #bundleAdd(xid: number, body: Buffer): void {
    const inner = body.subarray(8);
    const bundle = this.#bundles.get(body.readUInt32BE(0));
    if (bundle === undefined) {
      this.error(xid, [17, 2]);
      return;
    }
    if (inner.readUInt32BE(4) !== xid) {
      this.error(xid, [17, 9]);
      return;
    }
    this.flowMods++;
    const modification = parseModification(inner, xid);
    const fault = modification.command === 0 ? this.options.refuseAdd?.(modification.entry) : undefined;
    if (fault === undefined) bundle.push(modification);
    else this.error(xid, fault);
  }

  bundleControl(xid: number, body: Buffer): void {
    const id = body.readUInt32BE(0);
    const type = body.readUInt16BE(4);
    if (type === 0) this.#bundles.set(id, []);
    if (type === 4) {
      const fault = this.commit(id);
      if (fault !== undefined) {
        this.error(fault.xid, fault.fault);
        this.error(xid, [17, 13]);
        return;
      }
    }
    if (type === 6) this.#bundles.delete(id);
    const reply = Buffer.from(body);
    reply.writeUInt16BE(type + 1, 4);
    this.send(message(OFPT.bundleControl, xid, reply));
  }

  /** Applies a bundle, all of it or nothing. */
  commit(id: number): { xid: number; fault: Fault } | undefined {
    const bundle = this.#bundles.get(id) ?? [];
    this.#bundles.delete(id);
    for (const { command, entry, xid } of bundle) {
      const fault = command === 0 ? this.options.refuseCommit?.(entry) : undefined;
      if (fault !== undefined) return { xid, fault };
    }
    this.commits++;
    for (const { command, key, entry, group } of bundle) {
      if (group !== undefined) this.groups.delete(group);
      else if (command === 0) this.flows.set(key, entry);
      else if (command === 4) this.flows.delete(key);
      else throw new Error(`flow_mod command ${command}`);
    }
    return undefined;
  }

  /** As `contents` of what the plugin was given. */
  contents(): string[] {
    return [...this.flows.values()].map(lineOf).sort();
  }
}

/** Comparable lines, one for each record of what the plugin's `encode` made. */
export function contents(records: Uint8Array): string[] {
  const bytes = Buffer.from(records);
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += bytes.readUInt16BE(at)) lines.push(lineOf(entryOf(bytes, at)));
  return lines.sort();
}

/** The entry a record stands for. */
export function entryOf(records: Uint8Array, at = 0): Entry {
  const bytes = Buffer.from(records);
  const matchEnd = at + recordHeaderBytes + recordMatchLength(bytes, at);
  return {
    table: bytes[at + 2]!,
    priority: bytes.readUInt16BE(at + 4),
    cookie: bytes.readBigUInt64BE(at + 8),
    match: bytes.subarray(at + recordHeaderBytes, matchEnd),
    instructions: bytes.subarray(matchEnd, at + bytes.readUInt16BE(at)),
  };
}

function keyOf({ table, priority, match }: Entry): string {
  return `${table} ${priority} ${match.toString('hex')}`;
}

function lineOf(entry: Entry): string {
  return `${keyOf(entry)} ${entry.cookie.toString(16)} ${entry.instructions.toString('hex')}`;
}

export function message(type: number, xid: number, body: Uint8Array = Buffer.alloc(0), version = 6): Buffer {
  const head = Buffer.alloc(8);
  head[0] = version;
  head[1] = type;
  head.writeUInt16BE(8 + body.length, 2);
  head.writeUInt32BE(xid, 4);
  return Buffer.concat([head, body]);
}

function multipart(xid: number, type: number, part: Buffer, more: boolean): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt16BE(type, 0);
  head.writeUInt16BE(more ? 1 : 0, 2);
  return message(OFPT.multipartReply, xid, Buffer.concat([head, part]));
}

function parts(entries: Buffer[]): Buffer[] {
  const all: Buffer[] = [];
  for (let at = 0; at < entries.length; at += 100) all.push(Buffer.concat(entries.slice(at, at + 100)));
  return all;
}

function flowDesc({ table, priority, cookie, match, instructions, idleTimeout = 0 }: Entry): Buffer {
  const head = Buffer.alloc(24);
  head.writeUInt16BE(24 + match.length + 8 + instructions.length, 0);
  head[4] = table;
  head.writeUInt16BE(priority, 6);
  head.writeUInt16BE(idleTimeout, 8);
  head.writeBigUInt64BE(cookie, 16);
  const stats = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0]);
  return Buffer.concat([head, match, stats, instructions]);
}

/** ofp_group_desc without buckets: length, type, bucket array length, id, reserved. */
function groupDesc(group: number): Buffer {
  const body = Buffer.alloc(16);
  body.writeUInt16BE(16, 0);
  body.writeUInt32BE(group, 4);
  return body;
}

function parseModification(inner: Buffer, xid: number): Modification {
  if (inner[1] === OFPT.groupMod) {
    const entry = { table: 0, priority: 0, cookie: 0n, match: Buffer.alloc(0), instructions: Buffer.alloc(0) };
    return { xid, command: 2, key: '', entry, group: inner.readUInt32BE(12) };
  }
  const matchLength = (inner.readUInt16BE(50) + 7) & ~7;
  const entry = {
    cookie: inner.readBigUInt64BE(8),
    table: inner[24]!,
    priority: inner.readUInt16BE(30),
    match: Buffer.from(inner.subarray(48, 48 + matchLength)),
    instructions: Buffer.from(inner.subarray(48 + matchLength)),
  };
  return { xid, command: inner[25]!, key: keyOf(entry), entry, group: undefined };
}
