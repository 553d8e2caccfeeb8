/**
 * The switch's side of an OpenFlow 1.5 session: what Keyway asks of Open vSwitch 3.1, answered from a flow table that is
 * really kept. Whatever else comes is answered with an error, so that it does not go unseen.
 */
import type { Socket } from 'node:net';
import { ByteWriter } from '../../plugins/openvswitch/openflow/bytes.ts';
import { Framer, type Message, messageType, openflowVersion } from '../../plugins/openvswitch/openflow/frame.ts';
import { matchExtent } from '../../plugins/openvswitch/openflow/match.ts';
import { anyPort, bundleType, hello, multipartType } from '../../plugins/openvswitch/openflow/messages.ts';
import {
  putRecordHeader,
  recordHeaderBytes,
  recordLength,
  recordMatchLength,
} from '../../plugins/openvswitch/openflow/record.ts';
import type { FlowTable } from './flow-table.ts';

/** What outlasts a session. */
export type SwitchState = {
  datapathId: bigint;
  flows: FlowTable;
  /** ofp_meter_config by meter. */
  meters: Map<number, Buffer>;
  counters: { bundles: number; flowMods: number; refused: number };
  /** OpenFlow ports there are. */
  ports(): Iterable<number>;
};

/** A flow change that waits in a bundle: a record in `records`. */
type Pending = { at: number; remove: boolean; xid: number };
type Bundle = { records: ByteWriter; changes: Pending[] };

/** OpenFlow error type and code. */
type Refusal = readonly [type: number, code: number];

/** OFPFC_*. */
const flowCommand = { add: 0, deleteStrict: 4 } as const;
/** OFPET_BAD_REQUEST with OFPBRC_BAD_TYPE; OFPET_BUNDLE_FAILED with _MSG_BAD_XID, _MSG_UNSUP and _BAD_ID. */
const badType: Refusal = [1, 1];
const badXid: Refusal = [17, 9];
const unsupported: Refusal = [17, 10];
const badBundle: Refusal = [17, 2];

/** OFPC_FLOW_STATS, _TABLE_STATS, _PORT_STATS, _GROUP_STATS, _QUEUE_STATS, _BUNDLES, _FLOW_MONITORING. */
const capabilities = 0x4f | (1 << 9) | (1 << 10);

/** Most bytes of one part of a multipart reply. */
const partBytes = 60_000;

export class OpenflowSession {
  readonly #socket: Socket;
  readonly #state: SwitchState;
  readonly #bundles = new Map<number, Bundle>();
  /** Somebody asked to be told of changes, ours abbreviated. */
  #watched = false;

  constructor(socket: Socket, state: SwitchState) {
    this.#socket = socket;
    this.#state = state;
    const framer = new Framer();
    socket.on('data', (chunk: Buffer) => {
      // What one read brought is answered with one write, as a switch does whose poll loop found it.
      socket.cork();
      for (const message of framer.push(chunk)) this.#receive(message);
      socket.uncork();
    });
    socket.write(hello(1));
  }

