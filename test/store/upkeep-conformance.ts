/** What every store is held to of what looks after it: snapshots, compaction, health. */
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Problem } from '../../src/problems.ts';
import type { CommittedChange, Entry, Snapshot, Store } from '../../src/store/store.ts';
import type { Kind, Place } from './conformance.ts';

const put = (...pairs: [string, string][]) => ({ put: new Map(pairs) });
const problem = (code: string) => expect.objectContaining({ name: 'Problem', code }) as Problem;
const upTo = (last: number, from = 1) => Array.from({ length: last - from + 1 }, (_, at) => from + at);

async function all(snapshot: Snapshot): Promise<Entry[]> {
  const entries: Entry[] = [];
  for await (const entry of snapshot.entries()) entries.push(entry);
  return entries;
}

async function fill(store: Store, commits: number): Promise<void> {
  for (let from = 1; from <= commits; from += 100) {
    await Promise.all(upTo(Math.min(commits, from + 99), from).map((r) => store.commit(put([`k${r % 7}`, `${r}`]))));
  }
}

async function take(store: Store, from: number, count: number): Promise<CommittedChange[]> {
  const taken: CommittedChange[] = [];
  for await (const change of store.watch(from)) {
    taken.push(change);
    if (taken.length === count) break;
  }
  return taken;
}

/** The store comes back by itself; for how long is its business. */
async function eventually<T>(attempt: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + 10_000;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof Problem) || Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

