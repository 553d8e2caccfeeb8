/**
 * Desired against installed, while the switch reports: what is the same in every byte is recognised by hash and
 * forgotten at once; only what is not is decoded.
 */
import { ByteWriter } from '../openflow/bytes.ts';
import { ProtocolError } from '../openflow/errors.ts';
import { encodeMeter, sameMeterConfig } from '../openflow/meter-record.ts';
import { decodeFlows, encodeFlows, recordKeyHash, recordLength, sameRecord } from '../openflow/record.ts';
import { type MeterDesc, parseFlowDescPart } from '../openflow/replies.ts';
import type { DesiredFlows } from './desired.ts';
import { Operations, type RecordSource } from './operations.ts';
import type { Unit } from './slab.ts';

export type Difference = {
  /** What brings the switch from installed to desired. */
  operations: Operations;
  counts: DriftCounts;
  /** Flows the switch has. */
  installed: number;
  /** Flows that differ in bytes and are the same when decoded. */
  fallbacks: number;
};

export type DriftCounts = { missing: number; extra: number; different: number };

/** Records, one after the other. */
export type DriftRecords = {
  /** Desired and not there. */
  missing: Uint8Array;
  /** There and not desired. */
  extra: Uint8Array;
  /** Same key, other cookie or instructions: pairs, the desired one first. */
  different: Uint8Array;
};

/** Bytes of flows that are not as desired which are kept at most; more is not a switch but an attack. */
const maxKept = 512 * 1024 * 1024;

/** The desired flows must not change between the first part and `finish`. */
export class Comparison {
  readonly #desired: DesiredFlows;
  /** A bit for each slot of the index. */
  readonly #seen: Uint8Array;
  /** Keys of the index not seen yet. */
  #unseen: number;
  /** What was read and has to be kept, as records. */
  readonly #kept = new ByteWriter(64 * 1024);
  readonly #extra: number[] = [];
  /** Slot and offset of the installed record, alternating. */
  readonly #different: number[] = [];
  #installed = 0;
  #fallbacks = 0;

  constructor(desired: DesiredFlows) {
    this.#desired = desired;
    this.#seen = new Uint8Array((desired.index.capacity + 7) >> 3);
    this.#unseen = desired.index.count;
  }

