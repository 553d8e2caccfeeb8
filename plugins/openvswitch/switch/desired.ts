/**
 * The desired flows of one switch: which units it wants, which flow owns which key, and which objects are set aside.
 * `merge` turns changed units into the operations that bring a switch from the state before to the state after.
 */
import type { UnitKey } from '../../../src/drivers/switch-plugin.ts';
import { recordCookie, recordKeyHash, recordLength, sameKey, sameRecord } from '../openflow/record.ts';
import { KeyIndex } from './key-index.ts';
import { Operations, objectOf } from './operations.ts';
import type { Slab, Unit } from './slab.ts';

/** A record by its unit and its offset therein. */
export type RecordPlace = { unit: Unit; offset: number };

export type Merge = {
  operations: Operations;
  /** Units no longer wanted; the caller releases them when the operations are done with. */
  retired: Unit[];
  /** Records refused because another unit holds their key. */
  duplicates: RecordPlace[];
};

type SetAside = {
  /** The switch refused one of its flows. */
  rejected: boolean;
  /** Number of its records whose key another record holds. */
  contested: number;
};

const none: ReadonlySet<number> = new Set();

export class DesiredFlows {
  readonly units = new Map<UnitKey, Unit>();
  readonly index: KeyIndex;
  readonly #slab: Slab;
  /** By object, see objectOf. */
  readonly #setAside = new Map<number, SetAside>();
  /** Records that lost their key to another, by the key's hash. */
  readonly #contested = new Map<number, RecordPlace[]>();
  #flows = 0;
  #bytes = 0;

  constructor(slab: Slab) {
    this.#slab = slab;
    this.index = new KeyIndex(slab);
  }