export function upkeepConformance({ name, faults, place }: Kind): void {
  describe(`${name}, looked after`, () => {
    let at: Place;
    beforeEach(() => {
      at = place();
    });
    afterEach(async () => {
      await at[Symbol.asyncDispose]();
    });

    describe('a snapshot', () => {
      const key = fc.constantFrom('a', 'a/', 'a/1', 'b', 'B', '~', ' ');
      const write = fc.tuple(key, fc.option(fc.integer({ min: 0, max: 99 })));
      const step = fc.oneof(
        { weight: 3, arbitrary: fc.uniqueArray(write, { maxLength: 4, selector: ([k]) => k }) },
        { weight: 1, arbitrary: fc.constant('snapshot' as const) },
      );

      test('is everything there was at its revision, however late it is read and whatever came after', async () => {
        await fc.assert(
          fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
            await using here = place();
            const store = await here.open();
            const states: Entry[][] = [[]];
            const now = new Map<string, Entry>();
            const taking: Promise<Snapshot>[] = [];
            const commits: Promise<unknown>[] = [];
            for (const taken of steps) {
              // Nothing is waited for: snapshots are taken while commits are on their way.
              if (taken === 'snapshot') {
                taking.push(store.snapshot());
                continue;
              }
              const change = { put: new Map<string, string>(), delete: [] as string[] };
              for (const [k, v] of taken) {
                if (v === null) change.delete.push(k);
                else change.put.set(k, `${v}`);
              }
              commits.push(store.commit(change));
              const revision = states.length;
              for (const k of change.delete) now.delete(k);
              for (const [k, value] of change.put) now.set(k, { key: k, value, revision });
              states.push([...now.values()].sort((x, y) => (x.key < y.key ? -1 : 1)));
              if (revision % 3 === 0) await Promise.all(commits);
            }
            await Promise.all(commits);
            await store.commit({ put: new Map([['later', '1']]), delete: [...now.keys()] });
            for (const snapshot of await Promise.all(taking)) {
              expect(await all(snapshot)).toEqual(states[snapshot.revision]);
              await snapshot[Symbol.asyncDispose]();
            }
            await store.close();
          }),
          { numRuns: 40 },
        );
      });

      test('is never ahead of the store', async () => {
        const store = await at.open();
        let writing = true;
        const writer = fill(store, 300).finally(() => {
          writing = false;
        });
        while (writing) {
          await using snapshot = await store.snapshot();
          expect(snapshot.revision).toBeLessThanOrEqual(store.revision);
          const newest = Math.max(0, ...(await all(snapshot)).map(({ revision }) => revision));
          expect(newest).toBe(snapshot.revision);
        }
        await writer;
        await store.close();
      });

      test('may be read twice, in part, and beside writes; others have their turn meanwhile', async () => {
        const store = await at.open();
        const pairs = upTo(3_000).map((n): [string, string] => [`k${String(n).padStart(5, '0')}`, `"${n}"`]);
        await store.commit({ put: new Map(pairs) });
        await using snapshot = await store.snapshot();
        let turns = 0;
        const turning = setInterval(() => turns++, 0);
        let seen = 0;
        for await (const { key, value, revision } of snapshot.entries()) {
          expect([key, value, revision]).toEqual([...pairs[seen]!, 1]);
          if (seen++ % 500 === 0) await store.commit({ delete: [pairs[seen + 100]![0]] });
        }
        clearInterval(turning);
        expect(seen).toBe(3_000);
        expect(turns).toBeGreaterThan(2);
        for await (const { key } of snapshot.entries()) {
          expect(key).toBe('k00001');
          break;
        }
        expect(await all(snapshot)).toHaveLength(3_000);
        expect((await store.list('')).entries).toHaveLength(2_994);
        await store.close();
      });

      test('ends with a problem when the store closes while it is read', async () => {
        const store = await at.open();
        await store.commit({ put: new Map(upTo(2_000).map((n) => [`k${n}`, '1'])) });
        const snapshot = await store.snapshot();
        const reading = (async () => {
          for await (const { key } of snapshot.entries()) if (key === 'k100') void store.close();
        })();
        await expect(reading).rejects.toEqual(problem('store.unavailable'));
        await store.close();
        await snapshot[Symbol.asyncDispose]();
        await expect(store.snapshot()).rejects.toEqual(problem('store.unavailable'));
      });
    });

    describe('compaction', () => {
      test('cuts the log to what is asked for; what is kept, is kept over a restart', async () => {
        let store = await at.open();
        await fill(store, 100);
        const before = await store.list('');
        const behind = store.watch(50)[Symbol.asyncIterator]();
        expect((await behind.next()).value).toMatchObject({ revision: 51 });
        await store.compact(200);
        expect(store.oldest).toBe(0);
        await store.compact(10);
        expect(store.oldest).toBe(90);
        expect(await store.list('')).toEqual(before);
        await expect(take(store, 89, 1)).rejects.toEqual(problem('events.compacted'));
        expect((await take(store, 90, 10)).map(({ revision }) => revision)).toEqual(upTo(100, 91));
        await store.compact(50);
        expect(store.oldest).toBe(90);
        await store.close();
        store = await at.open();
        expect([store.oldest, store.revision]).toEqual([90, 100]);
        expect(await store.list('')).toEqual(before);
        await store.compact(0);
        expect(store.oldest).toBe(100);
        expect(await store.commit(put(['a', '1']))).toEqual({ ok: true, revision: 101 });
        expect(await take(store, 100, 1)).toHaveLength(1);
        await store.close();
      });

      test('goes on beside commits, which wait for a piece of it only', async () => {
        const store = await at.open();
        await fill(store, 9_000);
        let done = false;
        const compacting = store.compact(1_000).finally(() => {
          done = true;
        });
        let during = 0;
        for (let r = 9_001; r <= 9_060; r++) {
          expect(await store.commit(put(['a', `${r}`]))).toEqual({ ok: true, revision: r });
          if (!done) during++;
        }
        await compacting;
        expect(during).toBeGreaterThan(0);
        expect(store.oldest).toBe(8_000);
        expect((await take(store, 9_000, 60)).map(({ revision }) => revision)).toEqual(upTo(9_060, 9_001));
        expect((await take(store, 8_000, 1_060)).map(({ revision }) => revision)).toEqual(upTo(9_060, 8_001));
        await store.close();
      });

      test('of nonsense is refused, of a closed store too; one that the store closes on is told', async () => {
        const store = await at.open();
        await fill(store, 5_000);
        for (const changes of [-1, 0.5, Number.NaN]) await expect(store.compact(changes)).rejects.toThrow(RangeError);
        const compacting = store.compact(0);
        const closing = store.close();
        await expect(compacting).rejects.toEqual(problem('store.unavailable'));
        await closing;
        await expect(store.compact(0)).rejects.toEqual(problem('store.unavailable'));
      });

      test.each(faults)('that the disk refuses (%s the write) costs nothing but the log', async (fault) => {
        let store = await at.open();
        await fill(store, 50);
        const before = await store.list('');
        at.refuse(fault);
        await expect(store.compact(10)).rejects.toEqual(problem('store.unavailable'));
        await expect(store.commit(put(['a', '1']))).rejects.toEqual(problem('store.unavailable'));
        expect((await store.health()).state).toBe('refused');
        at.heal();
        expect(await eventually(() => store.list(''))).toEqual(before);
        const { oldest } = store;
        expect(oldest).toBe(fault === 'before' ? 0 : 40);
        expect(await take(store, oldest, 50 - oldest)).toHaveLength(50 - oldest);
        expect(await store.commit(put(['a', '1']))).toEqual({ ok: true, revision: 51 });
        await store.close();
        store = await at.open();
        expect([store.oldest, store.revision]).toEqual([oldest, 51]);
        await store.close();
      });
    });

    test('health tells the newest write', async () => {
      const store = await at.open();
      expect(await store.health()).toMatchObject({ state: 'serving', lastWrite: undefined });
      const before = Date.now();
      await store.commit(put(['a', '1']));
      const { lastWrite } = await store.health();
      expect(lastWrite!.at).toBeGreaterThanOrEqual(before);
      expect(lastWrite!.took).toBeGreaterThan(0);
      expect(lastWrite!.took).toBeLessThan(5_000);
      await store.close();
    });
  });
}
