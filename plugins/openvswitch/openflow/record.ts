/**
 * The canonical kept form of a flow. Big-endian, a multiple of 8 bytes long:
 *   u16 length (this header included), u8 table, u8 lifetime, u16 priority, u16 match length (padded), u64 cookie,
 *   ofp_match with its padding, instructions.
 * Lifetime is 0 in every flow of ours, and 1 in one a switch reports with a timeout, flags or importance, which we never
 * give: so it differs from ours in the comparison, and a re-add mends it.
 * Match and instructions are the bytes that Open vSwitch sends back in a flow description.
 */

import type { Flow } from '../../../src/pipeline/flow.ts';
import { asBuffer, ByteWriter } from './bytes.ts';
import { ProtocolError } from './errors.ts';
import { decodeInstructions, encodeInstructions, highestTable } from './instructions.ts';
import { decodeMatch, encodeMatch } from './match.ts';
import { whole } from './nicira.ts';
import { PacketKind } from './prerequisites.ts';

export const recordHeaderBytes = 16;

/** Table of records that are meters, see meter-record.ts. OFPTT_ALL: no flow has it. */
export const meterTable = 0xff;

/** Longest record that still fits a flow_mod inside a bundle's message, bytes. */
export const maxRecordBytes = 65_480;

// Encoding is synchronous, so that one scratch does for all of it.
const scratch = new ByteWriter(1 << 16);
const kind = new PacketKind();

const mostCookie = 0xffffffffffffffffn;

/**
 * Encodes flows as records one after the other, in memory of its own (fit for a transfer). Throws an Error that names
 * the flow when Open vSwitch would refuse it whatever the state of the switch.
 * @param more appends further records
 */
export function encodeFlows(flows: readonly Flow[], more?: (target: ByteWriter) => void): Uint8Array {
  scratch.clear();
  for (const flow of flows) encodeFlow(scratch, flow);
  more?.(scratch);
  const bytes = Buffer.allocUnsafeSlow(scratch.length);
  scratch.buffer.copy(bytes, 0, 0, scratch.length);
  return bytes;
}

/** Appends one record; returns the bytes it took. On an Error `target` is as it was. */
export function encodeFlow(target: ByteWriter, flow: Flow): number {
  const start = target.length;
  try {
    const { table } = flow;
    whole(table, 0, highestTable, 'table');
    whole(flow.priority, 0, 0xffff, 'priority');
    if (flow.goto !== undefined && flow.goto <= table) throw new Error(`goto ${flow.goto} is not a higher table`);
    const { cookie } = flow;
    if (cookie < 0n || cookie > mostCookie) throw new Error(`cookie ${cookie} is not of 64 bits`);
    target.reserve(8);
    target.u64(cookie);
    const matchLength = encodeMatch(target, flow.match, kind);
    encodeInstructions(target, flow.actions, flow.goto, kind);
    const length = target.length - start;
    if (length > maxRecordBytes) throw new Error(`${length} bytes do not fit an OpenFlow message`);
    putRecordHeader(target.buffer, start, length, table, 0, flow.priority, matchLength);
    return length;
  } catch (error) {
    target.length = start;
    const what = error instanceof Error ? error.message : String(error);
    throw new Error(`flow (table ${flow.table}, priority ${flow.priority}): ${what}`, { cause: error });
  }
}

/** Writes a record's header but for the cookie. */
export function putRecordHeader(
  buffer: Buffer,
  at: number,
  length: number,
  table: number,
  lifetime: number,
  priority: number,
  matchLength: number,
): void {
  buffer[at] = length >>> 8;
  buffer[at + 1] = length;
  buffer[at + 2] = table;
  buffer[at + 3] = lifetime;
  buffer[at + 4] = priority >>> 8;
  buffer[at + 5] = priority;
  buffer[at + 6] = matchLength >>> 8;
  buffer[at + 7] = matchLength;
}

/** Decodes records one after the other, meters left out. Throws ProtocolError; VocabularyError where a flow is not of our vocabulary. */
export function decodeFlows(source: Uint8Array): Flow[] {
  const bytes = asBuffer(source);
  const flows: Flow[] = [];
  forEachRecord(bytes, (offset) => {
    if (recordTable(bytes, offset) !== meterTable) flows.push(decodeFlow(bytes, offset));
  });
  return flows;
}

