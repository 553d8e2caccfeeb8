/** Who is waited for, held against the whole history of passes; and what is remembered of it. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Progress } from '../../src/reconcile/progress.ts';

const switches = [1, 2, 3, 4];
const objects = ['a', 'b', 'c'];
/** Milliseconds; nothing here waits that long. */
const never = 1_000_000;

type Pass = { sequence: number; revision: number; on: number[]; touched: string[] };

/** The same as Progress, worked out from everything that ever happened. */
class History {
  readonly passes: Pass[] = [];
  readonly acknowledged = new Map(switches.map((h) => [h, 0]));
  readonly connected = new Set<number>();
  readonly present = new Set(switches);
  readonly missingTunnels = new Map<number, number>();
  readonly tunnelPass = new Map<number, number>();

  /** Switches that have not confirmed one of these passes. */
  behind(passes: readonly Pass[]): number[] {
    const open = passes.flatMap(({ on, sequence }) => on.filter((h) => this.acknowledged.get(h)! < sequence));
    return [...new Set(open)].filter((h) => this.present.has(h)).sort((a, b) => a - b);
  }

  touching(object: string): Pass[] {
    return this.passes.filter(({ touched }) => touched.includes(object));
  }

  isProgrammed(revision: number, mode: 'programmed' | 'all'): boolean {
    const observed = Math.max(0, ...this.passes.map((pass) => pass.revision));
    if (observed < revision) return false;
    const first = this.passes.find((pass) => pass.revision >= revision);
    if (first === undefined) return true;
    // What concerns its objects counts, whichever pass brought it: up to this one.
    const concerned = [first, ...first.touched.flatMap((o) => this.touching(o))].filter(
      ({ sequence }) => sequence <= first.sequence,
    );
    const awaited = (h: number) => this.present.has(h) && (mode === 'all' || this.connected.has(h));
    if (this.behind(concerned).some(awaited)) return false;
    const tunnelled = first.on.filter(awaited).filter((h) => this.connected.has(h));
    return tunnelled.every((h) => this.#tunnelled(h)) && !first.on.some((h) => awaited(h) && !this.connected.has(h));
  }

  #tunnelled(h: number): boolean {
    return (this.missingTunnels.get(h) ?? 0) === 0 && this.acknowledged.get(h)! >= (this.tunnelPass.get(h) ?? 0);
  }
}

type Step = (progress: Progress, history: History, waits: Wait[]) => void;
type Wait = { revision: number; mode: 'programmed' | 'all'; answered: number; by: Promise<void> };

const some = <T>(all: readonly T[]): fc.Arbitrary<T[]> => fc.subarray([...all]);
const one = fc.constantFrom(...switches);

const pass = fc.tuple(some(switches), some(objects), fc.nat(2), fc.boolean()).map(
  ([on, touched, newer, tunnels]): Step =>
    (progress, history) => {
      const revision = progress.observed + newer;
      const present = on.filter((h) => history.present.has(h));
      const sequence = progress.begin(revision, present, touched);
      if (tunnels) for (const h of present) progress.tunnelsSent(h, sequence);
      if (tunnels) for (const h of present) history.tunnelPass.set(h, sequence);
      history.passes.push({ sequence, revision, on: present, touched });
    },
);

const acknowledgement = fc.tuple(one, fc.nat(3)).map(
  ([h, back]): Step =>
    (progress, history) => {
      const sent = history.passes.filter(({ on }) => on.includes(h)).map(({ sequence }) => sequence);
      // The last, or one of those before.
      const sequence = sent.at(-1 - back);
      if (sequence === undefined || !history.present.has(h)) return;
      progress.acknowledged(h, sequence);
      history.acknowledged.set(h, Math.max(sequence, history.acknowledged.get(h)!));
    },
);

const connection = fc.tuple(one, fc.boolean()).map(
  ([h, connected]): Step =>
    (progress, history) => {
      if (!history.present.has(h)) return;
      progress.connected(h, connected);
      if (connected) history.connected.add(h);
      else history.connected.delete(h);
    },
);

const tunnels = fc.tuple(one, fc.nat(1)).map(
  ([h, count]): Step =>
    (progress, history) => {
      progress.tunnelsMissing(h, count);
      history.missingTunnels.set(h, count);
    },
);

const removal = one.map(
  (h): Step =>
    (progress, history) => {
      progress.remove(h);
      history.present.delete(h);
    },
);

