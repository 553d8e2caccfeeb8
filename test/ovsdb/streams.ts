/** Streams cut into pieces, for whatever has to put up with any cut. */
import fc from 'fast-check';

/** Lengths of pieces; used again from the start where they do not reach. */
export const lengths = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 20 });

export function cut(stream: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0, turn = 0; at < stream.length; turn++) {
    const size = sizes[turn % sizes.length]!;
    pieces.push(stream.subarray(at, at + size));
    at += size;
  }
  return pieces;
}

/** A copy in which these bits (counted from the first byte's lowest) are the other way round. */
export function flip(stream: Uint8Array, bits: readonly number[]): Uint8Array {
  const copy = Uint8Array.from(stream);
  for (const bit of bits) {
    const at = (bit >> 3) % copy.length;
    copy[at] = copy[at]! ^ (1 << (bit & 7));
  }
  return copy;
}
