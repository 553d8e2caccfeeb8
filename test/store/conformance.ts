/** What every store is held to, src/store/store.ts line by line. Run on each by conformance.test.ts. */
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Problem } from '../../src/problems.ts';
import type { Change, CommitResult, CommittedChange, Limits, Store } from '../../src/store/store.ts';

/** `before`: nothing of the write reaches the disk; `after`: all of it does, and the disk then reports a failure. */
export type Fault = 'before' | 'after';

/** A place for a store that outlives it. */
export type Place = AsyncDisposable & {
  open(limits?: Partial<Limits>): Promise<Store>;
  /** From now on every write fails so, and the disk does not come back before `heal`. */
  refuse(fault: Fault): void;
  heal(): void;
};

export type Kind = { name: string; faults: readonly Fault[]; place(): Place };

type ModelEntry = { value: string; revision: number };

/** The obvious implementation. */
class Model {
  entries = new Map<string, ModelEntry>();
  log: Omit<CommittedChange, 'at'>[] = [];

  get revision(): number {
    return this.log.length;
  }

  commit({ expect = new Map(), put = new Map(), delete: gone = [] }: Change): CommitResult {
    const conflicts = [...expect].filter(([key, revision]) => (this.entries.get(key)?.revision ?? 0) !== revision);
    if (conflicts.length > 0) return { ok: false, conflicts: conflicts.map(([key]) => key) };
    const revision = this.revision + 1;
    const writes: CommittedChange['writes'] = [];
    for (const [key, value] of put) {
      writes.push({ key, value, previous: this.entries.get(key)?.value });
      this.entries.set(key, { value, revision });
    }
    for (const key of gone) {
      const before = this.entries.get(key);
      if (before === undefined) continue;
      writes.push({ key, value: undefined, previous: before.value });
      this.entries.delete(key);
    }
    this.log.push({ revision, writes });
    return { ok: true, revision };
  }

  list(prefix: string) {
    const entries = [...this.entries].map(([key, entry]) => ({ key, ...entry }));
    return entries.filter(({ key }) => key.startsWith(prefix)).sort((a, b) => (a.key < b.key ? -1 : 1));
  }
}

const keys = ['a', 'a/', 'a/1', 'a/10', 'a/2', 'a0', 'B', 'b/~', 'b', ' '];
const key = fc.constantFrom(...keys);
const value = fc.oneof(fc.json({ maxDepth: 1 }), fc.constantFrom('""', '"ä \u{1f600}\\n"', `"${'x'.repeat(5000)}"`));

/** Expectations are drawn as "right", "absent" or a number, and resolved against the model when their turn comes. */
const drawnChange = fc.record({
  expect: fc.array(fc.tuple(key, fc.oneof({ weight: 5, arbitrary: fc.constant('right') }, fc.nat({ max: 12 }))), {
    maxLength: 3,
  }),
  writes: fc.uniqueArray(fc.tuple(key, fc.option(value)), { maxLength: 4, selector: ([k]) => k }),
});

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ type: fc.constant('commit' as const), change: drawnChange }) },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('burst' as const),
      changes: fc.array(drawnChange, { minLength: 2, maxLength: 6 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('reopen' as const) }) },
);

type DrawnChange = typeof drawnChange extends fc.Arbitrary<infer T> ? T : never;

function resolveChange(model: Model, { expect: expected, writes }: DrawnChange): Change {
  return {
    expect: new Map(expected.map(([k, r]) => [k, typeof r === 'string' ? (model.entries.get(k)?.revision ?? 0) : r])),
    put: new Map(writes.flatMap(([k, v]) => (v === null ? [] : [[k, v]]))),
    delete: writes.flatMap(([k, v]) => (v === null ? [k] : [])),
  };
}

const put = (...pairs: [string, string][]): Change => ({ put: new Map(pairs) });

async function take(store: Store, from: number, count: number): Promise<CommittedChange[]> {
  const taken: CommittedChange[] = [];
  if (count === 0) return taken;
  for await (const change of store.watch(from)) {
    taken.push(change);
    if (taken.length === count) break;
  }
  return taken;
}

