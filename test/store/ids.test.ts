import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { IdPools, type IdRange, type IdTransaction, idRange, zonePool } from '../../src/store/ids.ts';
import { MemoryDisk, openMemoryStore } from '../../src/store/memory.ts';
import type { Store } from '../../src/store/store.ts';

const small = (pool: string): IdRange => ({
  first: 3,
  last: pool === 'wide' ? 20 : 6,
  reused: pool !== 'counter',
  ...(pool === 'wide' && { spare: 2 }),
});
const always = () => true;
const never = () => false;

const commitOf = (store: Store, transaction: IdTransaction) => {
  const { put, delete: gone } = transaction.writes();
  return store.commit({ put, delete: gone });
};

/** Commits, and settles the transaction. */
async function settle(store: Store, transaction: IdTransaction): Promise<number> {
  const result = await commitOf(store, transaction);
  if (!result.ok) throw new Error('conflict');
  transaction.commit(result.revision);
  return result.revision;
}

const pools = ['a', 'wide', 'zone/7'];
const state = (ids: IdPools) => pools.map((pool) => ({ live: ids.live(pool), retired: [...ids.retired(pool)] }));

/** The rule, told the slow way. */
class Model {
  live = new Set<number>();
  unused: number[];
  freed: { id: number; revision: number }[] = [];
  readonly spare: number;

  constructor({ first, last, spare = Number.POSITIVE_INFINITY }: IdRange) {
    this.unused = Array.from({ length: last - first + 1 }, (_, at) => first + at);
    this.spare = spare;
  }

  allocate(acknowledged: number): number | undefined {
    const oldest = this.freed.find(({ revision }) => revision <= acknowledged);
    let id = this.freed.length > this.spare ? oldest?.id : undefined;
    id ??= this.unused.shift() ?? oldest?.id;
    if (id === oldest?.id) this.freed = this.freed.filter((one) => one !== oldest);
    if (id !== undefined) this.live.add(id);
    return id;
  }

  copy(): Model {
    return Object.assign(new Model({ first: 1, last: 0, reused: true }), structuredClone({ ...this }));
  }
}

type Drawn = {
  steps: ({ free: number; pool: string } | { pool: string })[];
  outcome: 'commit' | 'rollback' | 'reload';
  lag: number;
};

const drawn: fc.Arbitrary<Drawn> = fc.record({
  steps: fc.array(
    fc.oneof(
      fc.record({ pool: fc.constantFrom(...pools) }),
      fc.record({ pool: fc.constantFrom(...pools), free: fc.nat() }),
    ),
    { maxLength: 8 },
  ),
  outcome: fc.constantFrom('commit', 'commit', 'rollback', 'reload'),
  lag: fc.nat(4),
});

test('no id is live twice, new ones come in order, then, or where enough are freed, the longest freed that may: over commits, failures and restarts', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(drawn, { maxLength: 30 }), async (transactions) => {
      const store = openMemoryStore();
      let ids = await IdPools.load(store, small);
      let models = new Map(pools.map((pool) => [pool, new Model(small(pool))]));
      for (const { steps, outcome, lag } of transactions) {
        const before = new Map([...models].map(([pool, model]) => [pool, model.copy()]));
        const stateBefore = state(ids);
        const acknowledged = store.revision - lag;
        const revision = store.revision + 1;
        const transaction = ids.begin();
        for (const step of steps) {
          const model = models.get(step.pool)!;
          if ('free' in step) {
            const candidates = [...model.live];
            const id = candidates[step.free % candidates.length];
            if (id === undefined) continue;
            transaction.free(step.pool, id);
            model.live.delete(id);
            model.freed.push({ id, revision });
            expect(ids.holds(step.pool, id)).toBe(false);
            expect(() => transaction.free(step.pool, id)).toThrow('not given out');
          } else {
            const expected = model.allocate(acknowledged);
            const allocate = () => transaction.allocate(step.pool, (freedAt) => freedAt <= acknowledged);
            if (expected === undefined) expect(allocate).toThrow(expect.objectContaining({ code: 'ids.exhausted' }));
            else expect(allocate()).toBe(expected);
          }
        }
        if (outcome === 'rollback') {
          transaction.rollback();
          models = before;
          expect(state(ids)).toEqual(stateBefore);
        } else {
          expect(await settle(store, transaction)).toBe(revision);
          if (outcome === 'reload') ids = await IdPools.load(store, small);
        }
        expect(state(ids)).toEqual(
          pools.map((pool) => ({ live: models.get(pool)!.live.size, retired: models.get(pool)!.freed })),
        );
        for (const [pool, { live }] of models) for (const id of live) expect(ids.holds(pool, id)).toBe(true);
      }
      expect(state(await IdPools.load(store, small))).toEqual(state(ids));
    }),
    { numRuns: 200 },
  );
});

