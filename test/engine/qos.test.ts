/** Quality of service of a port on a real switch: its meters are what was ordered, whatever was ordered before. */
import { beforeEach, expect, test } from 'vitest';
import { joinSwitch, settled, startTestCore, type TestCore } from '../support/core.ts';
import { type DummySwitch, openVswitchOrSkip } from '../support/open-vswitch.ts';

const network = 'tenants/acme/networks/shop';

beforeEach(async (context) => {
  await openVswitchOrSkip(context);
});

async function order(core: TestCore, ...puts: [path: string, spec: Record<string, unknown>][]): Promise<void> {
  await core.intent.transact(
    puts.map(([path, spec]) => ({ op: 'put', path, spec })),
    { restrictedAllowed: true },
  );
  await settled(core);
  expect(core.engine.compiler.recompute().different).toEqual([]);
  expect(await core.fabric.drift('hypervisors/hv1')).toEqual({ missing: [], extra: [], different: [] });
}

/** `rate burst` of each meter that is not virtual, by id. */
async function meters(ovs: DummySwitch): Promise<Record<number, string>> {
  const text = await ovs.ofctl('dump-meters');
  const found = text.matchAll(/^meter=(\d+) kbps .*\n\s*type=drop rate=(\d+) burst_size=(\d+)/gm);
  return Object.fromEntries([...found].map(([, id, rate, burst]) => [Number(id), `${rate} ${burst}`]));
}

const flows = async (ovs: DummySwitch, words: string): Promise<string[]> =>
  (await ovs.ofctl('dump-flows', '--no-stats')).split('\n').filter((line) => line.includes(words));

test('rates and DSCP of a port come, change and go; nobody else is touched', async () => {
  await using core = await startTestCore();
  await using ovs = await joinSwitch(core, 'hv1', '192.0.2.1');
  const port = (qos?: object): [string, Record<string, unknown>] => [
    `${network}/ports/web1`,
    { tier: 'web', ips: ['10.0.1.11'], ifaceId: 'web1', ...(qos === undefined ? {} : { qos }) },
  ];
  await ovs.addPort('vif1', 'web1');
  await ovs.addPort('vif2', 'web2');
  await order(
    core,
    ['tenants/acme', {}],
    [network, { offering: 'basic', cidr: '10.0.0.0/16' }],
    [`${network}/tiers/web`, { cidr: '10.0.1.0/24' }],
    port(),
    [
      `${network}/ports/web2`,
      { tier: 'web', ips: ['10.0.1.12'], ifaceId: 'web2', qos: { toVm: { rateKbps: 5_000, burstKb: 900 } } },
    ],
  );
  const others = await meters(ovs);
  expect(Object.values(others)).toEqual(['5000 900']);

  await order(core, port({ fromVm: { rateKbps: 10_000 }, toVm: { rateKbps: 20_000, burstKb: 1 } }));
  const added = Object.entries(await meters(ovs)).filter(([id]) => !(id in others));
  // 0.8 s of the rate, and never less than a segment of 64 KiB.
  expect(added.map(([, rate]) => rate)).toEqual(['10000 8000', '20000 640']);
  const [fromVm, toVm] = added.map(([id]) => Number(id)) as [number, number];
  expect([fromVm % 2, toVm]).toEqual([0, fromVm + 1]);
  expect(await flows(ovs, `meter:${fromVm},`)).toHaveLength(1);
  expect(await flows(ovs, `meter:${toVm},`)).toHaveLength(1);

  // Another rate alone changes the meter and no flow.
  const { flowMods } = (await core.plugin.stats()).switches[0]!;
  await order(core, port({ fromVm: { rateKbps: 30_000 }, toVm: { rateKbps: 20_000, burstKb: 1 } }));
  expect((await meters(ovs))[fromVm]).toBe('30000 24000');
  expect((await core.plugin.stats()).switches[0]!.flowMods).toBe(flowMods);

  await order(core, port({ fromVm: { rateKbps: 30_000 }, dscp: 46 }));
  expect(await meters(ovs)).toEqual({ ...others, [fromVm]: '30000 24000' });
  expect(await flows(ovs, 'set_field:46->ip_dscp')).toHaveLength(2);

  await order(core, port());
  expect(await meters(ovs)).toEqual(others);
  expect(await flows(ovs, 'set_field:46->ip_dscp')).toEqual([]);
});
