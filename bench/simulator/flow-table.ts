/**
 * The flows of a simulated switch, by table, priority and match, as records in one buffer: a thousand switches of
 * thousands of flows each fit into one process.
 */
import { recordKeyHash, recordLength, sameKey } from '../../plugins/openvswitch/openflow/record.ts';

/** Words of a slot: hash; offset of the record plus one, 0: empty. */
const words = 2;

export class FlowTable {
  #bytes = Buffer.allocUnsafeSlow(1 << 12);
  #used = 0;
  #dead = 0;
  #slots = new Uint32Array(64 * words);
  #capacity = 64;
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Adds the record at `at`, or replaces the one with its key. */
  add(source: Uint8Array, at: number): void {
    const hash = recordKeyHash(source, at);
    const length = recordLength(source, at);
    const slot = this.#find(source, at, hash);
    if (slot >= 0) {
      const old = this.#slots[slot * words + 1]! - 1;
      const room = recordLength(this.#bytes, old);
      if (room === length) {
        this.#bytes.set(source.subarray(at, at + length), old);
        return;
      }
      this.#dead += room;
      this.#slots[slot * words + 1] = this.#append(source, at, length) + 1;
    } else {
      if (this.#count * 10 >= this.#capacity * 7) this.#rehash(this.#capacity * 2);
      this.#place(hash, this.#append(source, at, length));
      this.#count++;
    }
    this.#tidy();
  }

  /** Removes the flow with the key of the record at `at`, if there is one. */
  delete(source: Uint8Array, at: number): void {
    const slot = this.#find(source, at, recordKeyHash(source, at));
    if (slot < 0) return;
    this.#dead += recordLength(this.#bytes, this.#slots[slot * words + 1]! - 1);
    this.#remove(slot);
    this.#count--;
    this.#tidy();
  }

  clear(): void {
    this.#slots.fill(0);
    this.#used = 0;
    this.#dead = 0;
    this.#count = 0;
  }

  forEach(visit: (bytes: Buffer, at: number) => void): void {
    for (let slot = 0; slot < this.#capacity; slot++) {
      const at = this.#slots[slot * words + 1]!;
      if (at !== 0) visit(this.#bytes, at - 1);
    }
  }

  #find(source: Uint8Array, at: number, hash: number): number {
    const mask = this.#capacity - 1;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const offset = this.#slots[slot * words + 1]!;
      if (offset === 0) return -1;
      if (this.#slots[slot * words] === hash && sameKey(this.#bytes, offset - 1, source, at)) return slot;
    }
  }

  #append(source: Uint8Array, at: number, length: number): number {
    if (this.#used + length > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(this.#used + length, (this.#bytes.length * 3) >> 1));
      this.#bytes.copy(larger, 0, 0, this.#used);
      this.#bytes = larger;
    }
    this.#bytes.set(source.subarray(at, at + length), this.#used);
    this.#used += length;
    return this.#used - length;
  }

  #place(hash: number, offset: number): void {
    const mask = this.#capacity - 1;
    let slot = hash & mask;
    while (this.#slots[slot * words + 1] !== 0) slot = (slot + 1) & mask;
    this.#slots[slot * words] = hash;
    this.#slots[slot * words + 1] = offset + 1;
  }

  /** Linear probing without tombstones. */
  #remove(slot: number): void {
    const mask = this.#capacity - 1;
    const slots = this.#slots;
    let hole = slot;
    for (let next = (slot + 1) & mask; slots[next * words + 1] !== 0; next = (next + 1) & mask) {
      const home = slots[next * words]! & mask;
      if (((next - home) & mask) < ((next - hole) & mask)) continue;
      slots[hole * words] = slots[next * words]!;
      slots[hole * words + 1] = slots[next * words + 1]!;
      hole = next;
    }
    slots[hole * words] = 0;
    slots[hole * words + 1] = 0;
  }

  #rehash(capacity: number): void {
    const old = this.#slots;
    this.#capacity = capacity;
    this.#slots = new Uint32Array(capacity * words);
    for (let at = 0; at < old.length; at += words) if (old[at + 1] !== 0) this.#place(old[at]!, old[at + 1]! - 1);
  }

  /** Closes the gaps once they are half of it. */
  #tidy(): void {
    if (this.#dead < 4096 || this.#dead * 2 < this.#used) return;
    const tight = Buffer.allocUnsafeSlow(this.#used - this.#dead + 4096);
    let used = 0;
    for (let slot = 0; slot < this.#capacity; slot++) {
      const at = this.#slots[slot * words + 1]!;
      if (at === 0) continue;
      const length = recordLength(this.#bytes, at - 1);
      this.#bytes.copy(tight, used, at - 1, at - 1 + length);
      this.#slots[slot * words + 1] = used + 1;
      used += length;
    }
    this.#bytes = tight;
    this.#used = used;
    this.#dead = 0;
  }
}
