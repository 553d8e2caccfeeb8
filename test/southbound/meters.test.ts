/** Meters as part of what is desired: before the flows that use them, after them, and refused without harm to others. */
import { describe, expect, test } from 'vitest';
import { cookie } from '../../src/pipeline/cookie.ts';
import type { Flow, Meter } from '../../src/pipeline/flow.ts';
import { until } from '../../src/sandbox/ephemeral.ts';
import { type DummySwitch, openVswitchOrSkip, startDummySwitch } from '../support/open-vswitch.ts';
import { OFPT } from './fake-switch.ts';
import { flow } from './flows.ts';
import { PluginUnderTest } from './plugin-under-test.ts';
import { SouthboundUnderTest } from './southbound-under-test.ts';

const outOfMeters: [number, number] = [12, 10];

const meter = (resource: number, id: number, rate = 1000): Meter => ({
  id,
  cookie: cookie(10, resource),
  unit: 'kbps',
  rate,
  burst: 100,
});

const metered = (resource: number, id: number): Flow =>
  flow(resource, id, {
    actions: [
      { type: 'meter', meter: id },
      { type: 'output', port: 1 },
    ],
    goto: undefined,
  });

/** Ids of the meters that are not virtual. */
const idsOf = (meters: ReadonlyMap<number, unknown>): number[] =>
  [...meters.keys()].filter((id) => id < 0xffff0000).sort((a, b) => a - b);

describe('a switch made for tests', () => {
  test('a meter comes before the flows that use it, changes without them, and goes after them', async () => {
    await using under = await new SouthboundUnderTest().start();
    under.admit(1);
    const fake = await under.fake(1).connect();
    await under.seen('connected');
    fake.log.length = 0;
    const order = (): number[] => fake.log.filter((type) => type === OFPT.meterMod || type === OFPT.bundleAdd);
    await under.program({ a: [metered(1, 5)] }, [1], { a: [meter(1, 5)] });
    expect(order()).toEqual([OFPT.meterMod, OFPT.bundleAdd]);
    expect(idsOf(fake.meters)).toEqual([5]);
    await under.program({ a: [metered(1, 5)] }, [1], { a: [meter(1, 5, 2000)] });
    expect(order()).toEqual([OFPT.meterMod, OFPT.bundleAdd, OFPT.meterMod]);
    await under.program({ a: undefined });
    expect(order().slice(3)).toEqual([OFPT.bundleAdd, OFPT.meterMod]);
    expect(idsOf(fake.meters)).toEqual([]);
    expect(fake.contents()).toEqual([]);
  });

  test('a switch out of meters sets aside the object alone, and takes it when there is room', async () => {
    let full = true;
    await using under = await new SouthboundUnderTest().start();
    under.admit(1);
    const refuseMeter = (id: number) => (full && id >= 6 ? outOfMeters : undefined);
    const fake = await under.fake(1, { refuseMeter }).connect();
    await under.seen('connected');
    await under.program({ a: [metered(1, 5), flow(1, 80)], b: [metered(2, 6), flow(2, 81)], c: [flow(3, 82)] }, [1], {
      a: [meter(1, 5)],
      b: [meter(2, 4), meter(2, 6)],
    });
    expect(under.all('rejected').map(([{ cookie: of, error, flow: text }]) => [of, error, text])).toEqual([
      [cookie(10, 2), 'OFPMMFC_OUT_OF_METERS', 'meter=6 kbps burst stats bands= type=drop rate=1000 burst_size=100'],
    ]);
    expect(idsOf(fake.meters)).toEqual([5]);
    expect(fake.flows.size).toBe(3);
    full = false;
    await under.program({ b: [metered(2, 6), flow(2, 81)] }, [1], { b: [meter(2, 6, 500)] });
    expect(under.all('accepted')).toEqual([[1, cookie(10, 2)]]);
    expect(idsOf(fake.meters)).toEqual([5, 6]);
    expect(fake.flows.size).toBe(5);
  });

  test('two units that claim the same meter are refused as two that claim the same flow', async () => {
    await using under = await new SouthboundUnderTest().start();
    under.admit(1);
    const fake = await under.fake(1).connect();
    await under.seen('connected');
    await under.program({ a: [metered(1, 5)], b: [flow(2, 81)] }, [1], { a: [meter(1, 5)], b: [meter(2, 5)] });
    expect(under.all('rejected').map(([{ unit, error }]) => [unit, error])).toEqual([['b', 'KEYWAY_DUPLICATE_MATCH']]);
    expect(idsOf(fake.meters)).toEqual([5]);
    expect(fake.flows.size).toBe(1);
  });
});