test('transactions on their way together: when the disk refuses, all are undone, whoever is rolled back first', async () => {
  const order = fc.shuffledSubarray([0, 1, 2, 3], { minLength: 4 });
  await fc.assert(
    fc.asyncProperty(order, fc.array(drawn, { minLength: 4, maxLength: 4 }), async (rollbacks, four) => {
      const disk = new MemoryDisk();
      const store = openMemoryStore({ disk });
      const ids = await IdPools.load(store, small);
      const first = ids.begin();
      const given = pools.flatMap((pool) => [1, 2].map(() => ({ pool, id: first.allocate(pool, never) })));
      first.free('a', given[0]!.id);
      await settle(store, first);
      const before = state(ids);
      disk.refusal = new Error('full');
      const under = four.map(({ steps }) => {
        const transaction = ids.begin();
        for (const step of steps) {
          const id = given[('free' in step ? step.free : 0) % given.length]!;
          try {
            if ('free' in step) transaction.free(id.pool, id.id);
            else transaction.allocate(step.pool, always);
          } catch {
            // Freed twice or exhausted: as good as any other way a transaction may end up.
          }
        }
        return { transaction, commit: commitOf(store, transaction) };
      });
      const outcomes = await Promise.allSettled(under.map(({ commit }) => commit));
      expect(new Set(outcomes.map(({ status }) => status))).toEqual(new Set(['rejected']));
      for (const at of rollbacks) under[at]!.transaction.rollback();
      expect(state(ids)).toEqual(before);
      expect(state(await IdPools.load(openMemoryStore({ disk }), small))).toEqual(before);
      await store.close();
    }),
    { numRuns: 50 },
  );
});

describe('a transaction', () => {
  test('on its way together with others is durable in any order of the answers', async () => {
    const store = openMemoryStore();
    const ids = await IdPools.load(store, small);
    const first = ids.begin();
    expect(first.allocate('a', never)).toBe(3);
    const one = commitOf(store, first);
    const after = ids.begin();
    expect(after.allocate('a', never)).toBe(4);
    after.free('a', 3);
    const two = commitOf(store, after);
    const [a, b] = await Promise.all([one, two]);
    if (!a.ok || !b.ok) throw new Error('conflict');
    after.commit(b.revision);
    first.commit(a.revision);
    expect([...ids.retired('a')]).toEqual([{ id: 3, revision: 2 }]);
    expect(state(await IdPools.load(store, small))).toEqual(state(ids));
  });

  test('never gives out again what it, or one not yet durable, has freed', () => {
    const ids = new IdPools([], small);
    const first = ids.begin();
    for (let id = 3; id <= 6; id++) expect(first.allocate('a', always)).toBe(id);
    first.free('a', 5);
    expect(() => first.allocate('a', always)).toThrow('ids.exhausted: a: of 4 ids 3 are in use and 1 are freed');
    expect(() => ids.begin().allocate('a', always)).toThrow('ids.exhausted');
    first.commit(1);
    const later = ids.begin();
    expect(() => later.allocate('a', (revision) => revision < 1)).toThrow('ids.exhausted');
    expect(later.allocate('a', (revision) => revision <= 1)).toBe(5);
  });

  test('is closed once it is settled, or another has begun', () => {
    const ids = new IdPools([], small);
    const first = ids.begin();
    first.allocate('a', never);
    const second = ids.begin();
    expect(() => first.allocate('a', never)).toThrow('later transaction');
    second.allocate('a', never);
    first.rollback();
    expect(() => second.commit(1)).toThrow('rolled back');
    expect(() => second.allocate('a', never)).toThrow('rolled back');
    second.rollback();
    expect(ids.live('a')).toBe(0);

    const third = ids.begin();
    const fourth = ids.begin();
    fourth.allocate('a', never);
    fourth.commit(2);
    // What is durable cannot be undone: rather an error than two holders of an id.
    expect(() => third.rollback()).toThrow('later one is durable');
    expect(ids.holds('a', 3)).toBe(true);
    third.commit(1);
    expect(() => third.rollback()).toThrow('committed');
  });

  test('writes one record per pool and one per freed id, however many ids it takes', async () => {
    const store = openMemoryStore();
    const ids = await IdPools.load(store, small);
    const first = ids.begin();
    for (let n = 0; n < 10; n++) first.allocate('wide', never);
    expect(first.writes()).toEqual({ put: new Map([['ids/wide/next', '13']]), delete: [] });
    await settle(store, first);
    const second = ids.begin();
    second.free('wide', 5);
    second.free('wide', 4);
    expect(second.writes().put).toEqual(
      new Map([
        ['ids/wide/freed/000000000000', '{"id":5}'],
        ['ids/wide/freed/000000000001', '{"id":4}'],
      ]),
    );
  });

  test('drops a pool whole, and brings it back when it is rolled back', async () => {
    const store = openMemoryStore();
    const ids = await IdPools.load(store);
    const zone = zonePool(9);
    const first = ids.begin();
    for (let n = 0; n < 3; n++) first.allocate(zone, never);
    first.free(zone, 1025);
    await settle(store, first);
    const undone = ids.begin();
    undone.free(zone, 1024);
    undone.drop(zone);
    expect(undone.allocate(zone, never)).toBe(1024);
    undone.rollback();
    expect([...ids.retired(zone)]).toEqual([{ id: 1025, revision: 1 }]);
    expect(ids.live(zone)).toBe(2);
    const second = ids.begin();
    second.free(zone, 1024);
    second.drop(zone);
    await settle(store, second);
    expect((await store.list('ids/')).entries).toEqual([]);
    const third = ids.begin();
    expect(third.allocate(zone, never)).toBe(1024);
    await settle(store, third);
    expect((await store.list('ids/')).entries).toEqual([{ key: 'ids/zone/9/next', value: '1025', revision: 3 }]);
  });
});

