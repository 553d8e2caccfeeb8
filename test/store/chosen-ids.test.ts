/** Pools whose ids are chosen by who needs them, VLANs: held by a model that keeps a plain list. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { IdPools, vlanPool } from '../../src/store/ids.ts';
import { openMemoryStore } from '../../src/store/memory.ts';

const pool = vlanPool('rack/1');

type Step = { what: 'claim' | 'free' | 'oldest'; id: number };

type Turn = { steps: Step[]; outcome: 'commit' | 'rollback' | 'reload'; acknowledged: number };

const turns = fc.array(
  fc.record<Turn>({
    steps: fc.array(
      fc.record<Step>({ what: fc.constantFrom('claim', 'free', 'oldest'), id: fc.integer({ min: 1, max: 6 }) }),
      { maxLength: 6 },
    ),
    outcome: fc.constantFrom('commit', 'rollback', 'reload'),
    acknowledged: fc.nat(12),
  }),
  { maxLength: 12 },
);

test('a freed one comes back once those who held it have let go of it, the least recently freed first', async () => {
  await fc.assert(
    fc.asyncProperty(turns, async (all) => {
      const store = openMemoryStore();
      let ids = await IdPools.load(store);
      let inUse = new Set<number>();
      let freed: { id: number; revision: number }[] = [];
      for (const { steps, outcome, acknowledged } of all) {
        const releasable = (revision: number) => revision <= acknowledged;
        const transaction = ids.begin();
        const [use, rest] = [new Set(inUse), [...freed]];
        const takeBack = (at: number) => rest.splice(at, 1)[0]!.id;
        for (const { what, id } of steps) {
          if (what === 'free' && use.delete(id)) {
            transaction.free(pool, id);
            rest.push({ id, revision: Number.POSITIVE_INFINITY });
          } else if (what === 'claim' && !use.has(id)) {
            const at = rest.findIndex((one) => one.id === id);
            const may = at < 0 || rest[at]!.revision <= acknowledged;
            expect(transaction.claim(pool, id, releasable)).toBe(may);
            if (may && at >= 0) takeBack(at);
            if (may) use.add(id);
          } else if (what === 'oldest') {
            const at = rest.findIndex((one) => one.id % 2 === id % 2);
            const expected = at >= 0 && rest[at]!.revision <= acknowledged ? takeBack(at) : undefined;
            expect(transaction.claimFreed(pool, (one) => one % 2 === id % 2, releasable)).toBe(expected);
            if (expected !== undefined) use.add(expected);
          }
        }
        if (outcome === 'rollback') {
          transaction.rollback();
        } else {
          const { put, delete: gone } = transaction.writes();
          const result = await store.commit({ put, delete: gone });
          if (!result.ok) throw new Error('conflict');
          transaction.commit(result.revision);
          inUse = use;
          freed = rest.map(({ id, revision }) => ({ id, revision: Math.min(revision, result.revision) }));
          if (outcome === 'reload') ids = await IdPools.load(store);
        }
        expect([...ids.retired(pool)]).toEqual(freed);
        for (let id = 1; id <= 6; id++) {
          expect(ids.holds(pool, id)).toBe(freed.every((one) => one.id !== id));
        }
      }
    }),
    { numRuns: 300 },
  );
});

test('whoever had it may have it back at once, also after a restart, and nobody else', async () => {
  const store = openMemoryStore();
  const first = (await IdPools.load(store)).begin();
  first.free(pool, 7, 42);
  expect(first.claim(pool, 7, () => false, 43)).toBe(false);
  expect(first.claim(pool, 7, () => false)).toBe(false);
  const { put, delete: gone } = first.writes();
  await store.commit({ put, delete: gone });
  const again = await IdPools.load(store);
  const second = again.begin();
  expect(second.claim(pool, 7, () => false, 43)).toBe(false);
  expect(second.claim(pool, 7, () => false, 42)).toBe(true);
  expect(again.holds(pool, 7)).toBe(true);
  second.rollback();
  expect([...again.retired(pool)]).toEqual([{ id: 7, revision: 1 }]);
});

test('ids of other pools are not chosen, and there are no VLANs but 1 to 4094', () => {
  const ids = new IdPools([]).begin();
  expect(() => ids.claim('rule-id', 1, () => true)).toThrow('not chosen');
  expect(() => ids.claim(pool, 4095, () => true)).toThrow(RangeError);
  expect(() => ids.claim(pool, 0, () => true)).toThrow(RangeError);
});
