/** Flow descriptions and flow monitor updates, turned into records without being decoded. */

import { asBuffer, type ByteWriter, need } from './bytes.ts';
import { ProtocolError } from './errors.ts';
import { matchExtent } from './match.ts';
import { putRecordHeader, recordHeaderBytes } from './record.ts';

/** Counters of a flow; absent where the switch does not know. */
export type FlowStats = {
  /** Seconds since the flow was added, with fractions. */
  duration?: number;
  /** Seconds since its last packet, with fractions. */
  idle?: number;
  packets?: number;
  bytes?: number;
};

/** Counters of several flows. */
export type Aggregate = { flows: number; packets: number; bytes: number };

/** OXS statistics, OpenFlow 1.5.1 section 7.2.4: class OFPXSC_OPENFLOW_BASIC and OFPXST_OFB_*. */
const oxsClass = 0x8002;
const oxs = { duration: 0, idle: 1, flows: 3, packets: 4, bytes: 5 } as const;

type Counters = FlowStats & { flows?: number };

/** Reads an ofp_stats at `at`, not beyond `end`; returns its padded length. */
function readStats(bytes: Buffer, at: number, end: number, into: Counters): number {
  if (at + 4 > end) throw new ProtocolError(`statistics cut short at ${at}`);
  const unpadded = bytes.readUInt16BE(at + 2);
  const length = (unpadded + 7) & ~7;
  if (unpadded < 4 || at + length > end) throw new ProtocolError(`statistics of ${unpadded} bytes at ${at}`);
  const stop = at + unpadded;
  for (let next = at + 4; next < stop; ) {
    if (next + 4 > stop) throw new ProtocolError(`statistic cut short at ${next}`);
    const size = bytes[next + 3]!;
    const value = next + 4;
    if (value + size > stop) throw new ProtocolError(`statistic of ${size} bytes at ${next}`);
    if (((bytes[next]! << 8) | bytes[next + 1]!) === oxsClass)
      readStat(bytes, value, size, bytes[next + 2]! >> 1, into);
    next = value + size;
  }
  return length;
}

function readStat(bytes: Buffer, at: number, size: number, field: number, into: Counters): void {
  if (field === oxs.flows) {
    if (size === 4) into.flows = bytes.readUInt32BE(at);
    return;
  }
  if (size !== 8) return;
  const high = bytes.readUInt32BE(at);
  const low = bytes.readUInt32BE(at + 4);
  // Counters pass 2^53 after a hundred years at 100 Gbit/s.
  if (field === oxs.duration) into.duration = high + low / 1e9;
  else if (field === oxs.idle) into.idle = high + low / 1e9;
  else if (field === oxs.packets) into.packets = high * 0x100000000 + low;
  else if (field === oxs.bytes) into.bytes = high * 0x100000000 + low;
}

/** ofp_flow_desc before its match. OpenFlow 1.5.1 section 7.3.5.2. */
const descHead = 24;

/**
 * Reads the body of one part of an OFPMP_FLOW_DESC reply and appends each flow to `target` as a record; `onFlow` is told
 * where it lies there. The caller may look at it and set `target.length = offset` to forget it again. `stats` is one
 * object, filled anew for every flow: copy what is to be kept.
 */
export function parseFlowDescPart(
  body: Uint8Array,
  target: ByteWriter,
  onFlow: (offset: number, length: number, stats: FlowStats) => void,
): void {
  const bytes = asBuffer(body);
  const stats: FlowStats = {};
  for (let at = 0; at < bytes.length; ) {
    need(bytes, at, descHead, 'flow description');
    const entry = bytes.readUInt16BE(at);
    if (entry < descHead || at + entry > bytes.length) throw new ProtocolError(`flow description of ${entry} bytes`);
    const end = at + entry;
    const matchAt = at + descHead;
    const matchLength = matchWithin(bytes, matchAt, end);
    stats.duration = undefined;
    stats.idle = undefined;
    stats.packets = undefined;
    stats.bytes = undefined;
    const instructionsAt = matchAt + matchLength + readStats(bytes, matchAt + matchLength, end, stats);
    // Timeouts, flags and importance: 8 bytes that are zero in every flow of ours.
    const lifetime = bytes.readUInt32BE(at + 8) | bytes.readUInt32BE(at + 12);
    const offset = putRecord(target, bytes, {
      table: bytes[at + 4]!,
      priority: bytes.readUInt16BE(at + 6),
      lifetime,
      cookieAt: at + 16,
      matchAt,
      matchLength,
      instructionsAt,
      end,
    });
    onFlow(offset, target.length - offset, stats);
    at = end;
  }
}

