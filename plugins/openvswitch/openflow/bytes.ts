/** Growing byte buffers and bounds-checked reading, big-endian as OpenFlow is. */

import { ProtocolError } from './errors.ts';

/** A Buffer over the same memory; Buffers pass through. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/**
 * Gives the memory back now, and not when the collector comes, which may let tens of megabytes gather first. Nobody may
 * read it, or another view of it, afterwards: it has no bytes then.
 */
export function giveBack({ buffer }: ArrayBufferView): void {
  if (buffer instanceof ArrayBuffer && !buffer.detached) buffer.transfer(0);
}

const big = new BigUint64Array(1);
/** Takes a bigint apart without making others: write `big[0]`, read `words[highWord]` and `words[1 - highWord]`. */
export const splitter = { big, words: new Uint32Array(big.buffer) };
big[0] = 1n;
export const highWord: 0 | 1 = splitter.words[0] === 1 ? 1 : 0;

/**
 * Appends to one growing Buffer. Made to be reused: `clear()` keeps the memory, so that a bundle of 100,000 messages
 * costs one buffer. Positions count from the start of what was written since `clear()`.
 */
export class ByteWriter {
  /** Backing memory; only the first `length` bytes are written. It is replaced when it grows. */
  buffer: Buffer;
  length = 0;

  constructor(initialBytes = 4096) {
    this.buffer = Buffer.allocUnsafeSlow(Math.max(64, initialBytes));
  }

  /** Makes room for `count` bytes, returns their position and moves past them. Their content is not initialised. */
  reserve(count: number): number {
    const at = this.length;
    const end = at + count;
    if (end > this.buffer.length) this.#grow(end);
    this.length = end;
    return at;
  }

  #grow(needed: number): void {
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.buffer.length * 2));
    this.buffer.copy(grown, 0, 0, this.length);
    this.buffer = grown;
  }

  u8(value: number): void {
    const at = this.reserve(1);
    this.buffer[at] = value;
  }

  u16(value: number): void {
    const at = this.reserve(2);
    this.buffer[at] = value >>> 8;
    this.buffer[at + 1] = value;
  }

  u32(value: number): void {
    const at = this.reserve(4);
    const buffer = this.buffer;
    buffer[at] = value >>> 24;
    buffer[at + 1] = value >>> 16;
    buffer[at + 2] = value >>> 8;
    buffer[at + 3] = value;
  }

  /** The low 64 bits of `value`. */
  u64(value: bigint): void {
    splitter.big[0] = value;
    this.u32(splitter.words[highWord]!);
    this.u32(splitter.words[1 - highWord]!);
  }

  zeros(count: number): void {
    const at = this.reserve(count);
    const end = at + count;
    // Below some size a loop beats the call into native memset.
    if (count > 64) this.buffer.fill(0, at, end);
    else for (let i = at; i < end; i++) this.buffer[i] = 0;
  }

  /** Zeros up to the next multiple of `alignment` (a power of two) counted from `from`. */
  pad(from: number, alignment: number): void {
    const over = (this.length - from) & (alignment - 1);
    if (over !== 0) this.zeros(alignment - over);
  }

  bytes(source: Uint8Array, start = 0, end = source.length): void {
    const at = this.reserve(end - start);
    // Below this size a loop beats the call into native memmove.
    if (end - start <= 48) {
      const buffer = this.buffer;
      for (let from = start, to = at; from < end; from++, to++) buffer[to] = source[from]!;
    } else {
      this.buffer.set(source.subarray(start, end), at);
    }
  }

  /** Overwrites an earlier 16-bit field, typically a length. */
  setU16(at: number, value: number): void {
    this.buffer[at] = value >>> 8;
    this.buffer[at + 1] = value;
  }

  /** What was written, sharing memory: valid until the next write or `clear()`. */
  view(start = 0, end = this.length): Buffer {
    return this.buffer.subarray(start, end);
  }

  /** A copy of what was written. */
  copy(start = 0, end = this.length): Buffer {
    return Buffer.from(this.buffer.subarray(start, end));
  }

  /** Hands over the memory itself (for a transfer or a socket that keeps it) and starts anew. */
  take(): Buffer {
    const taken = this.buffer.subarray(0, this.length);
    this.buffer = Buffer.allocUnsafeSlow(4096);
    this.length = 0;
    return taken;
  }

  clear(): void {
    this.length = 0;
  }
}

/** Throws ProtocolError unless `bytes` holds `count` bytes from `at`. */
export function need(bytes: Uint8Array, at: number, count: number, what: string): void {
  if (at < 0 || at + count > bytes.length) {
    throw new ProtocolError(`${what}: ${count} bytes wanted at ${at}, ${bytes.length} there`);
  }
}
