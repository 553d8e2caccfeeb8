import type { Masked } from '../pipeline/stages/judge.ts';

/** Ranges as few value/mask pairs over 16 bits. Ranges that touch or overlap are joined first. @param texts `80`, `8000-8100` */
export function maskedPorts(texts: readonly string[]): Masked[] {
  const ranges = texts
    .map((text) => {
      const [low = 0, high = low] = text.split('-').map(Number);
      return { low, high };
    })
    .sort((a, b) => a.low - b.low);
  const joined: { low: number; high: number }[] = [];
  for (const r of ranges) {
    const last = joined.at(-1);
    if (last !== undefined && r.low <= last.high + 1) last.high = Math.max(last.high, r.high);
    else joined.push({ ...r });
  }
  return joined.flatMap(({ low, high }) => {
    const parts: Masked[] = [];
    while (low <= high) {
      // The largest aligned block that begins at `low` and ends within the range.
      let size = low === 0 ? 0x10000 : low & -low;
      while (low + size - 1 > high) size >>= 1;
      parts.push({ value: low, mask: 0xffff & ~(size - 1) });
      low += size;
    }
    return parts;
  });
}