  /** `bytes` of records this switch wants, whoever else wants them too. */
  get size(): { flows: number; bytes: number } {
    return { flows: this.#flows, bytes: this.#bytes };
  }

  get setAsideObjects(): number {
    return this.#setAside.size;
  }

  isSetAside(object: number): boolean {
    return this.#setAside.has(object);
  }

  /** The record that owns a slot of the index. */
  recordAt(slot: number): RecordPlace {
    return { unit: this.#slab.get(this.index.unitOf(slot)), offset: this.index.offsetOf(slot) };
  }

  /** Should the switch have the record of this slot? */
  isWanted(slot: number): boolean {
    if (this.#setAside.size === 0) return true;
    const unit = this.#slab.get(this.index.unitOf(slot));
    return !this.#setAside.has(objectOf(unit.bytes, unit.at + this.index.offsetOf(slot)));
  }

  /** Takes over the references to the new units; undefined removes. What is set aside and touched is tried again. */
  merge(changes: ReadonlyMap<UnitKey, Unit | undefined>): Merge {
    const operations = new Operations();
    const before: ReadonlySet<number> = this.#setAside.size === 0 ? none : new Set(this.#setAside.keys());
    const touched = new Set<number>();
    const retired: Unit[] = [];
    for (const key of changes.keys()) {
      const old = this.units.get(key);
      if (old === undefined) continue;
      retired.push(old);
      this.units.delete(key);
      this.#flows -= old.flows;
      this.#bytes -= old.length;
      this.#mark(old, before, touched);
    }
    const duplicates: RecordPlace[] = [];
    let more = 0;
    for (const unit of changes.values()) more += unit?.flows ?? 0;
    for (const unit of retired) more -= unit.flows;
    this.index.reserve(Math.max(0, more));
    for (const [key, unit] of changes) {
      if (unit === undefined) continue;
      this.units.set(key, unit);
      this.#flows += unit.flows;
      this.#bytes += unit.length;
      this.#claim(unit, before, touched, operations, duplicates);
    }
    for (const unit of retired) this.#sweep(unit, before, operations);
    const released = this.#releaseTouched(before, touched);
    if (this.#setAside.size === 0 && released.size === 0) return { operations, retired, duplicates };
    const fallen = new Set<number>();
    for (const object of this.#setAside.keys()) if (!before.has(object)) fallen.add(object);
    return { operations: this.#settle(operations, fallen, released), retired, duplicates };
  }

  /** The switch refused a flow of this object: the same operations without it, and what it has of it deleted. */
  reject(object: number, operations: Operations): Operations {
    const entry = this.#setAside.get(object);
    if (entry === undefined) this.#setAside.set(object, { rejected: true, contested: 0 });
    else entry.rejected = true;
    return this.#settle(operations, new Set([object]), none);
  }

  /** Everything the switch has refused may be tried again. To be followed by a comparison with the whole switch. */
  retryAll(): void {
    for (const [object, entry] of this.#setAside) {
      entry.rejected = false;
      if (entry.contested === 0) this.#setAside.delete(object);
    }
  }

  clear(): void {
    for (const unit of this.units.values()) this.#slab.release(unit);
    this.units.clear();
  }

  /** Marks the keys an old unit owns: they go unless somebody claims them. */
  #mark(old: Unit, before: ReadonlySet<number>, touched: Set<number>): void {
    forEachRecordOf(old, (at, offset) => {
      if (before.size > 0) touched.add(objectOf(old.bytes, at));
      const hash = recordKeyHash(old.bytes, at);
      const slot = this.index.find(old.bytes, at, hash);
      if (slot >= 0 && this.#owns(slot, old, offset)) this.index.mark(slot);
      else this.#uncontest(hash, old, offset);
    });
  }

  #claim(
    unit: Unit,
    before: ReadonlySet<number>,
    touched: Set<number>,
    operations: Operations,
    duplicates: RecordPlace[],
  ): void {
    const { index } = this;
    forEachRecordOf(unit, (at, offset) => {
      if (before.size > 0) touched.add(objectOf(unit.bytes, at));
      const hash = recordKeyHash(unit.bytes, at);
      const slot = index.find(unit.bytes, at, hash);
      if (slot < 0) {
        index.insert(hash, unit.id, offset);
        operations.add(unit, offset, false);
      } else if (index.isMarked(slot)) {
        const old = this.#slab.get(index.unitOf(slot));
        const oldAt = old.at + index.offsetOf(slot);
        const installed = before.size === 0 || !before.has(objectOf(old.bytes, oldAt));
        const same = sameRecord(old.bytes, oldAt, unit.bytes, at);
        index.replace(slot, unit.id, offset);
        if (!installed || !same) operations.add(unit, offset, installed);
      } else {
        this.#contest(hash, unit, offset);
        duplicates.push({ unit, offset });
      }
    });
  }

  /** Deletes what is still marked, or hands it to a record that was refused it before. */
  #sweep(old: Unit, before: ReadonlySet<number>, operations: Operations): void {
    const { index } = this;
    forEachRecordOf(old, (at, offset) => {
      const hash = recordKeyHash(old.bytes, at);
      const slot = index.find(old.bytes, at, hash);
      if (slot < 0 || !index.isMarked(slot) || !this.#owns(slot, old, offset)) return;
      const installed = before.size === 0 || !before.has(objectOf(old.bytes, at));
      const heir = this.#heir(hash, old, at);
      if (heir !== undefined) {
        index.replace(slot, heir.unit.id, heir.offset);
        operations.add(heir.unit, heir.offset, installed);
      } else {
        index.remove(slot);
        if (installed) operations.delete(old, offset);
      }
    });
  }

  #owns(slot: number, unit: Unit, offset: number): boolean {
    return this.index.unitOf(slot) === unit.id && this.index.offsetOf(slot) === offset;
  }

  #contest(hash: number, unit: Unit, offset: number): void {
    const waiting = this.#contested.get(hash);
    if (waiting === undefined) this.#contested.set(hash, [{ unit, offset }]);
    else waiting.push({ unit, offset });
    const object = objectOf(unit.bytes, unit.at + offset);
    const entry = this.#setAside.get(object);
    if (entry === undefined) this.#setAside.set(object, { rejected: false, contested: 1 });
    else entry.contested++;
  }

  #uncontest(hash: number, unit: Unit, offset: number): void {
    const waiting = this.#contested.get(hash);
    const at = waiting?.findIndex((place) => place.unit === unit && place.offset === offset) ?? -1;
    if (waiting === undefined || at < 0) throw new Error(`a record of unit ${unit.key} is neither indexed nor refused`);
    this.#leaveContest(hash, waiting, at);
  }

  /** The longest refused record of the same key, no longer refused. */
  #heir(hash: number, old: Unit, oldAt: number): RecordPlace | undefined {
    const waiting = this.#contested.get(hash);
    if (waiting === undefined) return undefined;
    const at = waiting.findIndex(({ unit, offset }) => sameKey(unit.bytes, unit.at + offset, old.bytes, oldAt));
    return at < 0 ? undefined : this.#leaveContest(hash, waiting, at);
  }

  #leaveContest(hash: number, waiting: RecordPlace[], at: number): RecordPlace {
    const place = waiting.splice(at, 1)[0]!;
    if (waiting.length === 0) this.#contested.delete(hash);
    this.#setAside.get(objectOf(place.unit.bytes, place.unit.at + place.offset))!.contested--;
    return place;
  }