describe('pools', () => {
  test.each([
    ['tenant-key', 1, 0xffffff],
    ['rule-id', 1, 0xfffffffe],
    ['hypervisor-number', 1, 65_534],
    ['network-number', 1, 0xffffff],
    ['tier-number', 1, 0xffffff],
    ['zone/12', 1024, 65_535],
    ['resource-number', 1, 0xffffffffff],
  ])('%s runs from %i to %i', (pool, first, last) => {
    expect(idRange(pool)).toMatchObject({ first, last, reused: pool !== 'resource-number' });
    const at = (next: number) => new IdPools([{ key: `ids/${pool}/next`, value: `${next}`, revision: 1 }]).begin();
    expect(new IdPools([]).begin().allocate(pool, never)).toBe(first);
    const end = at(last);
    expect(end.allocate(pool, never)).toBe(last);
    expect(() => end.allocate(pool, never)).toThrow(expect.objectContaining({ code: 'ids.exhausted' }));
  });

  test('there are no others, and no other records', () => {
    expect(() => new IdPools([]).begin().allocate('zone/x', never)).toThrow(RangeError);
    expect(() => new IdPools([]).begin().allocate('keys', never)).toThrow(RangeError);
    expect(() => new IdPools([{ key: 'ids/rule-id/else', value: '1', revision: 1 }])).toThrow('no record');
  });

  test('a counter never goes back', () => {
    const ids = new IdPools([], small);
    const transaction = ids.begin();
    expect([transaction.next('counter'), transaction.next('counter')]).toEqual([3, 4]);
    expect(() => transaction.free('counter', 3)).toThrow('never freed');
  });

  test('what comes and goes takes a bounded number of records, though there are ids that were never used', () => {
    const ids = new IdPools([]);
    const records = new Set<string>();
    const given = new Set<number>();
    for (let revision = 1; revision <= 50_000; revision++) {
      const transaction = ids.begin();
      // Switches are a hundred commits behind.
      const id = transaction.allocate('rule-id', (freedAt) => freedAt <= revision - 100);
      given.add(id);
      transaction.free('rule-id', id);
      const { put, delete: gone } = transaction.writes();
      for (const key of gone) records.delete(key);
      for (const key of put.keys()) records.add(key);
      transaction.commit(revision);
    }
    expect(records.size).toBeLessThan(17_000);
    expect(given.size).toBeLessThan(17_000);
    // Each has rested long before it came again.
    expect([...ids.retired('rule-id')].length).toBeGreaterThan(16_000);
    // With a switch that is away nothing is given out again, and what is freed is kept.
    const away = ids.begin();
    const more = Array.from({ length: 1_000 }, () => away.allocate('rule-id', never));
    expect(more.filter((id) => given.has(id))).toEqual([]);
  });

  test('a hundred thousand ids freed and taken again cost the same each', () => {
    const size = 100_000;
    const ids = new IdPools([], () => ({ first: 0, last: size - 1, reused: true }));
    const take = (from: number, count: number, revision: number | undefined) => {
      const transaction = ids.begin();
      const taken = Array.from({ length: count }, () => transaction.allocate('p', always));
      expect(taken).toEqual(Array.from({ length: count }, (_, n) => from + n));
      if (revision === undefined) transaction.rollback();
      else transaction.commit(revision);
    };
    take(0, size, 1);
    const free = ids.begin();
    for (let id = 0; id < size; id++) free.free('p', id);
    free.commit(2);
    for (let n = 0; n < 10; n++) {
      take(n * 5_000, 5_000, undefined);
      take(n * 5_000, 5_000, 3 + n);
    }
    expect(ids.live('p')).toBe(50_000);
    expect([...ids.retired('p')]).toHaveLength(50_000);
  });
});
