/**
 * Where desired flows are kept: units of records in a few large buffers, each unit once however many switches want it.
 * Kept this way a flow costs its bytes and the collector nothing.
 */
import type { UnitKey } from '../../../src/drivers/switch-plugin.ts';
import { forEachRecord } from '../openflow/record.ts';

type Chunk = { bytes: Uint8Array; used: number; live: number; units: Set<Held> };

/** Records of one unit. `bytes` and `at` change when the slab is compacted: read them anew after every await. */
export type Unit = {
  /** Small and positive, unique while the unit lives. */
  readonly id: number;
  readonly key: UnitKey;
  /** The buffer that holds the records, other units' included. */
  bytes: Uint8Array;
  /** Where this unit's records begin. */
  at: number;
  readonly length: number;
  /** Number of records: flows, and the meters they use. */
  readonly flows: number;
  /** Distinct shapes of its flows, once somebody has asked; see accepted-shapes.ts. */
  shapes: Uint32Array | undefined;
};

type Held = Unit & { chunk: Chunk; references: number };

export class Slab {
  readonly #chunkBytes: number;
  readonly #units: (Held | undefined)[] = [undefined];
  readonly #freeIds: number[] = [];
  readonly #chunks = new Set<Chunk>();
  /** The one that is being filled. */
  #current: Chunk | undefined;
  /** Those that may have become worth tidying. */
  readonly #sealed: Chunk[] = [];
  #flows = 0;
  #live = 0;

  /** @param chunkBytes bytes of a buffer; a larger unit gets one of its own */
  constructor(chunkBytes = 1 << 20) {
    this.#chunkBytes = chunkBytes;
  }

  /** Takes a copy; the unit starts with one reference. @throws Error where the bytes are not records. */
  add(key: UnitKey, records: Uint8Array): Unit {
    let flows = 0;
    forEachRecord(records, () => {
      flows++;
    });
    const chunk = this.#room(records.length);
    const id = this.#freeIds.pop() ?? this.#units.length;
    const { bytes, used: at } = chunk;
    const unit: Held = { id, key, bytes, at, length: records.length, flows, shapes: undefined, chunk, references: 1 };
    this.#units[id] = unit;
    this.#occupy(chunk, unit, records);
    this.#flows += flows;
    this.#live += unit.length;
    this.#tidySealed();
    return unit;
  }

  get(id: number): Unit {
    return this.#held(id);
  }

  retain(unit: Unit): Unit {
    this.#held(unit.id).references++;
    return unit;
  }

  release(unit: Unit): void {
    const held = this.#held(unit.id);
    if (--held.references > 0) return;
    this.#units[held.id] = undefined;
    this.#freeIds.push(held.id);
    this.#flows -= held.flows;
    this.#live -= held.length;
    const { chunk } = held;
    chunk.units.delete(held);
    chunk.live -= held.length;
    if (chunk === this.#current) {
      if (chunk.live === 0) chunk.used = 0;
      return;
    }
    this.#sealed.push(chunk);
    this.#tidySealed();
  }

  /** `flows` and `bytes` of living units; `reserved`: bytes of memory they take. */
  stats(): { units: number; flows: number; bytes: number; reserved: number } {
    let reserved = 0;
    for (const chunk of this.#chunks) reserved += chunk.bytes.length;
    const units = this.#units.length - 1 - this.#freeIds.length;
    return { units, flows: this.#flows, bytes: this.#live, reserved };
  }

  #held(id: number): Held {
    const unit = this.#units[id];
    if (unit === undefined) throw new Error(`unit ${id} is not in the slab`);
    return unit;
  }

  #room(bytes: number): Chunk {
    const current = this.#current;
    if (current !== undefined && current.used + bytes <= current.bytes.length) return current;
    const chunk = {
      bytes: new Uint8Array(Math.max(this.#chunkBytes, bytes)),
      used: 0,
      live: 0,
      units: new Set<Held>(),
    };
    this.#chunks.add(chunk);
    // A unit larger than a chunk gets its own, and the one under way goes on being filled.
    if (bytes >= this.#chunkBytes) return chunk;
    this.#current = chunk;
    if (current !== undefined) this.#sealed.push(current);
    return chunk;
  }

  #occupy(chunk: Chunk, unit: Held, records: Uint8Array): void {
    chunk.bytes.set(records, chunk.used);
    chunk.used += unit.length;
    chunk.live += unit.length;
    chunk.units.add(unit);
  }

  /** Moves what is left in chunks less than half alive, and lets them go. What moves was paid for by what went. */
  #tidySealed(): void {
    for (let chunk = this.#sealed.pop(); chunk !== undefined; chunk = this.#sealed.pop()) {
      if (chunk.live * 2 >= chunk.bytes.length || !this.#chunks.delete(chunk)) continue;
      for (const unit of chunk.units) {
        const target = this.#room(unit.length);
        const at = target.used;
        this.#occupy(target, unit, unit.bytes.subarray(unit.at, unit.at + unit.length));
        unit.bytes = target.bytes;
        unit.at = at;
        unit.chunk = target;
      }
      chunk.units.clear();
    }
  }
}