  /** Objects that are no longer set aside. */
  #releaseTouched(before: ReadonlySet<number>, touched: ReadonlySet<number>): ReadonlySet<number> {
    if (this.#setAside.size === 0) return none;
    const released = new Set<number>();
    for (const [object, entry] of this.#setAside) {
      if (touched.has(object)) entry.rejected = false;
      if (entry.rejected || entry.contested > 0) continue;
      this.#setAside.delete(object);
      if (before.has(object)) released.add(object);
    }
    return released;
  }

  /**
   * Takes objects set aside out of the operations, deletes what the switch has of the `fallen` ones (set aside just now),
   * adds what it lacks of the `released` ones.
   */
  #settle(operations: Operations, fallen: ReadonlySet<number>, released: ReadonlySet<number>): Operations {
    const settled = new Operations();
    const mentioned = new Map<object, Set<number>>();
    for (let index = 0; index < operations.length; index++) {
      const source = operations.source(index);
      const offset = operations.offset(index);
      const object = objectOf(source.bytes, source.at + offset);
      if (!operations.isDelete(index)) {
        if (fallen.has(object) || released.has(object)) {
          const offsets = mentioned.get(source);
          if (offsets === undefined) mentioned.set(source, new Set([offset]));
          else offsets.add(offset);
        }
        if (this.#setAside.has(object)) {
          if (operations.isInstalled(index)) settled.delete(source, offset);
          continue;
        }
      }
      settled.take(operations, index);
    }
    if (fallen.size === 0 && released.size === 0) return settled;
    // The whole index, since nothing says where an object's flows are; this happens when a switch refuses a flow, only.
    for (let slot = 0; slot < this.index.capacity; slot++) {
      if (!this.index.occupied(slot)) continue;
      const { unit, offset } = this.recordAt(slot);
      const object = objectOf(unit.bytes, unit.at + offset);
      if (mentioned.get(unit)?.has(offset)) continue;
      if (fallen.has(object)) settled.delete(unit, offset);
      else if (released.has(object)) settled.add(unit, offset, false);
    }
    return settled;
  }
}

/** `at`: in the unit's buffer; `offset`: from the beginning of the unit. */
export function forEachRecordOf(unit: Unit, visit: (at: number, offset: number) => void): void {
  for (let offset = 0; offset < unit.length; ) {
    const at = unit.at + offset;
    const length = recordLength(unit.bytes, at);
    visit(at, offset);
    offset += length;
  }
}

export function cookieAt({ unit, offset }: RecordPlace): bigint {
  return recordCookie(unit.bytes, unit.at + offset);
}
