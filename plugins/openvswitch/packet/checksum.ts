/** The Internet checksum, RFC 1071. */

/** Sum of the 16-bit words of `bytes[start, end)`, an odd last byte padded with a zero, added to `sum` and not yet folded. */
export function addWords(bytes: Uint8Array, start: number, end: number, sum = 0): number {
  let total = sum;
  for (let at = start; at < end; at += 2) total += (bytes[at]! << 8) | (at + 1 < end ? bytes[at + 1]! : 0);
  return total;
}

/** Folds a sum of words into the checksum that is written. */
export function checksumOf(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded & 0xffff) + Math.floor(folded / 0x10000);
  return ~folded & 0xffff;
}
