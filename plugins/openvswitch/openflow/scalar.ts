/** Field values of 1 to 16 bytes: range checks, and how they lie on the wire. */

import type { Scalar } from '../../../src/pipeline/flow.ts';
import { type ByteWriter, highWord, splitter } from './bytes.ts';
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

/** Throws an Error when the value does not fit the field. */
export function toWords(spec: FieldSpec, value: Scalar, into: Words): void {
  if (typeof value === 'number') {
    // Every field of more than 48 bits takes any safe integer.
    if (!(value >= 0 && value <= spec.mostNumber) || !Number.isSafeInteger(value)) outOfRange(spec, value);
    into[0] = 0;
    into[1] = 0;
    into[2] = Math.floor(value / 0x100000000);
    into[3] = value;
    return;
  }
  if (value < 0n || value > spec.most) outOfRange(spec, value);
  // A BigUint64Array keeps the low 64 bits of what is written to it.
  splitter.big[0] = value;
  into[2] = splitter.words[highWord]!;
  into[3] = splitter.words[1 - highWord]!;
  splitter.big[0] = spec.bits > 64 ? value >> 64n : 0n;
  into[0] = splitter.words[highWord]!;
  into[1] = splitter.words[1 - highWord]!;
}

/** All ones of a field's width. */
export function fullWords(spec: FieldSpec): Words {
  const words = new Uint32Array(4);
  toWords(spec, spec.most, words);
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
