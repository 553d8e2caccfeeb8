/** Field values of 1 to 16 bytes: range checks, and how they lie on the wire. */

import type { Scalar } from '../../../src/pipeline/flow.ts';
import type { ByteWriter } from './bytes.ts';
import type { FieldSpec } from './fields.ts';

function outOfRange(spec: FieldSpec, value: Scalar): never {
  throw new Error(`${spec.name}: ${value} is not a whole number of ${spec.bits} bits`);
}

/** The value of a field of 32 bits at most. Throws an Error when it does not fit. */
export function narrow(spec: FieldSpec, value: Scalar): number {
  const number = typeof value === 'bigint' ? Number(value) : value;
  if (!(number >= 0 && number <= spec.full) || !Number.isInteger(number)) outOfRange(spec, value);
  return number;
}

/** A field value of any width as four 32-bit words, the most significant first. */
export type Words = Uint32Array;

const low64 = 0xffffffffffffffffn;

/** Throws an Error when the value does not fit the field. */
export function toWords(spec: FieldSpec, value: Scalar, into: Words): void {
  if (typeof value === 'number') {
    if (!(value >= 0 && value < 2 ** spec.bits) || !Number.isSafeInteger(value)) outOfRange(spec, value);
    into[0] = 0;
    into[1] = 0;
    into[2] = Math.floor(value / 0x100000000);
    into[3] = value;
    return;
  }
  if (value < 0n || value >> BigInt(spec.bits) !== 0n) outOfRange(spec, value);
  if (spec.bits > 64) {
    const high = value >> 64n;
    into[0] = Number(high >> 32n);
    into[1] = Number(high & 0xffffffffn);
    value &= low64;
  } else {
    into[0] = 0;
    into[1] = 0;
  }
  into[2] = Number(value >> 32n);
  into[3] = Number(value & 0xffffffffn);
}

/** All ones of a field's width. */
export function fullWords(spec: FieldSpec): Words {
  const words = new Uint32Array(4);
  toWords(spec, (1n << BigInt(spec.bits)) - 1n, words);
  return words;
}

/** Appends the low `bytes` bytes of the words. */
export function putWords(target: ByteWriter, words: Words, bytes: number): void {
  if (bytes === 16) {
    target.u32(words[0]!);
    target.u32(words[1]!);
  }
  if (bytes >= 8) target.u32(words[2]!);
  else if (bytes === 6) target.u16(words[2]!);
  target.u32(words[3]!);
}

/** Appends a value of 4 bytes at most. */
export function putNarrow(target: ByteWriter, value: number, bytes: number): void {
  if (bytes === 4) target.u32(value);
  else if (bytes === 2) target.u16(value);
  else target.u8(value);
}

/** Reads a big-endian value: a number up to 48 bits, a bigint above. */
export function readScalar(bytes: Buffer, at: number, count: number): Scalar {
  if (count <= 6) return bytes.readUIntBE(at, count);
  const low = bytes.readBigUInt64BE(at + count - 8);
  return count === 16 ? (bytes.readBigUInt64BE(at) << 64n) | low : low;
}
