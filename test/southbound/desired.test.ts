/** Slab, index and desired flows against a table that does what the operations say. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { encodeFlows, recordKeyHash, recordLength } from '../../plugins/openvswitch/openflow/record.ts';
import { DesiredFlows, forEachRecordOf } from '../../plugins/openvswitch/switch/desired.ts';
import { KeyIndex } from '../../plugins/openvswitch/switch/key-index.ts';
import { type Operations, objectOf } from '../../plugins/openvswitch/switch/operations.ts';
import { Slab, type Unit } from '../../plugins/openvswitch/switch/slab.ts';
import { cookie } from '../../src/pipeline/cookie.ts';
import { contents } from './fake-switch.ts';
import { flow } from './flows.ts';

function recordText(bytes: Uint8Array, at: number): { key: string; line: string } {
  const line = contents(bytes.subarray(at, at + recordLength(bytes, at)))[0]!;
  return { key: line.split(' ').slice(0, 3).join(' '), line };
}

/** Does to a table what the operations say, and holds them to what they claim. */
function perform(operations: Operations, table: Map<string, string>): void {
  const keys = new Set<string>();
  for (let index = 0; index < operations.length; index++) {
    const source = operations.source(index);
    const { key, line } = recordText(source.bytes, source.at + operations.offset(index));
    expect(keys.has(key), 'one operation for a key').toBe(false);
    keys.add(key);
    expect(operations.isInstalled(index)).toBe(table.has(key));
    if (operations.isDelete(index)) table.delete(key);
    else table.set(key, line);
  }
}

const unitArbitrary = fc.array(
  fc.record({ resource: fc.integer({ min: 1, max: 5 }), port: fc.nat(14), goto: fc.constantFrom(12, 14) }),
  { maxLength: 5 },
);

const stepArbitrary = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      step: fc.constant('merge' as const),
      changes: fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd', 'e'), fc.option(unitArbitrary, { nil: undefined })),
      /** Resources the switch refuses a flow of in this pass, in this order. */
      refused: fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 2 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ step: fc.constant('retry' as const) }) },
);

describe('desired flows', () => {
  test('whatever changes, collides and is refused: the switch ends with what is wanted, and nothing else', () => {
    fc.assert(
      fc.property(fc.array(stepArbitrary, { maxLength: 25 }), (steps) => {
        const slab = new Slab(4096);
        const desired = new DesiredFlows(slab);
        const table = new Map<string, string>();
        const rejected = new Set<number>();
        for (const step of steps) {
          if (step.step === 'retry') {
            desired.retryAll();
            rejected.clear();
            // What a comparison with the whole switch would do.
            table.clear();
            for (const line of wantedLines(desired)) table.set(line.split(' ').slice(0, 3).join(' '), line);
            continue;
          }
          const changes = new Map<string, Unit | undefined>();
          const touched = new Set<number>();
          for (const [key, flows] of Object.entries(step.changes)) {
            const old = desired.units.get(key);
            if (old !== undefined) forEachRecordOf(old, (at) => touched.add(objectOf(old.bytes, at)));
            for (const { resource } of flows ?? []) touched.add(resource);
            const bytes = encodeFlows((flows ?? []).map((one) => flow(one.resource, one.port, { goto: one.goto })));
            changes.set(key, flows === undefined ? undefined : slab.add(key, bytes));
          }
          for (const object of touched) rejected.delete(object);
          const merge = desired.merge(changes);
          let { operations } = merge;
          for (const resource of step.refused) {
            if (!adds(operations, resource)) continue;
            operations = desired.reject(resource, operations);
            rejected.add(resource);
          }
          perform(operations, table);
          for (const unit of merge.retired) slab.release(unit);
          expect([...table.values()].sort()).toEqual(wantedLines(desired));
          holdToRules(desired, rejected);
        }
        const live = [...desired.units.values()].reduce((sum, unit) => sum + unit.length, 0);
        expect(slab.stats().bytes).toBe(live);
      }),
      { numRuns: 400 },
    );
  });

  test('without collisions and refusals it is exactly what the units say, however they came about', () => {
    const portArbitrary = fc.uniqueArray(
      fc.record({ port: fc.nat(30), unit: fc.nat(3), goto: fc.constantFrom(12, 14) }),
      {
        selector: ({ port }) => port,
      },
    );
    fc.assert(
      fc.property(fc.array(portArbitrary, { maxLength: 10 }), (states) => {
        const slab = new Slab(4096);
        const desired = new DesiredFlows(slab);
        const table = new Map<string, string>();
        for (const state of states) {
          const changes = new Map<string, Unit | undefined>();
          for (const unit of [0, 1, 2, 3]) {
            const flows = state
              .filter((one) => one.unit === unit)
              .map(({ port, goto }) => flow(unit + 1, port, { goto }));
            changes.set(`${unit}`, flows.length === 0 ? undefined : slab.add(`${unit}`, encodeFlows(flows)));
          }
          const { operations, retired, duplicates } = desired.merge(changes);
          expect(duplicates).toEqual([]);
          perform(operations, table);
          for (const unit of retired) slab.release(unit);
          const wanted = encodeFlows(state.map(({ port, unit, goto }) => flow(unit + 1, port, { goto })));
          expect([...table.values()].sort()).toEqual(contents(wanted));
        }
      }),
      { numRuns: 200 },
    );
  });

  test('flows of the pipeline itself are told apart by stage, others by resource', () => {
    const object = (value: bigint): number => objectOf(encodeFlows([flow(0, 1, { cookie: value })]), 0);
    expect(object(cookie(3, 0xff_1234_5678))).toBe(0xff_1234_5678);
    expect(object(cookie(3, 7))).toBe(object(cookie(4, 7)));
    expect(object(cookie(3, 0))).toBeLessThan(0);
    expect(object(cookie(3, 0))).not.toBe(object(cookie(4, 0)));
  });
});

