/**
 * Which addresses of a prefix are taken, as a tree of 32-bit words: a bit of the lowest level is an address, a bit above
 * it says that the whole word below is taken. The lowest free address is found in at most five steps, even in a full
 * /8, and only words in use take memory.
 */
import type { Log, Table } from './log.ts';

/** Words by level and index. */
export type Words = Table<number, number>;

const bitsPerLevel = 5;
/** More words than the lowest level of a /8 has, so that each level has its own numbers. */
const levelStride = 2 ** 20;
const all = -1;

function levels(size: number): number {
  let count = 1;
  for (let capacity = 2 ** bitsPerLevel; capacity < size; capacity *= 2 ** bitsPerLevel) count++;
  return count;
}

/** @param offset of the address from the first one of the prefix; @param size addresses in the prefix, 2^24 at most */
export function take(log: Log, words: Words, size: number, offset: number): void {
  let index = offset;
  for (let level = 0; level < levels(size); level++) {
    const key = level * levelStride + (index >>> bitsPerLevel);
    const word = (words.get(key) ?? 0) | (1 << (index & 31));
    log.write(words, key, word);
    if (word !== all) return;
    index >>>= bitsPerLevel;
  }
}

export function release(log: Log, words: Words, size: number, offset: number): void {
  let index = offset;
  for (let level = 0; level < levels(size); level++) {
    const key = level * levelStride + (index >>> bitsPerLevel);
    const before = words.get(key) ?? 0;
    const word = before & ~(1 << (index & 31));
    log.write(words, key, word === 0 ? undefined : word);
    if (before !== all) return;
    index >>>= bitsPerLevel;
  }
}

/** Offset of the lowest free address that is not below `from`; undefined when there is none. */
export function nextFree(words: Words, size: number, from: number): number | undefined {
  const top = levels(size) - 1;
  let index = from;
  // Up to the first word with something free at or behind the place, and down again to the lowest address in it.
  for (let level = 0; level <= top; level++) {
    const word = (words.get(level * levelStride + (index >>> bitsPerLevel)) ?? 0) | ((1 << (index & 31)) - 1);
    if (word !== all) {
      index = (index & ~31) + trailingOnes(word);
      while (level-- > 0) index = index * 32 + trailingOnes(words.get(level * levelStride + index) ?? 0);
      return index < size ? index : undefined;
    }
    index = (index >>> bitsPerLevel) + 1;
    if (index >>> bitsPerLevel >= 2 ** (bitsPerLevel * (top - level - 1))) return undefined;
  }
  return undefined;
}

/** Offset of the lowest free address; undefined when there is none. */
export function lowestFree(words: Words, size: number): number | undefined {
  let index = 0;
  for (let level = levels(size) - 1; level >= 0; level--) {
    const word = words.get(level * levelStride + index) ?? 0;
    if (word === all) return undefined;
    index = index * 32 + trailingOnes(word);
  }
  return index < size ? index : undefined;
}

function trailingOnes(word: number): number {
  const lowest = ~word & (word + 1);
  return 31 - Math.clz32(lowest);
}