  #receive(message: Message): void {
    const refusal = this.#carryOut(message);
    if (refusal === undefined) return;
    this.#state.counters.refused++;
    this.#send(messageType.error, message.xid, (w) => {
      w.u16(refusal[0]);
      w.u16(refusal[1]);
    });
  }

  /** @returns the error it is answered with */
  #carryOut({ type, xid, body }: Message): Refusal | undefined {
    switch (type) {
      case messageType.hello:
      case messageType.echoReply:
      case messageType.setConfig:
      case messageType.setAsync:
      // Conntrack of a zone is to be flushed: there is none.
      case messageType.experimenter:
        return undefined;
      case messageType.echoRequest:
        this.#send(messageType.echoReply, xid, (w) => w.bytes(body));
        return undefined;
      case messageType.featuresRequest:
        this.#features(xid);
        return undefined;
      case messageType.barrierRequest:
        this.#send(messageType.barrierReply, xid);
        return undefined;
      case messageType.meterMod:
        this.#meterMod(body);
        return undefined;
      case messageType.multipartRequest:
        return this.#multipart(xid, body);
      case messageType.bundleControl:
        return this.#bundleControl(xid, body);
      case messageType.bundleAddMessage:
        return this.#bundleAdd(xid, body);
      default:
        return badType;
    }
  }

  #features(xid: number): void {
    this.#send(messageType.featuresReply, xid, (w) => {
      w.u64(this.#state.datapathId);
      w.u32(0);
      w.u8(254);
      w.zeros(3);
      w.u32(capabilities);
      w.u32(0);
    });
  }

  #multipart(xid: number, body: Buffer): Refusal | undefined {
    const type = body.readUInt16BE(0);
    if (type === multipartType.flowDesc) this.#describeFlows(xid, body);
    else if (type === multipartType.portStats) this.#countPorts(xid, body.readUInt32BE(8));
    else if (type === multipartType.portDesc) this.#part(xid, type, false, (w) => w.zeros(0));
    else if (type === multipartType.groupDesc) this.#part(xid, type, false, (w) => w.zeros(0));
    else if (type === multipartType.meterConfig)
      this.#part(xid, type, false, (w) => {
        for (const meter of this.#state.meters.values()) w.bytes(meter);
      });
    else if (type === multipartType.flowMonitor) this.#watched = true;
    else return badType;
    return undefined;
  }

  /** ofp_port_stats (section 7.3.5.7): nothing has passed. */
  #countPorts(xid: number, asked: number): void {
    this.#part(xid, multipartType.portStats, false, (w) => {
      for (const port of new Set(this.#state.ports())) {
        if (asked !== anyPort && asked !== port) continue;
        w.u16(80);
        w.zeros(2);
        w.u32(port);
        w.zeros(72);
      }
    });
  }

  /** Narrowed by cookie alone, of what ofp_flow_stats_request can. */
  #describeFlows(xid: number, request: Buffer): void {
    const cookie = request.readBigUInt64BE(24);
    const mask = request.readBigUInt64BE(32);
    const writer = new ByteWriter(1 << 16);
    const flush = (more: boolean): void => {
      this.#part(xid, multipartType.flowDesc, more, (w) => w.bytes(writer.view()));
      writer.clear();
    };
    this.#state.flows.forEach((bytes, at) => {
      if (mask !== 0n && (bytes.readBigUInt64BE(at + 8) & mask) !== (cookie & mask)) return;
      describeFlow(writer, bytes, at);
      if (writer.length > partBytes) flush(true);
    });
    flush(false);
  }

  /** ofp_meter_mod and ofp_meter_config differ in their head only. */
  #meterMod(body: Buffer): void {
    const meter = body.readUInt32BE(4);
    if (body.readUInt16BE(0) === 2) {
      this.#state.meters.delete(meter);
      return;
    }
    const config = Buffer.from(body);
    config.writeUInt16BE(config.length, 0);
    this.#state.meters.set(meter, config);
  }

  #bundleControl(xid: number, body: Buffer): Refusal | undefined {
    const id = body.readUInt32BE(0);
    const type = body.readUInt16BE(4);
    if (type === bundleType.open) {
      this.#bundles.set(id, { records: new ByteWriter(1 << 10), changes: [] });
    } else {
      const bundle = this.#bundles.get(id);
      if (bundle === undefined) return badBundle;
      this.#bundles.delete(id);
      if (type === bundleType.commit) this.#commit(bundle);
    }
    this.#send(messageType.bundleControl, xid, (w) => {
      w.u32(id);
      w.u16(type + 1);
      w.u16(body.readUInt16BE(6));
    });
    return undefined;
  }

  #bundleAdd(xid: number, body: Buffer): Refusal | undefined {
    const bundle = this.#bundles.get(body.readUInt32BE(0));
    if (bundle === undefined) return badBundle;
    const inner = body.subarray(8);
    if (inner.readUInt32BE(4) !== xid) return badXid;
    if (inner[1] !== messageType.flowMod) return unsupported;
    const command = inner[25];
    if (command !== flowCommand.add && command !== flowCommand.deleteStrict) return unsupported;
    const at = bundle.records.length;
    putRecord(bundle.records, inner);
    bundle.changes.push({ at, remove: command === flowCommand.deleteStrict, xid });
    return undefined;
  }

  #commit({ records, changes }: Bundle): void {
    const { flows, counters } = this.#state;
    const bytes = records.view();
    for (const { at, remove } of changes) {
      if (remove) flows.delete(bytes, at);
      else flows.add(bytes, at);
    }
    counters.bundles++;
    counters.flowMods += changes.length;
    if (this.#watched) this.#tellAbbreviated(changes);
  }

  /** OFPFME_ABBREV for each change: who made it knows what it was. */
  #tellAbbreviated(changes: readonly Pending[]): void {
    const atOnce = 7_000;
    for (let first = 0; first < changes.length; first += atOnce) {
      this.#part(0, multipartType.flowMonitor, false, (w) => {
        for (const { xid } of changes.slice(first, first + atOnce)) {
          w.u16(8);
          w.u16(4);
          w.u32(xid);
        }
      });
    }
  }

  #part(xid: number, type: number, more: boolean, body: (writer: ByteWriter) => void): void {
    this.#send(messageType.multipartReply, xid, (w) => {
      w.u16(type);
      w.u16(more ? 1 : 0);
      w.zeros(4);
      body(w);
    });
  }

  #send(type: number, xid: number, body?: (writer: ByteWriter) => void): void {
    const writer = new ByteWriter(64);
    writer.u8(openflowVersion);
    writer.u8(type);
    writer.u16(0);
    writer.u32(xid);
    body?.(writer);
    writer.setU16(2, writer.length);
    this.#socket.write(writer.view());
  }
}

/** A flow_mod (OpenFlow 1.5.1 section 7.3.4.2) as a record. A delete has no instructions. */
function putRecord(target: ByteWriter, flowMod: Buffer): void {
  const matchAt = 48;
  const { length: matchLength } = matchExtent(flowMod, matchAt);
  const length = recordHeaderBytes + flowMod.length - matchAt;
  const offset = target.reserve(length);
  const { buffer } = target;
  putRecordHeader(buffer, offset, length, flowMod[24]!, 0, flowMod.readUInt16BE(30), matchLength);
  flowMod.copy(buffer, offset + 8, 8, 16);
  flowMod.copy(buffer, offset + recordHeaderBytes, matchAt);
}

/** ofp_flow_desc (section 7.3.5.2) with counters of nothing having passed. */
function describeFlow(target: ByteWriter, record: Buffer, at: number): void {
  const length = recordLength(record, at);
  const matchLength = recordMatchLength(record, at);
  const start = target.length;
  target.u16(0);
  target.zeros(2);
  target.u8(record[at + 2]!);
  target.u8(0);
  target.u16((record[at + 4]! << 8) | record[at + 5]!);
  target.zeros(8);
  target.bytes(record, at + 8, at + 16);
  const matchAt = at + recordHeaderBytes;
  target.bytes(record, matchAt, matchAt + matchLength);
  // ofp_stats with packets and bytes, both 0.
  target.u16(0);
  target.u16(28);
  for (const field of [4, 5]) {
    target.u16(0x8002);
    target.u8(field << 1);
    target.u8(8);
    target.zeros(8);
  }
  target.zeros(4);
  target.bytes(record, matchAt + matchLength, at + length);
  target.setU16(start, target.length - start);
}