const waiting = fc.tuple(fc.nat(3), fc.constantFrom('programmed' as const, 'all' as const)).map(
  ([ahead, mode]): Step =>
    (progress, _history, waits) => {
      const revision = Math.max(0, progress.observed + 1 - ahead);
      const wait: Wait = { revision, mode, answered: 0, by: Promise.resolve() };
      wait.by = progress.wait(revision, mode, never).then((done) => {
        expect(done).toBe(true);
        wait.answered++;
      });
      waits.push(wait);
    },
);

const step = fc.oneof(
  { weight: 6, arbitrary: pass },
  { weight: 10, arbitrary: acknowledgement },
  { weight: 4, arbitrary: connection },
  { weight: 2, arbitrary: tunnels },
  { weight: 1, arbitrary: removal },
  { weight: 4, arbitrary: waiting },
);

test('whoever waits is told at the moment it is so, and objects await who has not confirmed them, whatever comes', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      const progress = new Progress();
      for (const h of switches) progress.add(h);
      const history = new History();
      const waits: Wait[] = [];
      for (const run of steps) {
        const open = waits.filter(({ answered }) => answered === 0);
        run(progress, history, waits);
        // Promises that were resolved by this step tell.
        for (let i = 0; i < 3; i++) await Promise.resolve();
        for (const wait of [...open, ...waits.slice(open.length)])
          if (wait.answered === 0) expect(history.isProgrammed(wait.revision, wait.mode)).toBe(false);
        for (const wait of open)
          if (wait.answered > 0) expect(history.isProgrammed(wait.revision, wait.mode)).toBe(true);
        for (const object of objects)
          expect(progress.outstanding(object).sort((a, b) => a - b)).toEqual(history.behind(history.touching(object)));
      }
      for (const h of switches) progress.remove(h);
      progress.begin(progress.observed + 2, [], []);
      await Promise.all(waits.map(({ by }) => by));
      expect(waits.map(({ answered }) => answered)).toEqual(waits.map(() => 1));
    }),
    { numRuns: 400 },
  );
});

test('a wait that runs out is told so once, and no later acknowledgement tells it again', async () => {
  const progress = new Progress();
  progress.add(1);
  progress.connected(1, true);
  const sequence = progress.begin(1, [1], ['a']);
  expect(await progress.wait(1, 'programmed', 1)).toBe(false);
  progress.acknowledged(1, sequence);
  expect(await progress.wait(1, 'programmed', 1)).toBe(true);
});

test('a change that goes to no switch does not hide that an earlier one has not arrived', async () => {
  const progress = new Progress();
  for (const h of [1, 2]) progress.add(h);
  for (const h of [1, 2]) progress.connected(h, true);
  const flows = progress.begin(1, [1, 2], ['a']);
  // Another label, say.
  progress.begin(2, [], ['a']);
  expect(progress.outstanding('a')).toEqual([1, 2]);
  expect(await progress.wait(2, 'programmed', 1)).toBe(false);
  progress.acknowledged(1, flows);
  const more = progress.begin(3, [1], ['a']);
  expect(progress.outstanding('a').sort()).toEqual([1, 2]);
  progress.acknowledged(1, more);
  expect(progress.outstanding('a')).toEqual([2]);
  const done = progress.wait(3, 'programmed', never);
  progress.acknowledged(2, flows);
  expect(await done).toBe(true);
  expect(progress.awaited('a')).toBe(undefined);
});

test('what is over is forgotten though nobody asks for it', async () => {
  const progress = new Progress();
  for (const h of [1, 2]) progress.add(h);
  for (const h of [1, 2]) progress.connected(h, true);
  for (let i = 1; i <= 50_000; i++) {
    const sequence = progress.begin(i, [1, 2], [`object ${i}`]);
    for (const h of [1, 2]) progress.acknowledged(h, sequence);
  }
  expect(progress.remembered).toBeLessThan(2_500);
  // Of those that are not over none is lost: one switch goes away.
  for (let i = 50_001; i <= 60_000; i++) progress.acknowledged(1, progress.begin(i, [1, 2], [`object ${i}`]));
  expect(progress.outstanding('object 50001')).toEqual([2]);
  expect(progress.outstanding('object 49999')).toEqual([]);
  expect(await progress.wait(49_999, 'programmed', 1)).toBe(true);
  expect(await progress.wait(50_001, 'programmed', 1)).toBe(false);
  progress.acknowledged(2, progress.sequence);
  expect(await progress.wait(60_000, 'programmed', 1)).toBe(true);
});
