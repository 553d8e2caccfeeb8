/** Programming a switch made for tests: differences, coalescing, what becomes of refused flows. */
import { describe, expect, test } from 'vitest';
import { encodeFlows } from '../../plugins/openvswitch/openflow/record.ts';
import { cookie } from '../../src/pipeline/cookie.ts';
import { until } from '../../src/sandbox/ephemeral.ts';
import { contents, type Entry, OFPT } from './fake-switch.ts';
import { flow } from './flows.ts';
import { SouthboundUnderTest } from './southbound-under-test.ts';

const BAD_OUT_GROUP: [number, number] = [2, 9];

const isCommit = (type: number, body: Buffer): boolean => type === OFPT.bundleControl && body.readUInt16BE(4) === 4;
const serves =
  (resource: number) =>
  (entry: Entry): [number, number] | undefined =>
    entry.cookie === cookie(10, resource) ? BAD_OUT_GROUP : undefined;

describe('programming', () => {
  test('nothing is pushed before the hypervisor is ready; then everything, in one bundle', async () => {
    await using under = await new SouthboundUnderTest().start();
    under.admit(1, { ready: false });
    under.apply({ a: [flow(1, 80)], b: [flow(2, 81), flow(2, 82)] });
    const fake = await under.fake(1).connect();
    await until('set-up', () => fake.log.includes(OFPT.setAsync));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(fake.flowMods).toBe(0);
    expect(under.all('connected')).toEqual([]);
    under.southbound.ready(1);
    await under.acknowledged(1);
    expect(under.told.map(({ name }) => name)).toEqual(['connected', 'acknowledged']);
    expect(fake.contents()).toEqual(contents(encodeFlows([flow(1, 80), flow(2, 81), flow(2, 82)])));
    expect(fake.commits).toBe(1);
    expect([...fake.meters.keys()].sort()).toEqual([0xfffffffd, 0xfffffffe]);
  });

  test('a change sends the difference alone; none sends nothing and is acknowledged', async () => {
    await using under = await new SouthboundUnderTest().start();
    under.admit(1);
    const fake = await under.fake(1).connect();
    await under.seen('connected');
    await under.program({ a: [flow(1, 80), flow(1, 81), flow(1, 82)] });
    const before = fake.flowMods;
    await under.program({ a: [flow(1, 80), flow(1, 81, { goto: 14 }), flow(1, 83)] });
    expect(fake.flowMods - before).toBe(3);
    await under.program({ a: [flow(1, 80), flow(1, 81, { goto: 14 }), flow(1, 83)] });
    await under.program({ nobody: undefined });
    expect(fake.flowMods - before).toBe(3);
    expect(fake.contents()).toEqual(contents(encodeFlows([flow(1, 80), flow(1, 81, { goto: 14 }), flow(1, 83)])));
  });

  test('a flow that moves from one unit to another in one pass is not touched, or overwritten', async () => {
    await using under = await new SouthboundUnderTest().start();
    under.admit(1);
    const fake = await under.fake(1).connect();
    await under.seen('connected');
    await under.program({ a: [flow(1, 80), flow(1, 81)], b: [flow(1, 82)] });
    const before = fake.flowMods;
    await under.program({ a: [flow(1, 81)], b: [flow(1, 82), flow(1, 80)] });
    expect(fake.flowMods).toBe(before);
    await under.program({ a: undefined, b: [flow(1, 82), flow(1, 80), flow(2, 81)] });
    expect(fake.flowMods).toBe(before + 1);
    expect(fake.contents()).toEqual(contents(encodeFlows([flow(1, 82), flow(1, 80), flow(2, 81)])));
  });

  test('what comes while a bundle is out is coalesced into one more', async () => {
    await using under = await new SouthboundUnderTest().start();
    under.admit(1);
    let held = false;
    const fake = await under
      .fake(1, {
        intercept: (received, self) => {
          if (held || !isCommit(received.type, received.body)) return false;
          held = true;
          self.hold(received);
          return true;
        },
      })
      .connect();
    await under.seen('connected');
    under.apply({ a: [flow(1, 1)] });
    await until('a commit', () => held);
    for (let port = 2; port <= 50; port++) under.apply({ a: [flow(1, port)] });
    fake.resume();
    await under.acknowledged(50);
    expect(fake.commits).toBe(2);
    expect(under.all('acknowledged').map(([, sequence]) => sequence)).toEqual([1, 50]);
    expect(fake.contents()).toEqual(contents(encodeFlows([flow(1, 50)])));
  });

  test('more flows than a bundle takes go in several; a refusal in a later one takes back what an earlier one brought', async () => {
    await using under = await new SouthboundUnderTest({ bundleFlows: 10 }).start();
    under.admit(1);
    const fake = await under.fake(1, { refuseAdd: (entry) => (entry.priority === 7 ? [5, 1] : undefined) }).connect();
    await under.seen('connected');
    const good = Array.from({ length: 30 }, (_, port) => flow(1, port));
    const bad = [flow(2, 100), ...good, flow(2, 101, { priority: 7 })];
    await under.program({ a: bad });
    expect(fake.contents()).toEqual(contents(encodeFlows(good)));
    expect(fake.commits).toBe(4);
    expect(under.all('rejected').map(([{ error }]) => error)).toEqual(['OFPFMFC_TABLE_FULL']);
  });

  test('the same unit on many switches is kept once', async () => {
    await using under = await new SouthboundUnderTest().start();
    const on = Array.from({ length: 40 }, (_, index) => index + 1);
    for (const hypervisor of on) under.admit(hypervisor);
    const flows = Array.from({ length: 100 }, (_, port) => flow(1, port));
    under.apply({ a: flows }, on);
    const stats = under.southbound.stats();
    expect(stats.slab).toMatchObject({ units: 1, flows: 100, bytes: encodeFlows(flows).length });
    under.apply({ a: undefined }, on);
    await Promise.all(on.map((hypervisor) => under.fake(hypervisor).connect()));
    for (const hypervisor of on) await under.acknowledged(2, hypervisor);
    expect(under.southbound.stats().slab).toMatchObject({ units: 0, flows: 0, bytes: 0 });
  });
});