function matchWithin(bytes: Buffer, at: number, end: number): number {
  const { length } = matchExtent(bytes, at);
  if (at + length > end) throw new ProtocolError(`match of ${length} bytes, ${end - at} there`);
  return length;
}

type Pieces = {
  table: number;
  priority: number;
  /** Not zero: not as we make flows. */
  lifetime: number;
  cookieAt: number;
  matchAt: number;
  matchLength: number;
  instructionsAt: number;
  end: number;
};

function putRecord(target: ByteWriter, bytes: Buffer, pieces: Pieces): number {
  const { cookieAt, matchAt, matchLength, instructionsAt, end } = pieces;
  const instructionsLength = end - instructionsAt;
  if (instructionsLength % 8 !== 0) throw new ProtocolError(`instructions of ${instructionsLength} bytes`);
  const length = recordHeaderBytes + matchLength + instructionsLength;
  const offset = target.reserve(recordHeaderBytes);
  putRecordHeader(
    target.buffer,
    offset,
    length,
    pieces.table,
    pieces.lifetime === 0 ? 0 : 1,
    pieces.priority,
    matchLength,
  );
  target.length -= 8;
  target.bytes(bytes, cookieAt, cookieAt + 8);
  target.bytes(bytes, matchAt, matchAt + matchLength);
  target.bytes(bytes, instructionsAt, end);
  return offset;
}

/** Reads the body of an OFPMP_AGGREGATE_STATS reply. */
export function parseAggregate(body: Uint8Array): Aggregate {
  const bytes = asBuffer(body);
  const counters: Counters = {};
  readStats(bytes, 0, bytes.length, counters);
  const { flows, packets, bytes: octets } = counters;
  if (flows === undefined) throw new ProtocolError('aggregate without a number of flows');
  return { flows, packets: packets ?? 0, bytes: octets ?? 0 };
}

export type FlowUpdate =
  | {
      event: 'initial' | 'added' | 'removed' | 'modified';
      /** OFPRR_* of a removed flow. */
      reason: number;
      /** The flow as a record in the writer that was given; without instructions where none came. */
      offset: number;
      length: number;
    }
  /** Our own change: the xid of the flow_mod that made it. */
  | { event: 'abbreviated'; xid: number }
  | { event: 'paused' | 'resumed' };

/** OFPFME_*, OpenFlow 1.5.1 section 7.3.5.19. */
const fullEvents = ['initial', 'added', 'removed', 'modified'] as const;
const abbreviated = 4;
const paused = 5;
const resumed = 6;
/** ofp_flow_update_full before its match. */
const updateHead = 24;

/** Reads the body of an OFPMP_FLOW_MONITOR reply; flows are appended to `target` as records. */
export function parseFlowUpdates(body: Uint8Array, target: ByteWriter): FlowUpdate[] {
  const bytes = asBuffer(body);
  const updates: FlowUpdate[] = [];
  for (let at = 0; at < bytes.length; ) {
    need(bytes, at, 8, 'flow update');
    const entry = bytes.readUInt16BE(at);
    if (entry < 8 || entry % 8 !== 0 || at + entry > bytes.length) {
      throw new ProtocolError(`flow update of ${entry} bytes`);
    }
    updates.push(readUpdate(bytes, at, entry, target));
    at += entry;
  }
  return updates;
}

function readUpdate(bytes: Buffer, at: number, entry: number, target: ByteWriter): FlowUpdate {
  const event = bytes.readUInt16BE(at + 2);
  if (event === abbreviated) return { event: 'abbreviated', xid: bytes.readUInt32BE(at + 4) };
  if (event === paused) return { event: 'paused' };
  if (event === resumed) return { event: 'resumed' };
  const name = fullEvents[event];
  if (name === undefined) throw new ProtocolError(`flow update event ${event}`);
  if (entry < updateHead) throw new ProtocolError(`flow update of ${entry} bytes`);
  const matchAt = at + updateHead;
  const end = at + entry;
  const matchLength = matchWithin(bytes, matchAt, end);
  const offset = putRecord(target, bytes, {
    table: bytes[at + 4]!,
    priority: bytes.readUInt16BE(at + 10),
    lifetime: bytes.readUInt32BE(at + 6),
    cookieAt: at + 16,
    matchAt,
    matchLength,
    instructionsAt: matchAt + matchLength,
    end,
  });
  return { event: name, reason: bytes[at + 5]!, offset, length: target.length - offset };
}