const withoutTime = ({ revision, writes }: CommittedChange) => ({ revision, writes });
const revisions = (changes: CommittedChange[]) => changes.map(({ revision }) => revision);
const upTo = (last: number, from = 1) => Array.from({ length: last - from + 1 }, (_, at) => from + at);
const problem = (code: string) => expect.objectContaining({ name: 'Problem', code }) as Problem;

export function conformance({ name, faults, place }: Kind): void {
  describe(name, () => {
    let at: Place;
    beforeEach(() => {
      at = place();
    });
    afterEach(async () => {
      await at[Symbol.asyncDispose]();
    });

    test('does what a map does, across restarts, and tells it', async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
          await using here = place();
          const model = new Model();
          let store = await here.open();
          for (const taken of steps) {
            if (taken.type === 'reopen') {
              await store.close();
              store = await here.open();
            } else {
              const drawn = taken.type === 'commit' ? [taken.change] : taken.changes;
              const expected: CommitResult[] = [];
              // Called without waiting: judged in this order all the same.
              const answers = drawn.map((one) => {
                const change = resolveChange(model, one);
                expected.push(model.commit(change));
                return store.commit(change);
              });
              expect(store.next).toBe(model.revision + 1);
              expect(await Promise.all(answers)).toEqual(expected);
            }
            expect(store.next).toBe(model.revision + 1);
            expect(store.revision).toBe(model.revision);
            expect(await store.list('')).toEqual({ revision: model.revision, entries: model.list('') });
            expect((await store.list('a/')).entries).toEqual(model.list('a/'));
            for (const k of keys.slice(0, 3)) {
              const entry = model.entries.get(k);
              expect(await store.get(k)).toEqual(entry && { key: k, ...entry });
            }
          }
          const half = model.revision >> 1;
          expect((await take(store, half, model.revision - half)).map(withoutTime)).toEqual(model.log.slice(half));
          await store.close();
          store = await here.open();
          expect((await take(store, 0, model.revision)).map(withoutTime)).toEqual(model.log);
          await store.close();
        }),
        { numRuns: 30 },
      );
    });

    test('slices of a list are parts of the whole list', async () => {
      const store = await at.open();
      await store.commit({ put: new Map(keys.map((k) => [k, '1'])) });
      const slice = fc.record({
        limit: fc.integer({ min: 1, max: 12 }),
        after: fc.option(fc.oneof(key, fc.constantFrom('!', 'a/1!', '~')), { nil: undefined }),
        reverse: fc.option(fc.boolean(), { nil: undefined }),
      });
      await fc.assert(
        fc.asyncProperty(fc.constantFrom('', 'a', 'a/', 'a/1', 'b', 'c'), slice, async (prefix, part) => {
          const { limit, after, reverse } = part;
          let all = keys.filter((k) => k.startsWith(prefix)).sort();
          if (reverse === true) all.reverse();
          if (after !== undefined) all = all.filter((k) => (reverse === true ? k < after : k > after));
          const { entries } = await store.list(prefix, part);
          expect(entries.map((entry) => entry.key)).toEqual(all.slice(0, limit));
        }),
      );
      await expect(store.list('', { limit: 0 })).rejects.toThrow(RangeError);
      await store.close();
    });

    test('commits without writes are revisions too; deleting what is not there is no write', async () => {
      const store = await at.open();
      expect(await store.commit({})).toEqual({ ok: true, revision: 1 });
      expect(await store.commit({ delete: ['a'] })).toEqual({ ok: true, revision: 2 });
      expect((await take(store, 0, 2)).map(withoutTime)).toEqual([
        { revision: 1, writes: [] },
        { revision: 2, writes: [] },
      ]);
      await store.close();
    });

    test('the time of a change is that of its commit', async () => {
      const store = await at.open();
      const before = Date.now();
      await store.commit(put(['a', '1']));
      const after = Date.now();
      await store.close();
      const again = await at.open();
      const [change] = await take(again, 0, 1);
      expect(change!.at).toBeGreaterThanOrEqual(before);
      expect(change!.at).toBeLessThanOrEqual(after);
      await again.close();
    });

    describe('conflicts', () => {
      test('of all who expect the same revision, one wins', async () => {
        const store = await at.open();
        await store.commit(put(['a', '0']));
        const racers = upTo(20).map((n) =>
          store.commit({ expect: new Map([['a', 1]]), put: new Map([['a', `${n}`]]) }),
        );
        const answers = await Promise.all(racers);
        expect(answers[0]).toEqual({ ok: true, revision: 2 });
        expect(answers.slice(1)).toEqual(new Array(19).fill({ ok: false, conflicts: ['a'] }));
        expect(await store.get('a')).toEqual({ key: 'a', value: '1', revision: 2 });
        expect(store.revision).toBe(2);
        await store.close();
      });

      test('all failed keys are named, and nothing is written', async () => {
        const store = await at.open();
        await store.commit(put(['a', '0'], ['b', '0']));
        const wrong = new Map([
          ['a', 1],
          ['b', 0],
          ['c', 7],
        ]);
        expect(await store.commit({ expect: wrong, put: new Map([['a', '1']]), delete: ['b'] })).toEqual({
          ok: false,
          conflicts: ['b', 'c'],
        });
        expect((await store.list('')).entries.map(({ value: v }) => v)).toEqual(['0', '0']);
        expect(store.revision).toBe(1);
        await store.close();
      });

      test('whoever is told of a conflict finds what it was with', async () => {
        const store = await at.open();
        const first = store.commit(put(['a', '1']));
        expect(await store.commit({ expect: new Map([['a', 0]]) })).toEqual({ ok: false, conflicts: ['a'] });
        expect(await store.get('a')).toEqual({ key: 'a', value: '1', revision: 1 });
        await first;
        await store.close();
      });

      test('a key that was deleted, on disk or on the way, is expected as 0', async () => {
        const store = await at.open();
        await store.commit(put(['a', '1']));
        const answers = await Promise.all([
          store.commit({ delete: ['a'] }),
          store.commit({ expect: new Map([['a', 0]]), put: new Map([['a', '2']]) }),
        ]);
        expect(answers.map(({ ok }) => ok)).toEqual([true, true]);
        await store.commit({ delete: ['a'] });
        expect((await store.commit({ expect: new Map([['a', 0]]) })).ok).toBe(true);
        await store.close();
      });
    });

    describe('watch', () => {
      test('goes from the log to live without a gap or a repetition, for watchers at every position', async () => {
        const store = await at.open();
        const total = 700;
        for (let n = 0; n < 300; n += 50) {
          await Promise.all(upTo(n + 50, n + 1).map((r) => store.commit(put([`k${r % 7}`, `${r}`]))));
        }
        const writing = (async () => {
          for (let r = 301; r <= total; r++) await store.commit(put([`k${r % 7}`, `${r}`]));
        })();
        const starts = [0, 1, 299, 300, store.revision];
        const seen = await Promise.all(starts.map((from) => take(store, from, total - from)));
        await writing;
        seen.forEach((changes, which) => {
          expect(revisions(changes)).toEqual(upTo(total, starts[which]! + 1));
          for (const { revision, writes } of changes) {
            const previous = revision > 7 ? `${revision - 7}` : undefined;
            expect(writes).toEqual([{ key: `k${revision % 7}`, value: `${revision}`, previous }]);
          }
        });
        await store.close();
      });

      test('a change is told only once it is durable, and when its commit is answered it has been', async () => {
        const store = await at.open();
        const watcher = store.watch(0)[Symbol.asyncIterator]();
        const next = watcher.next();
        await store.commit(put(['a', '1']));
        expect(store.revision).toBe(1);
        const told = await next;
        expect(told.done === true ? undefined : told.value.revision).toBe(1);
        await watcher.return?.();
        await store.close();
      });

      test('starts at its position however late it is first read', async () => {
        const store = await at.open();
        const changes = store.watch(store.revision);
        await store.commit(put(['a', '1']));
        for await (const change of changes) {
          expect(change.revision).toBe(1);
          break;
        }
        await store.close();
      });

      test('ends when the signal aborts: before, between and while it waits', async () => {
        const store = await at.open();
        await store.commit(put(['a', '1']));
        await store.commit(put(['a', '2']));
        const seen: number[] = [];
        for await (const { revision } of store.watch(0, AbortSignal.abort())) seen.push(revision);
        expect(seen).toEqual([]);
        const between = new AbortController();
        for await (const { revision } of store.watch(0, between.signal)) {
          seen.push(revision);
          between.abort();
        }
        expect(seen).toEqual([1]);
        const waiting = new AbortController();
        for await (const { revision } of store.watch(1, waiting.signal)) {
          seen.push(revision);
          setTimeout(() => waiting.abort(), 5);
        }
        expect(seen).toEqual([1, 2]);
        await store.close();
      });

      test('ends when the store closes', async () => {
        const store = await at.open();
        const watching = (async () => {
          const seen: number[] = [];
          for await (const { revision } of store.watch(0)) seen.push(revision);
          return seen;
        })();
        await store.commit(put(['a', '1']));
        await store.close();
        expect(await watching).toEqual([1]);
      });

      test('ends when the store closes also for those who are behind, wherever they are', async () => {
        let store = await at.open();
        await Promise.all(upTo(1_500).map((r) => store.commit(put([`k${r}`, `${r}`]))));
        await store.close();
        store = await at.open();
        const watching = upTo(20).map(async (which) => {
          let seen = 0;
          for await (const { revision } of store.watch(0)) {
            if (revision !== ++seen) throw new Error(`${revision} came as number ${seen}`);
            if (revision % 50 === which) await new Promise(setImmediate);
          }
          return seen;
        });
        await new Promise((resolve) => setTimeout(resolve, 5));
        const closed = store.close();
        expect(await Promise.all(watching)).toHaveLength(20);
        await closed;
      });

      test('refuses a revision that is not kept, or that has not been', async () => {
        const store = await at.open({ changes: 3 });
        for (const r of upTo(10)) await store.commit(put(['a', `${r}`]));
        await expect(take(store, store.oldest - 1, 1)).rejects.toEqual(problem('events.compacted'));
        await expect(take(store, 11, 1)).rejects.toEqual(problem('events.compacted'));
        expect(revisions(await take(store, store.oldest, 3))).toEqual([8, 9, 10]);
        await expect(take(store, -1, 1)).rejects.toThrow(RangeError);
        await expect(take(store, 0.5, 1)).rejects.toThrow(RangeError);
        await store.close();
      });

      test('tells a watcher that fell off the log, after what it could still read', async () => {
        const store = await at.open({ changes: 10 });
        for (const r of upTo(10)) await store.commit(put(['a', `${r}`]));
        const slow = store.watch(0)[Symbol.asyncIterator]();
        const seen: number[] = [];
        const first = await slow.next();
        if (first.done !== true) seen.push(first.value.revision);
        for (const r of upTo(2_000, 11)) await store.commit(put(['a', `${r}`]));
        const rest = (async () => {
          for (let next = await slow.next(); next.done !== true; next = await slow.next()) {
            seen.push(next.value.revision);
          }
        })();
        await expect(rest).rejects.toEqual(problem('events.compacted'));
        expect(seen).toEqual(upTo(seen.length));
        expect(seen.length).toBeLessThan(1_990);
        await store.close();
      });
    });

    describe('the log', () => {
      test('keeps what was asked for and little more, and its end survives a restart', async () => {
        let store = await at.open({ changes: 20 });
        for (const r of upTo(15)) await store.commit(put([`k${r % 4}`, `${r}`]));
        expect(store.oldest).toBe(0);
        for (const r of upTo(100, 16)) await store.commit(put([`k${r % 4}`, `${r}`]));
        expect(store.oldest).toBe(80);
        await Promise.all(upTo(150, 101).map((r) => store.commit(put([`k${r % 4}`, `${r}`]))));
        await store.commit(put(['last', '151']));
        expect(store.oldest).toBe(131);
        await store.close();
        store = await at.open({ changes: 20 });
        expect(store.oldest).toBe(131);
        const kept = await take(store, 131, 20);
        expect(revisions(kept)).toEqual(upTo(151, 132));
        expect(kept[0]!.writes).toEqual([{ key: 'k0', value: '132', previous: '128' }]);
        await store.close();
      });

      test('never drops more than its size, however small and however large the group', async () => {
        const store = await at.open({ changes: 1 });
        await Promise.all(upTo(50).map((r) => store.commit(put(['a', `${r}`]))));
        expect(store.oldest).toBeLessThan(store.revision);
        await store.commit(put(['a', '51']));
        expect(revisions(await take(store, store.oldest, 1))).toEqual([store.oldest + 1]);
        await store.close();
      });

      test('can be made longer and shorter by a restart', async () => {
        let store = await at.open({ changes: 50 });
        for (const r of upTo(40)) await store.commit(put(['a', `${r}`]));
        await store.close();
        store = await at.open({ changes: 10 });
        await store.commit(put(['a', '41']));
        expect(store.oldest).toBe(31);
        await store.close();
        store = await at.open({ changes: 50 });
        await store.commit(put(['a', '42']));
        expect(store.oldest).toBe(31);
        expect(revisions(await take(store, 31, 11))).toEqual(upTo(42, 32));
        await store.close();
      });
    });

    describe('limits', () => {
      test('a commit beyond them is refused whole', async () => {
        const store = await at.open({ writes: 3 });
        expect(store.limits.writes).toBe(3);
        const four = { put: new Map([...'ab'].map((k) => [k, '1'])), delete: ['c', 'd'] };
        await expect(store.commit(four)).rejects.toEqual(problem('request.too-large'));
        expect((await store.commit({ ...four, delete: ['c'] })).ok).toBe(true);
        // Together they are beyond it: it is one commit's, not one sync's.
        const answers = upTo(10).map((n) => store.commit(put([`a${n}`, '1'], [`b${n}`, '2'])));
        expect(await Promise.all(answers)).toEqual(upTo(11, 2).map((revision) => ({ ok: true, revision })));
        await store.close();
      });

      test('a large commit keeps every write', async () => {
        const store = await at.open();
        const pairs = upTo(3_000).map((n): [string, string] => [`k${n}`, `"${n}"`]);
        await store.commit({ put: new Map(pairs) });
        // Enough updates that their former values are not read one by one.
        await store.commit({ put: new Map(pairs.slice(0, 500).map(([k]) => [k, '"new"'])) });
        const [, second] = await take(store, 0, 2);
        expect(second!.writes).toEqual(pairs.slice(0, 500).map(([k, v]) => ({ key: k, value: '"new"', previous: v })));
        expect((await store.list('')).entries).toHaveLength(3_000);
        await store.close();
      });

      test.each([
        ['an empty key', put(['', '1'])],
        ['a key beyond ASCII', put(['ä', '1'])],
        ['a control character', { delete: ['a\n'] }],
        ['a long key', put(['k'.repeat(1025), '1'])],
        ['a lone surrogate', put(['b', '"\ud800"'])],
        ['a key twice', { ...put(['b', '1']), delete: ['b'] }],
      ])('%s is refused and leaves no trace', async (_, change: Change) => {
        const store = await at.open();
        await expect(store.commit({ ...change, put: new Map([['a', '1'], ...(change.put ?? [])]) })).rejects.toThrow(
          TypeError,
        );
        expect(await store.commit({ expect: new Map([['a', 0]]) })).toEqual({ ok: true, revision: 1 });
        expect((await store.list('')).entries).toEqual([]);
        await store.close();
      });
    });

    describe.each(faults)('when the disk refuses (%s the write)', (fault) => {
      test('the group, what is queued behind it and what was judged by it fail, and nothing of it is seen', async () => {
        let store = await at.open();
        await store.commit(put(['a', '1'], ['b', '1']));
        const seen: CommittedChange[] = [];
        const watching = (async () => {
          for await (const change of store.watch(0)) seen.push(change);
        })();
        at.refuse(fault);
        const failing = [
          store.commit({ expect: new Map([['a', 1]]), put: new Map([['a', '2']]), delete: ['b'] }),
          store.commit(put(['c', '1'])),
          store.commit({ expect: new Map([['a', 1]]), put: new Map([['a', '3']]) }),
        ];
        await Promise.resolve();
        await Promise.resolve();
        failing.push(store.commit(put(['d', '1'])));
        const outcomes = await Promise.allSettled(failing);
        for (const outcome of outcomes) {
          expect(outcome).toEqual({ status: 'rejected', reason: problem('store.unavailable') });
        }
        expect([store.revision, store.next]).toEqual([1, 2]);
        await expect(store.commit(put(['e', '1']))).rejects.toEqual(problem('store.unavailable'));

        at.heal();
        const afterwards = await eventually(() =>
          store.commit({ expect: new Map([['a', 1]]), put: new Map([['f', '1']]) }),
        );
        expect(afterwards).toEqual({ ok: true, revision: 2 });
        const entries = [
          { key: 'a', value: '1', revision: 1 },
          { key: 'b', value: '1', revision: 1 },
          { key: 'f', value: '1', revision: 2 },
        ];
        expect(await store.list('')).toEqual({ revision: 2, entries });
        await store.commit({ delete: ['b'] });
        await store.close();
        await watching;
        const log = [
          { revision: 1, writes: ['a', 'b'].map((k) => ({ key: k, value: '1', previous: undefined })) },
          { revision: 2, writes: [{ key: 'f', value: '1', previous: undefined }] },
          { revision: 3, writes: [{ key: 'b', value: undefined, previous: '1' }] },
        ];
        expect(seen.map(withoutTime)).toEqual(log);
        store = await at.open();
        expect((await store.list('')).entries).toEqual([entries[0], entries[2]]);
        expect((await take(store, 0, 3)).map(withoutTime)).toEqual(log);
        await store.close();
      });

      test('a restart finds nothing of what failed, also when the disk came back only then', async () => {
        let store = await at.open({ changes: 2 });
        await store.commit(put(['a', '1'], ['b', '1']));
        await store.commit(put(['a', '2']));
        await store.commit(put(['a', '3']));
        at.refuse(fault);
        const failing = [
          store.commit({ put: new Map([['a', '4']]), delete: ['b'] }),
          store.commit(put(['b', '5'], ['c', '5'])),
          store.commit({ delete: ['a', 'b'] }),
        ];
        const outcomes = await Promise.allSettled(failing);
        expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'rejected']);
        await store.close();
        at.heal();
        store = await at.open({ changes: 2 });
        const entries = [
          { key: 'a', value: '3', revision: 3 },
          { key: 'b', value: '1', revision: 1 },
        ];
        expect(await store.list('')).toEqual({ revision: 3, entries });
        expect(store.revision).toBe(3);
        expect(store.oldest).toBeLessThanOrEqual(3);
        expect(await store.commit(put(['a', '4']))).toEqual({ ok: true, revision: 4 });
        expect((await take(store, 3, 1)).map(withoutTime)).toEqual([
          { revision: 4, writes: [{ key: 'a', value: '4', previous: '3' }] },
        ]);
        await store.close();
      });
    });

    describe('closing', () => {
      test('makes durable what was already committed, refuses the rest, and may be called again', async () => {
        const store = await at.open();
        const answers = upTo(30).map((r) => store.commit(put([`k${r}`, '1'])));
        const closed = store.close();
        await expect(store.commit(put(['late', '1']))).rejects.toEqual(problem('store.unavailable'));
        await expect(store.get('k1')).rejects.toEqual(problem('store.unavailable'));
        expect(await Promise.all(answers)).toEqual(upTo(30).map((revision) => ({ ok: true, revision })));
        await closed;
        await store.close();
        const again = await at.open();
        expect((await again.list('')).entries).toHaveLength(30);
        await again.close();
      });
    });

    test('reads among writes show one revision each, never ahead of the store', async () => {
      const store = await at.open();
      let writing = true;
      const writer = (async () => {
        for (let r = 1; r <= 300; r++) await store.commit(put(['a', `${r}`], ['b', `${r}`]));
        writing = false;
      })();
      while (writing) {
        const { revision, entries } = await store.list('');
        expect(revision).toBeLessThanOrEqual(store.revision);
        if (revision > 0) {
          expect(entries).toEqual(['a', 'b'].map((k) => ({ key: k, value: `${revision}`, revision })));
        }
        const entry = await store.get('a');
        if (entry !== undefined) expect(entry.value).toBe(`${entry.revision}`);
        expect(entry?.revision ?? 0).toBeLessThanOrEqual(store.revision);
        await new Promise(setImmediate);
      }
      await writer;
      await store.close();
    });
  });
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
