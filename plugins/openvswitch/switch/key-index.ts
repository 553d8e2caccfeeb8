/**
 * Which desired flow of a switch has a given table, priority and match: an open-addressing table of 12 bytes a slot
 * over the records in the slab, no object per flow.
 */
import { giveBack } from '../openflow/bytes.ts';
import { recordKeyHash, sameKey } from '../openflow/record.ts';
import type { Slab } from './slab.ts';

/** Words of a slot: hash; unit id (0: empty); offset of the record in its unit, the top bit being the mark. */
const words = 3;
const markBit = 0x8000_0000;
const smallest = 16;

export class KeyIndex {
  readonly #slab: Slab;
  #slots = new Uint32Array(smallest * words);
  #capacity = smallest;
  #count = 0;

  constructor(slab: Slab) {
    this.#slab = slab;
  }

  get count(): number {
    return this.#count;
  }

  /** Slots there are; every slot number is below. Stable while nothing is inserted or removed. */
  get capacity(): number {
    return this.#capacity;
  }

  get bytes(): number {
    return this.#slots.byteLength;
  }

  /** Slot of the flow with this key, or -1. */
  find(bytes: Uint8Array, at: number, hash: number = recordKeyHash(bytes, at)): number {
    const mask = this.#capacity - 1;
    const slots = this.#slots;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const base = slot * words;
      const id = slots[base + 1]!;
      if (id === 0) return -1;
      if (slots[base] === hash) {
        const unit = this.#slab.get(id);
        if (sameKey(unit.bytes, unit.at + (slots[base + 2]! & ~markBit), bytes, at)) return slot;
      }
    }
  }

  /** The key must not be there yet. */
  insert(hash: number, unitId: number, offset: number): void {
    this.reserve(1);
    this.#place(hash, unitId, offset);
    this.#count++;
  }

  /** Makes room for so many more at once. */
  reserve(more: number): void {
    let capacity = this.#capacity;
    while ((this.#count + more) * 10 > capacity * 7) capacity *= 2;
    if (capacity > this.#capacity) this.#resize(capacity);
  }

  unitOf(slot: number): number {
    return this.#slots[slot * words + 1]!;
  }

  offsetOf(slot: number): number {
    return this.#slots[slot * words + 2]! & ~markBit;
  }

  hashOf(slot: number): number {
    return this.#slots[slot * words]!;
  }

  occupied(slot: number): boolean {
    return this.#slots[slot * words + 1] !== 0;
  }

  isMarked(slot: number): boolean {
    return (this.#slots[slot * words + 2]! & markBit) !== 0;
  }

  /** Marks are the caller's: he clears what he sets, by `replace` or `remove`. */
  mark(slot: number): void {
    this.#slots[slot * words + 2]! |= markBit;
  }

  /** The key now belongs to another record; the mark goes. */
  replace(slot: number, unitId: number, offset: number): void {
    this.#slots[slot * words + 1] = unitId;
    this.#slots[slot * words + 2] = offset;
  }

  remove(slot: number): void {
    const mask = this.#capacity - 1;
    const slots = this.#slots;
    let hole = slot;
    // Linear probing without tombstones: move back whatever could no longer be found across the hole.
    for (let next = (slot + 1) & mask; slots[next * words + 1] !== 0; next = (next + 1) & mask) {
      const home = slots[next * words]! & mask;
      if (((next - home) & mask) >= ((next - hole) & mask)) {
        slots.copyWithin(hole * words, next * words, (next + 1) * words);
        hole = next;
      }
    }
    slots.fill(0, hole * words, (hole + 1) * words);
    this.#count--;
    if (this.#capacity > smallest && this.#count * 10 < this.#capacity) this.#resize(this.#capacity / 2);
  }

  #place(hash: number, unitId: number, offset: number): void {
    const mask = this.#capacity - 1;
    const slots = this.#slots;
    let slot = hash & mask;
    while (slots[slot * words + 1] !== 0) slot = (slot + 1) & mask;
    slots[slot * words] = hash;
    slots[slot * words + 1] = unitId;
    slots[slot * words + 2] = offset;
  }

  #resize(capacity: number): void {
    const old = this.#slots;
    this.#capacity = capacity;
    this.#slots = new Uint32Array(capacity * words);
    for (let at = 0; at < old.length; at += words) {
      if (old[at + 1] !== 0) this.#place(old[at]!, old[at + 1]!, old[at + 2]!);
    }
    giveBack(old);
  }
}
