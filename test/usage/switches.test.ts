/** Usage from real switches, held against `ovs-ofctl dump-ports` and what was really put in: moves and restarts of both sides. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openMemoryStore } from '../../src/store/memory.ts';
import { openUsageStorage } from '../../src/usage/level-storage.ts';
import { joinSwitch, settled, startTestCore, type TestCore } from '../support/core.ts';
import { type DummySwitch, openVswitchOrSkip } from '../support/open-vswitch.ts';

const network = 'tenants/acme/networks/shop';
const path = `${network}/ports/a`;
const mac = '02:00:00:00:00:0a';

const orders = [
  { path: 'tenants/acme', spec: {} },
  { path: network, spec: { offering: 'basic', cidr: '10.0.0.0/16' } },
  { path: `${network}/tiers/web`, spec: { cidr: '10.0.1.0/24' } },
  { path, spec: { tier: 'web', mac, ips: ['10.0.1.11'], ifaceId: 'vm-a' } },
  {
    path: `${network}/ports/b`,
    spec: { tier: 'web', mac: '02:00:00:00:00:0b', ips: ['10.0.1.12'], ifaceId: 'vm-b' },
  },
  {
    path: `${network}/rules/any`,
    spec: { action: 'allow', priority: 1, from: { any: true }, to: { any: true }, protocol: 'udp' },
  },
];

/** UDP of a to b, so many times. */
async function send(s: DummySwitch, name: string, times: number): Promise<void> {
  const ethernet = `eth(src=${mac},dst=02:00:00:00:00:0b),eth_type(0x0800)`;
  const ip = 'ipv4(src=10.0.1.11,dst=10.0.1.12,proto=17,tos=0,ttl=64,frag=no)';
  for (let i = 0; i < times; i++)
    await s.appctl('netdev-dummy/receive', name, `in_port(1),${ethernet},${ip},udp(src=4000,dst=53)`);
}

const bound = (core: TestCore, port: string, on: string): Promise<void> =>
  expect
    .poll(() => core.fabric.binding(port)?.hypervisor, { timeout: 10_000 })
    .toBe(on)
    .then(() => settled(core));

/** The oracle: what the switch has of the port, [received, sent] as it sees it. */
async function dumped(s: DummySwitch, name: string): Promise<{ rx: number; tx: number }> {
  const text = await s.ofctl('dump-ports', name);
  return { rx: Number(/rx pkts=(\d+)/.exec(text)![1]), tx: Number(/tx pkts=(\d+)/.exec(text)![1]) };
}

test('a port is counted over moves and restarts of switch and controller, and has a final record', {
  timeout: 60_000,
}, async (context) => {
  await openVswitchOrSkip(context);
  const directory = await mkdtemp(join(tmpdir(), 'keyway-usage-'));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rm(directory, { recursive: true }));
  const store = openMemoryStore();
  const storage = () => openUsageStorage(join(directory, 'usage'));
  const core = await startTestCore({ store, usage: await storage() });
  let running: TestCore | undefined = core;
  stack.defer(async () => running?.stop());
  const hv1 = stack.use(await joinSwitch(core, 'hv1', '192.0.2.1'));
  const hv2 = stack.use(await joinSwitch(core, 'hv2', '192.0.2.2'));
  await core.intent.transact(
    orders.map((order) => ({ op: 'put' as const, ...order })),
    { restrictedAllowed: true, many: true },
  );
  await hv1.addPort('va', 'vm-a');
  await hv1.addPort('vb', 'vm-b');
  await bound(core, path, 'hv1');
  await bound(core, `${network}/ports/b`, 'hv1');

  await send(hv1, 'va', 5);
  const usage = async (of = path) => (await core.usage.of(of))!;
  await expect.poll(async () => (await usage()).sent.packets, { timeout: 5_000 }).toBe(5);
  expect(await dumped(hv1, 'va')).toMatchObject({ rx: 5 });
  expect(await usage()).toMatchObject({ complete: true, received: { packets: 0 } });
  // What a sent, b received, as the switch has it.
  await expect.poll(async () => (await usage(`${network}/ports/b`)).received.packets, { timeout: 5_000 }).toBe(5);
  expect((await dumped(hv1, 'vb')).tx).toBe(5);

  // The VM goes to the other hypervisor: counters begin anew there.
  await hv1.vsctl('del-port', 'va');
  await hv2.addPort('va', 'vm-a');
  await bound(core, path, 'hv2');
  await send(hv2, 'va', 3);
  await expect.poll(async () => (await usage()).sent.packets, { timeout: 5_000 }).toBe(8);

  // The switch restarts: its counters too.
  await hv2.restart('ovs-vswitchd');
  await expect.poll(() => core.fabric.connected('hypervisors/hv2'), { timeout: 15_000 }).toBe(true);
  await bound(core, path, 'hv2');
  await send(hv2, 'va', 2);
  await expect.poll(async () => (await usage()).sent.packets, { timeout: 5_000 }).toBe(10);

  // A switch that is away: what is known is told, and that it may be more.
  await hv2.kill('ovs-vswitchd');
  await expect.poll(async () => (await usage()).complete, { timeout: 15_000 }).toBe(false);
  expect((await usage()).sent.packets).toBe(10);
  await hv2.restart('ovs-vswitchd');

  const { since } = await usage();
  await core.stop();
  running = undefined;
  const again = await startTestCore({ store, usage: await storage() });
  running = again;
  expect(await again.usage.of(path)).toMatchObject({ sent: { packets: 10 }, since });

  await again.intent.transact([{ op: 'delete', path }], { restrictedAllowed: true });
  expect(await again.usage.of(path)).toBeUndefined();
  const final = async () =>
    (await again.usage.list({ limit: 10, tenant: 'tenants/acme' })).items.find((item) => item.path === path);
  await expect.poll(async () => (await final())?.until, { timeout: 5_000 }).toBeGreaterThan(since);
  expect(await final()).toMatchObject({ kind: 'port', sent: { packets: 10 } });
});

test('flows of one cookie alone are read', { timeout: 30_000 }, async (context) => {
  await openVswitchOrSkip(context);
  await using stack = new AsyncDisposableStack();
  const core = stack.use(await startTestCore());
  const hv1 = stack.use(await joinSwitch(core, 'hv1', '192.0.2.1'));
  await settled(core);
  const { id } = core.intent.getAs('hypervisor', 'hypervisors/hv1')!;
  const all = await core.plugin.installed(id);
  const cookies = [...new Set(all.map(({ cookie }) => cookie))].slice(0, 3);
  const plain = (flows: typeof all) => flows.map((flow) => core.plugin.format(flow)).sort();
  expect(plain(await core.plugin.installed(id, cookies))).toEqual(
    plain(all.filter(({ cookie }) => cookies.includes(cookie))),
  );
  expect(await core.plugin.installed(id, [])).toEqual([]);
  const told = (await hv1.ofctl('dump-flows')).split('\n').filter((line) => line.includes('cookie='));
  expect(all.length).toBe(told.length);
});