describe('Open vSwitch', () => {
  async function meters(ovs: DummySwitch): Promise<string[]> {
    const text = (await ovs.ofctl('dump-meters')).replace(/\s*\n(?=type)/g, ' ');
    return text
      .split('\n')
      .filter((line) => /^meter=\d/.test(line))
      .sort();
  }

  test('has what is desired: after programming, a restart of the plugin, and changes by hand', async (context) => {
    await openVswitchOrSkip(context);
    await using ovs = await startDummySwitch();
    const units = { a: [metered(1, 5)], b: [metered(2, 6)] };
    const wanted = { a: [meter(1, 5)], b: [meter(2, 6)] };
    const line = (id: number, rate = 1000) =>
      `meter=${id} kbps burst stats bands= type=drop rate=${rate} burst_size=100`;
    {
      await using under = await new PluginUnderTest().start();
      await ovs.vsctl('set-manager', under.managers[0]!);
      under.plugin.ready(1);
      await under.seen('connected');
      await under.program(units, [1], wanted);
      expect(await meters(ovs)).toEqual([line(5), line(6)]);
      await under.program({ a: units.a }, [1], { a: [meter(1, 5, 3000)] });
      expect(await meters(ovs)).toEqual([line(5, 3000), line(6)]);
      expect((await under.plugin.desired(1)).length).toBe(2);
    }
    await using under = await new PluginUnderTest().start();
    under.apply(units, [1], wanted);
    under.plugin.ready(1);
    await ovs.vsctl('set-manager', under.managers[0]!);
    await under.seen('connected');
    expect(await meters(ovs)).toEqual([line(5), line(6)]);
    expect(await under.stats()).toMatchObject({ flowMods: 0, bundles: 0 });

    // The flow goes with its meter.
    for (const change of [
      ['del-meter', 'meter=5'],
      ['mod-meter', 'meter=6,kbps,burst,bands=type=drop,rate=9,burst_size=9'],
      ['add-meter', 'meter=9,kbps,bands=type=drop,rate=9'],
    ]) {
      const before = under.all('drifted').length;
      await ovs.ofctl(change[0]!, change[1]!);
      await until(`drift after ${change[0]}`, () => under.all('drifted').length > before);
      await until(`mended ${change[0]}`, async () => (await meters(ovs)).join() === [line(5), line(6)].join());
      await until('the flows', async () => (await under.plugin.installed(1)).length === 2);
    }
    expect(await under.plugin.drift(1)).toEqual({ missing: [], extra: [], different: [] });
    await under.program({ a: undefined, b: [flow(2, 6)] });
    expect(await meters(ovs)).toEqual([]);
  });

  test('the slow path has room for the BFD of its tunnels', async (context) => {
    await openVswitchOrSkip(context);
    await using under = await new PluginUnderTest().start();
    await using ovs = await startDummySwitch({ manager: under.managers[0]! });
    const tunnels = (count: number, fast: boolean): void =>
      under.plugin.setTunnels(
        1,
        Array.from({ length: count }, (_, n) => ({ peer: n + 2, remoteIp: `192.0.2.${n + 2}`, fast })),
      );
    const rate = async (): Promise<string | undefined> =>
      /meter=slowpath pktps burst stats bands=\ntype=drop (.*)/.exec(await ovs.ofctl('dump-meters'))?.[1];
    tunnels(50, false);
    under.plugin.ready(1);
    await under.seen('connected');
    expect(await rate()).toBe('rate=2000 burst_size=2000');
    tunnels(50, true);
    await until('more', async () => (await rate()) === 'rate=3000 burst_size=3000');
    tunnels(0, true);
    await until('as without tunnels', async () => (await rate()) === 'rate=1000 burst_size=1000');
    expect(under.all('drifted')).toEqual([]);
  });
});
