/**
 * The canonical kept form of a flow. Big-endian, a multiple of 8 bytes long:
 *   u16 length (this header included), u8 table, u8 zero, u16 priority, u16 match length (padded), u64 cookie,
 *   ofp_match with its padding, instructions.
 * Match and instructions are the bytes that Open vSwitch sends back in a flow description.
 */

import type { Flow } from '../../../src/pipeline/flow.ts';

export const recordHeaderBytes = 16;

/** Encodes flows as records one after the other. Throws an Error on a flow that OpenFlow cannot say. */
export function encodeFlows(_flows: readonly Flow[]): Uint8Array {
  throw new Error('encodeFlows is being written');
}

/** Decodes records one after the other. Throws ProtocolError. */
export function decodeFlows(_bytes: Uint8Array): Flow[] {
  throw new Error('decodeFlows is being written');
}

/** Walks records one after the other without decoding them. */
export function forEachRecord(bytes: Uint8Array, visit: (offset: number, length: number) => void): void {
  for (let at = 0; at < bytes.length; ) {
    const length = recordLength(bytes, at);
    if (length < recordHeaderBytes || at + length > bytes.length) {
      throw new Error(`no record at ${at}: length ${length} of ${bytes.length - at} bytes`);
    }
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
