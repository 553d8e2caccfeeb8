/** Patches and counters of ports through the whole plugin, with real Open vSwitch. */
import { beforeEach, expect, test } from 'vitest';
import type { Flow } from '../../src/pipeline/flow.ts';
import { until } from '../../src/sandbox/ephemeral.ts';
import { openVswitchOrSkip, startDummySwitch } from '../support/open-vswitch.ts';
import { flow } from './flows.ts';
import { PluginUnderTest } from './plugin-under-test.ts';

beforeEach(async (context) => {
  await openVswitchOrSkip(context);
});

const frame = 'ffffffffffff0200000000018999'.padEnd(120, '0');

test('a patch is told once it is there; what has passed it is counted; flows that name it fail over', async () => {
  await using under = await new PluginUnderTest().start();
  await using ovs = await startDummySwitch({ manager: under.managers[0]! });
  under.plugin.ready(1);
  await under.seen('connected');
  const from = await ovs.addPort('p1');
  await ovs.vsctl('add-br', 'br-ex', '--', 'set', 'Bridge', 'br-ex', 'datapath_type=dummy');
  under.plugin.setPatches(1, [{ key: 'provider:7', bridge: 'br-ex', vlan: undefined }]);
  const told = (): ReadonlyMap<string, number> => under.all('patches').at(-1)?.[1] ?? new Map();
  await until('the patch', () => told().size === 1);
  const patch = told().get('provider:7')!;

  const dead = 9_999;
  const alive = { field: 'reg2', offset: 0, bits: 16 } as const;
  const flows: Flow[] = [
    flow(1, 0, {
      table: 0,
      match: { in_port: from },
      actions: [{ type: 'bundleLoad', target: alive, members: [dead, patch] }],
      goto: 11,
    }),
    flow(2, 0, { table: 11, match: { reg2: patch }, actions: [{ type: 'bundle', members: [dead, patch] }] }),
    flow(3, 0, {
      match: { eth_type: 0x0800 },
      actions: [{ type: 'controller', id: 0x4b47, userdata: Uint8Array.of(1) }],
    }),
  ];
  await under.program({ patched: flows });
  for (let n = 0; n < 4; n++) await ovs.appctl('netdev-dummy/receive', 'p1', frame);
  const counters = () => under.plugin.portCounters(1, [patch, dead, from]);
  await until('four frames', async () => (await counters())[0]?.sent.packets === 4);
  const [ofPatch, ofNone, ofFrom] = await counters();
  expect(ofPatch).toMatchObject({ received: { packets: 0, bytes: 0 }, sent: { packets: 4, bytes: 240 } });
  expect(ofNone).toBeUndefined();
  expect(ofFrom).toMatchObject({ received: { packets: 4, bytes: 240 }, sent: { packets: 0, bytes: 0 } });
  // Many at once are asked for all together.
  const many = await under.plugin.portCounters(1, [...Array.from({ length: 20 }, (_, n) => 100 + n), patch]);
  expect(many.slice(0, 20).every((none) => none === undefined)).toBe(true);
  expect(many[20]).toMatchObject({ sent: { packets: 4 } });

  // What stands in the switch is what is desired, byte for byte: a look at it finds nothing to decode.
  expect(await under.plugin.drift(1)).toEqual({ missing: [], extra: [], different: [] });
  expect((await under.stats()).fallbacks).toBe(0);
  await ovs.restart('ovs-vswitchd');
  await under.seen('connected', 2);
  await until('the patch again', async () => (await counters())[0] !== undefined && told().get('provider:7') === patch);
  expect(await under.plugin.drift(1)).toEqual({ missing: [], extra: [], different: [] });
  under.plugin.dismiss(1);
  await expect(under.plugin.portCounters(1, [patch])).rejects.toMatchObject({ code: 'hypervisor.not-connected' });
});
