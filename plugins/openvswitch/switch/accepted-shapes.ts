/** Shapes of flows that a switch has taken in this session: a small bundle of no other shapes may go at once. */

import { isMeterRecord } from '../openflow/meter-record.ts';
import { noShape, recordShape } from '../openflow/shape.ts';
import { forEachRecordOf } from './desired.ts';
import type { Operations, RecordSource } from './operations.ts';
import type { Unit } from './slab.ts';

/** With open, commit and barrier within what Open vSwitch reads of a connection in one turn (50, ofconn_run()). */
const mostAtOnce = 40;
/** Bundles beyond this are a switch's first load; what it is made of is learnt from what follows. */
const mostLearnt = 1_000;
/** Shapes are as many as the pipeline has kinds of flows; this is for a day without end. */
const mostKept = 10_000;

export class AcceptedShapes {
  readonly #known = new Set<number>();

  get size(): number {
    return this.#known.size;
  }

  /** Whether the operations are few, and the switch has taken flows of each of their shapes. */
  cover(operations: Operations): boolean {
    if (operations.length > mostAtOnce || this.#known.size === 0) return false;
    let last: RecordSource | undefined;
    let kind: Uint32Array | undefined;
    for (let index = 0; index < operations.length; index++) {
      const source = operations.source(index);
      if (source === last) continue;
      last = source;
      if (!isUnit(source)) return false;
      const shapes = shapesOf(source);
      if (shapes === kind) continue;
      kind = shapes;
      for (const shape of shapes) if (shape === noShape || !this.#known.has(shape)) return false;
    }
    return true;
  }

  /** The switch has taken all of these, and has everything else of their units. */
  learn(operations: Operations): void {
    if (operations.length > mostLearnt) return;
    if (this.#known.size > mostKept) this.#known.clear();
    let last: RecordSource | undefined;
    for (let index = 0; index < operations.length; index++) {
      const source = operations.source(index);
      if (source === last || !isUnit(source)) continue;
      last = source;
      if (source.flows > mostLearnt) continue;
      for (const shape of shapesOf(source)) if (shape !== noShape) this.#known.add(shape);
    }
  }

  /** It has refused one after all. */
  forget(): void {
    this.#known.clear();
  }
}

function isUnit(source: RecordSource): source is Unit {
  return 'key' in source;
}

/** Once for a unit, whichever switches want it. */
function shapesOf(unit: Unit): Uint32Array {
  unit.shapes ??= distinct(unit);
  return unit.shapes;
}

function distinct(unit: Unit): Uint32Array {
  const shapes = new Set<number>();
  forEachRecordOf(unit, (at) => {
    // Meters are set before, by messages of their own.
    if (!isMeterRecord(unit.bytes, at)) shapes.add(recordShape(unit.bytes, at));
  });
  const sorted = Uint32Array.from(shapes).sort();
  const name = sorted.join();
  const known = kinds.get(name);
  if (known !== undefined) return known;
  if (kinds.size > mostKept) kinds.clear();
  kinds.set(name, sorted);
  return sorted;
}

/** Units are many and their kinds few: one array for all of a kind. */
const kinds = new Map<string, Uint32Array>();