function adds(operations: Operations, resource: number): boolean {
  for (let index = 0; index < operations.length; index++) {
    const source = operations.source(index);
    const object = objectOf(source.bytes, source.at + operations.offset(index));
    if (!operations.isDelete(index) && object === resource) return true;
  }
  return false;
}

function wantedLines(desired: DesiredFlows): string[] {
  const lines: string[] = [];
  for (let slot = 0; slot < desired.index.capacity; slot++) {
    if (!desired.index.occupied(slot) || !desired.isWanted(slot)) continue;
    const { unit, offset } = desired.recordAt(slot);
    lines.push(recordText(unit.bytes, unit.at + offset).line);
  }
  return lines.sort();
}

/** Every key has one owner; an object is set aside when one of its flows was refused or lost its key, and only then. */
function holdToRules(desired: DesiredFlows, rejected: ReadonlySet<number>): void {
  const keys = new Set<string>();
  const losers = new Set<number>();
  const objects = new Set<number>();
  for (const unit of desired.units.values()) {
    forEachRecordOf(unit, (at, offset) => {
      const object = objectOf(unit.bytes, at);
      objects.add(object);
      keys.add(recordText(unit.bytes, at).key);
      const slot = desired.index.find(unit.bytes, at);
      expect(slot).toBeGreaterThanOrEqual(0);
      expect(desired.index.isMarked(slot)).toBe(false);
      const owner = desired.recordAt(slot);
      if (owner.unit !== unit || owner.offset !== offset) losers.add(object);
    });
  }
  expect(desired.index.count).toBe(keys.size);
  for (const object of objects) expect(desired.isSetAside(object)).toBe(rejected.has(object) || losers.has(object));
}

describe('slab', () => {
  test('units keep their bytes through compaction, and memory follows what lives', () => {
    const sizes = fc.array(fc.record({ flows: fc.integer({ min: 0, max: 60 }), release: fc.nat(1000) }), {
      minLength: 20,
      maxLength: 80,
    });
    fc.assert(
      fc.property(sizes, (steps) => {
        const slab = new Slab(4096);
        const living: { unit: Unit; bytes: Uint8Array }[] = [];
        for (const [index, { flows, release }] of steps.entries()) {
          const bytes = encodeFlows(Array.from({ length: flows }, (_, port) => flow(index, port)));
          living.push({ unit: slab.add(`${index}`, bytes), bytes });
          if (release % 3 > 0) slab.release(living.splice(release % living.length, 1)[0]!.unit);
          if (release % 7 === 0 && living.length > 0) slab.release(living.splice(release % living.length, 1)[0]!.unit);
        }
        for (const { unit, bytes } of living) {
          expect(slab.get(unit.id)).toBe(unit);
          expect(Buffer.from(unit.bytes.subarray(unit.at, unit.at + unit.length)).equals(bytes)).toBe(true);
        }
        const { bytes, reserved, units } = slab.stats();
        expect(units).toBe(living.length);
        expect(bytes).toBe(living.reduce((sum, one) => sum + one.bytes.length, 0));
        // Half alive, the chunk that is being filled, and what a unit left over at the end of each.
        expect(reserved).toBeLessThanOrEqual(4 * bytes + 3 * 4096 + 60 * 88);
      }),
      { numRuns: 100 },
    );
  });

  test('what is no record is refused', () => {
    expect(() => new Slab().add('a', new Uint8Array(24))).toThrow('no record');
  });
});

describe('index of keys', () => {
  test('keys of one hash are told apart', () => {
    const slab = new Slab();
    const seen = new Map<number, number>();
    const pairs: [number, number][] = [];
    const record = (n: number): Uint8Array => encodeFlows([flow(1, n & 0xffff, { priority: n >> 16 })]);
    for (let n = 0; pairs.length < 3; n++) {
      const hash = recordKeyHash(record(n), 0);
      const other = seen.get(hash);
      if (other !== undefined) pairs.push([other, n]);
      seen.set(hash, n);
    }
    const index = new KeyIndex(slab);
    for (const [one, other] of pairs) {
      const [first, second] = [slab.add('1', record(one)), slab.add('2', record(other))];
      const hash = recordKeyHash(first.bytes, first.at);
      index.insert(hash, first.id, 0);
      expect(index.find(second.bytes, second.at)).toBe(-1);
      index.insert(hash, second.id, 0);
      expect(index.unitOf(index.find(first.bytes, first.at))).toBe(first.id);
      expect(index.unitOf(index.find(second.bytes, second.at))).toBe(second.id);
      index.remove(index.find(first.bytes, first.at));
      expect(index.find(first.bytes, first.at)).toBe(-1);
      expect(index.unitOf(index.find(second.bytes, second.at))).toBe(second.id);
    }
    expect(index.count).toBe(3);
  });
});