describe('refused flows', () => {
  test.each(['refuseAdd', 'refuseCommit'] as const)(
    '%s: costs its own object, which is told and closed',
    async (phase) => {
      await using under = await new SouthboundUnderTest().start();
      under.admit(1);
      const fake = await under.fake(1, { [phase]: serves(3) }).connect();
      await under.seen('connected');
      const base = [flow(4, 90), flow(5, 91)];
      await under.program({ a: base, b: [flow(3, 1), flow(6, 2)], c: [flow(3, 3), flow(6, 4)] });
      expect(fake.contents()).toEqual(contents(encodeFlows([...base, flow(6, 2), flow(6, 4)])));
      expect(under.all('rejected').map(([{ hypervisor, cookie: of, error }]) => [hypervisor, of, error])).toEqual([
        [1, cookie(10, 3), 'OFPBAC_BAD_OUT_GROUP'],
      ]);
      const names = under.told.map(({ name }) => name);
      expect(names.indexOf('rejected')).toBeLessThan(names.indexOf('acknowledged'));
      expect(under.stats().setAside).toBe(1);
    },
  );

  test('many that the commit refuses, which tells one at a time, cost about what there is to do, not that for each', async () => {
    await using under = await new SouthboundUnderTest().start();
    under.admit(1);
    const flows = 4;
    const objects = 400;
    /** Every object from the hundredth to the two hundredth, and each tenth behind. */
    const bad = (n: number) => (n >= 100 && n < 200) || (n > 200 && n % 10 === 0);
    const refuseCommit = (entry: Entry) => (bad(Number(entry.cookie & 0xffffn)) ? BAD_OUT_GROUP : undefined);
    const fake = await under.fake(1, { refuseCommit }).connect();
    await under.seen('connected');
    const units = Array.from({ length: objects }, (_, n) =>
      Array.from({ length: flows }, (_flow, i) => flow(n + 1, flows * n + i)),
    );
    const before = under.stats().flowMods;
    await under.program(Object.fromEntries(units.map((unit, n) => [`unit ${n}`, unit])));
    const refused = units.filter((_, n) => bad(n + 1));
    expect(fake.contents()).toEqual(contents(encodeFlows(units.filter((_, n) => !bad(n + 1)).flat())));
    expect(under.all('rejected')).toHaveLength(refused.length);
    expect(under.stats().setAside).toBe(refused.length);
    // One bundle for each, of all that was left, would have been 100 times what there is to do.
    const sent = under.stats().flowMods - before;
    expect(sent).toBeLessThan(6 * objects * flows);
    expect(under.all('disconnected')).toEqual([]);
  });

  test('an object that was installed loses all its flows when one is refused, and is accepted when it changes', async () => {
    await using under = await new SouthboundUnderTest().start();
    under.admit(1);
    let refuse = false;
    const fake = await under.fake(1, { refuseCommit: (entry) => (refuse ? serves(3)(entry) : undefined) }).connect();
    await under.seen('connected');
    await under.program({ a: [flow(3, 1), flow(4, 2)], b: [flow(3, 3)] });
    refuse = true;
    await under.program({ b: [flow(3, 3, { goto: 14 })] });
    expect(fake.contents()).toEqual(contents(encodeFlows([flow(4, 2)])));
    refuse = false;
    expect(under.all('accepted')).toEqual([]);
    await under.program({ b: [flow(3, 5)] });
    expect(fake.contents()).toEqual(contents(encodeFlows([flow(3, 1), flow(4, 2), flow(3, 5)])));
    expect(under.all('accepted')).toEqual([[1, cookie(10, 3)]]);
  });

  test('what was refused is tried again when the switch reconnects', async () => {
    await using under = await new SouthboundUnderTest().start();
    under.admit(1);
    let refuse = true;
    const fake = await under.fake(1, { refuseCommit: (entry) => (refuse ? serves(3)(entry) : undefined) }).connect();
    await under.program({ a: [flow(3, 1), flow(4, 2)] });
    fake.drop();
    await under.seen('disconnected');
    refuse = false;
    await fake.connect();
    await under.seen('accepted');
    expect(fake.contents()).toEqual(contents(encodeFlows([flow(3, 1), flow(4, 2)])));
  });

  test('flows of the pipeline itself stand for their own stage only', async () => {
    await using under = await new SouthboundUnderTest().start();
    under.admit(1);
    const base = (stage: number, port: number) => flow(0, port, { cookie: cookie(stage, 0) });
    const fake = await under
      .fake(1, { refuseAdd: (entry) => (entry.cookie === cookie(20, 0) ? BAD_OUT_GROUP : undefined) })
      .connect();
    await under.program({ a: [base(10, 1), base(20, 2), base(30, 3)] });
    expect(fake.contents()).toEqual(contents(encodeFlows([base(10, 1), base(30, 3)])));
  });

  test('two units that claim one match: the later object is refused, and has its turn when the first goes', async () => {
    await using under = await new SouthboundUnderTest().start();
    under.admit(1);
    const fake = await under.fake(1).connect();
    await under.seen('connected');
    await under.program({ a: [flow(1, 80)] });
    await under.program({ b: [flow(2, 80), flow(2, 81)], c: [flow(3, 82)] });
    expect(fake.contents()).toEqual(contents(encodeFlows([flow(1, 80), flow(3, 82)])));
    expect(under.all('rejected').map(([{ unit, error }]) => [unit, error])).toEqual([['b', 'KEYWAY_DUPLICATE_MATCH']]);
    await under.program({ a: undefined });
    expect(fake.contents()).toEqual(contents(encodeFlows([flow(2, 80), flow(2, 81), flow(3, 82)])));
    expect(under.all('accepted')).toEqual([[1, cookie(10, 2)]]);
  });
});
