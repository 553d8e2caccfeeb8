/** What the southbound says it holds, against what it was given; and how its thread does. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodeFlows } from '../../plugins/openvswitch/openflow/record.ts';
import { hashBytes } from '../../src/drivers/hash.ts';
import type { HeldUnits } from '../../src/drivers/switch-plugin.ts';
import type { Flow } from '../../src/pipeline/flow.ts';
import { flow } from './flows.ts';
import { PluginUnderTest } from './plugin-under-test.ts';
import { SouthboundUnderTest } from './southbound-under-test.ts';

const sorted = ({ units, hashes }: HeldUnits): [string, number][] =>
  [...units].map((unit, i): [string, number] => [unit, hashes[i]!]).sort(([a], [b]) => (a < b ? -1 : 1));

const expected = (model: ReadonlyMap<string, readonly Flow[]>): [string, number][] =>
  [...model]
    .map(([unit, flows]): [string, number] => [unit, hashBytes(encodeFlows(flows))])
    .sort(([a], [b]) => (a < b ? -1 : 1));

test('is, through the thread, what was applied before the question and nothing of what came after', async () => {
  await using under = await new PluginUnderTest().start();
  const unit = fc.constantFrom('a', 'b', 'c', 'd', 'e');
  const flows = fc.option(
    fc.array(fc.nat(200), { minLength: 1, maxLength: 4 }).map((ports) => ports.map((port) => flow(port % 3, port))),
    { nil: undefined },
  );
  const hosts = fc.uniqueArray(fc.integer({ min: 1, max: 3 }), { minLength: 1 });
  const model = new Map([1, 2, 3].map((h) => [h, new Map<string, readonly Flow[]>()]));
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(unit, flows, hosts), { maxLength: 8 }), async (passes) => {
      const asked: Promise<void>[] = [];
      for (const [key, value, on] of passes) {
        under.apply({ [key]: value }, on);
        for (const h of on) {
          if (value === undefined) model.get(h)!.delete(key);
          else model.get(h)!.set(key, value);
        }
        for (const [h, units] of model) {
          const then = expected(units);
          asked.push(under.plugin.held(h).then((held) => expect(sorted(held)).toEqual(then)));
        }
      }
      await Promise.all(asked);
    }),
    { numRuns: 60 },
  );
  const nobody = await under.plugin.held(9);
  expect([[...nobody.units], nobody.hashes.length]).toEqual([[], 0]);
});

test('stays what it was while units go and the slab is tidied under it', async () => {
  await using under = await new SouthboundUnderTest().start();
  const model = new Map<string, readonly Flow[]>();
  for (let u = 0; u < 600; u++) {
    const flows = Array.from({ length: 100 }, (_, i) => flow(u + 1, (u * 100 + i) % 65_000));
    model.set(`u${u}`, flows);
  }
  under.apply(Object.fromEntries(model));
  let answered = false;
  const asking = under.southbound.held(1).then(({ keys, hashes }) => {
    answered = true;
    return { units: keys.split('\n'), hashes };
  });
  let turns = 0;
  for (let u = 0; u < 600 && !answered; u += 3, turns++) {
    under.apply({ [`u${u}`]: undefined, [`u${u + 1}`]: [flow(9, u)] });
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(turns).toBeGreaterThan(2);
  expect(sorted(await asking)).toEqual(expected(model));
  for (const key of model.keys()) under.apply({ [key]: undefined });
  // Nothing is kept for the sake of an answer that was given.
  expect(under.southbound.stats().slab).toMatchObject({ units: 0, bytes: 0 });
  expect(await under.southbound.held(1)).toMatchObject({ keys: '' });
});

test('the thread tells how late its event loop is, and its memory', async () => {
  await using under = await new PluginUnderTest().start();
  const before = await under.plugin.load();
  expect(before.heapUsed).toBeGreaterThan(1 << 20);
  expect(before.heapLimit).toBeGreaterThan(before.heapUsed);
  // A pass of many flows keeps the thread busy for a while.
  const many = Array.from({ length: 60_000 }, (_, i) => flow(1 + (i >> 9), i));
  under.apply({ many });
  const { delay, external } = await under.plugin.load();
  // Something else may have been collected meanwhile.
  expect(external).toBeGreaterThan(before.external + 60_000 * 50);
  for (const late of [delay.p50, delay.p99, delay.max]) expect(late).toBeGreaterThanOrEqual(0);
  expect(delay.max).toBeGreaterThanOrEqual(delay.p99);
  expect(delay.p50).toBeLessThan(5);
});