/** Decodes the record at `offset`. Throws as decodeFlows does. */
export function decodeFlow(source: Uint8Array, offset: number): Flow {
  const bytes = asBuffer(source);
  const end = offset + checkedLength(bytes, offset);
  const { match, length } = decodeMatch(bytes.subarray(0, end), offset + recordHeaderBytes);
  const matchLength = recordMatchLength(bytes, offset);
  if (length !== matchLength) throw new ProtocolError(`record's match of ${length} bytes, header says ${matchLength}`);
  return {
    table: recordTable(bytes, offset),
    priority: recordPriority(bytes, offset),
    cookie: recordCookie(bytes, offset),
    match,
    ...decodeInstructions(bytes, offset + recordHeaderBytes + matchLength, end),
  };
}

function checkedLength(bytes: Uint8Array, offset: number): number {
  if (offset < 0 || offset + recordHeaderBytes > bytes.length) throw new ProtocolError(`no record at ${offset}`);
  const length = recordLength(bytes, offset);
  const least = recordHeaderBytes + recordMatchLength(bytes, offset);
  if (length < least || length % 8 !== 0 || offset + length > bytes.length) {
    throw new ProtocolError(`no record at ${offset}: length ${length} of ${bytes.length - offset} bytes`);
  }
  return length;
}

/** Walks records one after the other without decoding them. Throws ProtocolError on what is no record. */
export function forEachRecord(bytes: Uint8Array, visit: (offset: number, length: number) => void): void {
  for (let at = 0; at < bytes.length; ) {
    const length = checkedLength(bytes, at);
    visit(at, length);
    at += length;
  }
}

/** Bytes of the record at `offset`, its header included. */
export function recordLength(bytes: Uint8Array, offset: number): number {
  return (bytes[offset]! << 8) | bytes[offset + 1]!;
}

export function recordTable(bytes: Uint8Array, offset: number): number {
  return bytes[offset + 2]!;
}

export function recordPriority(bytes: Uint8Array, offset: number): number {
  return (bytes[offset + 4]! << 8) | bytes[offset + 5]!;
}

/** Bytes of the padded match. */
export function recordMatchLength(bytes: Uint8Array, offset: number): number {
  return (bytes[offset + 6]! << 8) | bytes[offset + 7]!;
}

function word(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

export function recordCookie(bytes: Uint8Array, offset: number): bigint {
  return (BigInt(word(bytes, offset + 8) >>> 0) << 32n) | BigInt(word(bytes, offset + 12) >>> 0);
}

/** 32-bit hash (MurmurHash3, x86 32-bit) of what identifies a flow in a switch: table, priority and match. */
export function recordKeyHash(bytes: Uint8Array, offset: number): number {
  const start = offset + recordHeaderBytes;
  const end = start + recordMatchLength(bytes, offset);
  let hash = mix((recordTable(bytes, offset) << 16) | recordPriority(bytes, offset), 0x9747b28c);
  // The padded match is a multiple of 8 bytes, so there is no tail.
  for (let at = start; at < end; at += 4) hash = mix(word(bytes, at), hash);
  hash ^= end - start + 4;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function mix(value: number, hash: number): number {
  let k = Math.imul(value, 0xcc9e2d51);
  k = Math.imul((k << 15) | (k >>> 17), 0x1b873593);
  hash ^= k;
  hash = (hash << 13) | (hash >>> 19);
  return (Math.imul(hash, 5) + 0xe6546b64) | 0;
}

/** Same table, priority and match: the same flow to a switch. */
export function sameKey(a: Uint8Array, aOffset: number, b: Uint8Array, bOffset: number): boolean {
  const matchLength = recordMatchLength(a, aOffset);
  return (
    a[aOffset + 2] === b[bOffset + 2] &&
    same(a, aOffset + 4, b, bOffset + 4, 4) &&
    same(a, aOffset + recordHeaderBytes, b, bOffset + recordHeaderBytes, matchLength)
  );
}

/** Same in every byte: key, cookie and instructions. */
export function sameRecord(a: Uint8Array, aOffset: number, b: Uint8Array, bOffset: number): boolean {
  const length = recordLength(a, aOffset);
  return length === recordLength(b, bOffset) && same(a, aOffset, b, bOffset, length);
}

function same(a: Uint8Array, aAt: number, b: Uint8Array, bAt: number, count: number): boolean {
  for (let i = 0; i < count; i++) if (a[aAt + i] !== b[bAt + i]) return false;
  return true;
}