  /** One part of a flow description. @throws ProtocolError */
  part(body: Uint8Array): void {
    parseFlowDescPart(body, this.#kept, (offset) => {
      this.#installed++;
      if (!this.#keep(offset)) this.#kept.length = offset;
    });
    if (this.#kept.length > maxKept)
      throw new ProtocolError(`more than ${maxKept} bytes of flows that are not desired`);
  }

  /** Meters the switch has, but for virtual ones. */
  meters(meters: readonly MeterDesc[]): void {
    const { index } = this.#desired;
    for (const { meter, unit, rate, burst } of meters) {
      const offset = this.#kept.length;
      // What lacks a rate or a burst, or has more bands, is not as we make them: no meter of ours has a rate of 2^32 - 1.
      encodeMeter(this.#kept, { id: meter, cookie: 0n, unit, rate: rate ?? 0xffffffff, burst: burst ?? 0xffffffff });
      const bytes = this.#kept.buffer;
      const slot = index.find(bytes, offset);
      if (slot < 0) {
        this.#extra.push(offset);
        continue;
      }
      const { unit: desired, offset: at } = this.#desired.recordAt(slot);
      const same = sameMeterConfig(desired.bytes, desired.at + at, bytes, offset);
      if (!(same ? this.#found(slot, offset) : this.#differs(slot, offset))) this.#kept.length = offset;
    }
  }

  /** Files the record at this offset; false: it may be forgotten. */
  #keep(offset: number): boolean {
    const { index } = this.#desired;
    const bytes = this.#kept.buffer;
    let slot = index.find(bytes, offset, recordKeyHash(bytes, offset));
    if (slot >= 0) {
      const { unit, offset: at } = this.#desired.recordAt(slot);
      const same = sameRecord(unit.bytes, unit.at + at, bytes, offset);
      if (same || this.#sameWhenDecoded(slot, offset)) return this.#found(slot, offset);
      return this.#differs(slot, offset);
    }
    const canonical = normalised(bytes, offset);
    slot = canonical === undefined ? -1 : index.find(canonical, 0);
    if (canonical === undefined || slot < 0) {
      this.#extra.push(offset);
      return true;
    }
    const { unit, offset: at } = this.#desired.recordAt(slot);
    if (!sameRecord(unit.bytes, unit.at + at, canonical, 0)) return this.#differs(slot, offset);
    this.#fallbacks++;
    return this.#found(slot, offset);
  }

  #sameWhenDecoded(slot: number, offset: number): boolean {
    const canonical = normalised(this.#kept.buffer, offset);
    if (canonical === undefined) return false;
    const { unit, offset: at } = this.#desired.recordAt(slot);
    if (!sameRecord(unit.bytes, unit.at + at, canonical, 0)) return false;
    this.#fallbacks++;
    return true;
  }

  #see(slot: number): void {
    const bit = 1 << (slot & 7);
    if ((this.#seen[slot >> 3]! & bit) === 0) this.#unseen--;
    this.#seen[slot >> 3]! |= bit;
  }

  #found(slot: number, offset: number): boolean {
    this.#see(slot);
    if (this.#desired.isWanted(slot)) return false;
    this.#extra.push(offset);
    return true;
  }

  #differs(slot: number, offset: number): boolean {
    this.#see(slot);
    if (this.#desired.isWanted(slot)) this.#different.push(slot, offset);
    else this.#extra.push(offset);
    return true;
  }

  finish(): Difference {
    const operations = new Operations();
    const installed: RecordSource = { bytes: this.#kept.view(), at: 0 };
    let missing = 0;
    this.#forEachMissing((unit, offset) => {
      operations.add(unit, offset, false);
      missing++;
    });
    for (let at = 0; at < this.#different.length; at += 2) {
      const { unit, offset } = this.#desired.recordAt(this.#different[at]!);
      operations.add(unit, offset, true);
    }
    for (const offset of this.#extra) operations.delete(installed, offset);
    const counts = { missing, extra: this.#extra.length, different: this.#different.length / 2 };
    return { operations, counts, installed: this.#installed, fallbacks: this.#fallbacks };
  }

  /** Copies of what differs. What is set aside is desired all the same, and missing. */
  records(): DriftRecords {
    const missing = new ByteWriter();
    const extra = new ByteWriter();
    const different = new ByteWriter();
    const installed = this.#kept.buffer;
    this.#forEachMissing((unit, offset) => copyRecord(missing, unit.bytes, unit.at + offset), true);
    for (let at = 0; at < this.#different.length; at += 2) {
      const { unit, offset } = this.#desired.recordAt(this.#different[at]!);
      copyRecord(different, unit.bytes, unit.at + offset);
      copyRecord(different, installed, this.#different[at + 1]!);
    }
    for (const offset of this.#extra) copyRecord(extra, installed, offset);
    return { missing: missing.take(), extra: extra.take(), different: different.take() };
  }

  #forEachMissing(visit: (unit: Unit, offset: number) => void, setAsideToo = false): void {
    const { index } = this.#desired;
    if (this.#unseen === 0) return;
    for (let slot = 0; slot < index.capacity; slot++) {
      if (!index.occupied(slot) || (this.#seen[slot >> 3]! >> (slot & 7)) & 1) continue;
      if (!setAsideToo && !this.#desired.isWanted(slot)) continue;
      const { unit, offset } = this.#desired.recordAt(slot);
      visit(unit, offset);
    }
  }
}

function copyRecord(target: ByteWriter, bytes: Uint8Array, at: number): void {
  target.bytes(bytes, at, at + recordLength(bytes, at));
}

/** The record as we would write it; undefined where it says what our vocabulary cannot (it is not ours then). */
function normalised(bytes: Uint8Array, offset: number): Uint8Array | undefined {
  // A flow with a timeout or flags: decoding would lose them.
  if (bytes[offset + 3] !== 0) return undefined;
  try {
    return encodeFlows(decodeFlows(bytes.subarray(offset, offset + recordLength(bytes, offset))));
  } catch {
    // Somebody else's flow may use any field and action there is.
    return undefined;
  }
}
