/** OFPT_FLOW_MOD, alone and inside bundles, built from records (see record.ts). OpenFlow 1.5.1 section 7.3.4.2. */

import type { Match } from '../../../src/pipeline/flow.ts';
import { ByteWriter } from './bytes.ts';
import { messageType, openflowVersion } from './frame.ts';
import { encodeMatch } from './match.ts';
import { maxRecordBytes, recordHeaderBytes } from './record.ts';

/**
 * `add` replaces a flow of the same table, match and priority, keeps its counters and takes the new cookie.
 * `modifyStrict` changes instructions only: in OpenFlow 1.1 and later it never changes the cookie.
 */
export type FlowCommand = 'add' | 'modifyStrict' | 'deleteStrict';

/** OFPFC_*. */
const commandCode: Record<FlowCommand, number> = { add: 0, modifyStrict: 2, deleteStrict: 4 };

/** ofp_header and the fixed part of ofp_flow_mod. */
const flowModBytes = 8 + 40;
/** ofp_header and ofp_bundle_add_msg without the message. */
const bundleAddBytes = 8 + 8;

function putHeader(buffer: Buffer, at: number, type: number, length: number, xid: number): void {
  buffer[at] = openflowVersion;
  buffer[at + 1] = type;
  buffer[at + 2] = length >>> 8;
  buffer[at + 3] = length;
  buffer[at + 4] = xid >>> 24;
  buffer[at + 5] = xid >>> 16;
  buffer[at + 6] = xid >>> 8;
  buffer[at + 7] = xid;
}

function putFlowMod(
  buffer: Buffer,
  at: number,
  xid: number,
  record: Uint8Array,
  offset: number,
  payload: number,
  command: number,
): void {
  putHeader(buffer, at, messageType.flowMod, flowModBytes + payload, xid);
  // A strict delete must not depend on the cookie; OFPFC_DELETE_STRICT looks at it only under a mask, which is zero.
  for (let i = 0; i < 8; i++) {
    buffer[at + 8 + i] = record[offset + 8 + i]!;
    buffer[at + 16 + i] = 0;
  }
  buffer[at + 24] = record[offset + 2]!;
  buffer[at + 25] = command;
  // idle_timeout, hard_timeout: 0, never.
  buffer[at + 26] = 0;
  buffer[at + 27] = 0;
  buffer[at + 28] = 0;
  buffer[at + 29] = 0;
  buffer[at + 30] = record[offset + 4]!;
  buffer[at + 31] = record[offset + 5]!;
  // OFP_NO_BUFFER, OFPP_ANY, OFPG_ANY.
  for (let i = 32; i < 44; i++) buffer[at + i] = 0xff;
  // flags, importance.
  buffer[at + 44] = 0;
  buffer[at + 45] = 0;
  buffer[at + 46] = 0;
  buffer[at + 47] = 0;
  copy(record, offset + recordHeaderBytes, buffer, at + flowModBytes, payload);
}

function copy(source: Uint8Array, from: number, target: Buffer, at: number, count: number): void {
  if (count > 160) {
    target.set(source.subarray(from, from + count), at);
    return;
  }
  for (let i = 0; i < count; i++) target[at + i] = source[from + i]!;
}

/** Bytes after a record's header that the command sends: a delete has no instructions. */
function payloadBytes(record: Uint8Array, offset: number, command: FlowCommand): number {
  const length = (record[offset]! << 8) | record[offset + 1]!;
  if (length < recordHeaderBytes || offset + length > record.length) {
    throw new Error(`no record at ${offset}: length ${length} of ${record.length - offset} bytes`);
  }
  if (length > maxRecordBytes) throw new Error(`a flow of ${length} bytes does not fit a flow_mod`);
  return command === 'deleteStrict' ? (record[offset + 6]! << 8) | record[offset + 7]! : length - recordHeaderBytes;
}

/** Appends one flow_mod for the record at `offset`; returns the bytes it took. */
export function flowMod(
  target: ByteWriter,
  xid: number,
  record: Uint8Array,
  offset: number,
  command: FlowCommand,
): number {
  const payload = payloadBytes(record, offset, command);
  const at = target.reserve(flowModBytes + payload);
  putFlowMod(target.buffer, at, xid, record, offset, payload, commandCode[command]);
  return flowModBytes + payload;
}

/**
 * Appends one OFPT_BUNDLE_ADD_MESSAGE with a flow_mod of the same xid, as Open vSwitch demands; returns the bytes it
 * took. Flags are ATOMIC and ORDERED, which the bundle's other messages must say as well.
 */
export function bundleAddFlow(
  target: ByteWriter,
  xid: number,
  bundleId: number,
  record: Uint8Array,
  offset: number,
  command: FlowCommand,
): number {
  const payload = payloadBytes(record, offset, command);
  const length = bundleAddBytes + flowModBytes + payload;
  const at = target.reserve(length);
  const buffer = target.buffer;
  putHeader(buffer, at, messageType.bundleAddMessage, length, xid);
  buffer[at + 8] = bundleId >>> 24;
  buffer[at + 9] = bundleId >>> 16;
  buffer[at + 10] = bundleId >>> 8;
  buffer[at + 11] = bundleId;
  buffer[at + 12] = 0;
  buffer[at + 13] = 0;
  buffer[at + 14] = 0;
  buffer[at + 15] = 3;
  putFlowMod(buffer, at + bundleAddBytes, xid, record, offset, payload, commandCode[command]);
  return length;
}

export type FlowDelete = { table?: number; match?: Match; cookie?: bigint; cookieMask?: bigint };

/** OFPFC_DELETE, loose: every flow of the table (or of all) at least as narrow as the match, cookie permitting. */
export function flowDelete(xid: number, which: FlowDelete = {}): Buffer {
  const writer = new ByteWriter(128);
  writer.reserve(8);
  writer.u64(which.cookie ?? 0n);
  writer.u64(which.cookieMask ?? (which.cookie === undefined ? 0n : 0xffffffffffffffffn));
  writer.u8(which.table ?? 0xff);
  writer.u8(3);
  writer.zeros(6);
  writer.u32(0xffffffff);
  writer.u32(0xffffffff);
  writer.u32(0xffffffff);
  writer.zeros(4);
  encodeMatch(writer, which.match ?? {});
  putHeader(writer.buffer, 0, messageType.flowMod, writer.length, xid);
  return writer.view();
}
