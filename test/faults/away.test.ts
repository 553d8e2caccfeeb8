/** A switch is away while orders change, and comes back with old flows. */
import { expect, test } from 'vitest';
import { until } from '../../src/sandbox/ephemeral.ts';
import { openMemoryStore } from '../../src/store/memory.ts';
import { differences, joinSwitch, settled, startTestCore, type TestCore } from '../support/core.ts';
import { type DummySwitch, openVswitchOrSkip } from '../support/open-vswitch.ts';
import { flowTable, touched } from './flow-table.ts';

const networkOf = (tenant: string): string => `tenants/${tenant}/networks/n`;

/** Tenants with the same addresses, one VM each on either hypervisor, so that only the key tells them apart. */
function orders(tenant: string): { path: string; spec: Record<string, unknown> }[] {
  const network = networkOf(tenant);
  return [
    { path: `tenants/${tenant}`, spec: {} },
    { path: network, spec: { offering: 'basic', cidr: '10.0.0.0/16' } },
    { path: `${network}/tiers/web`, spec: { cidr: '10.0.1.0/24' } },
    ...[1, 2].map((n) => ({
      path: `${network}/ports/p${n}`,
      spec: { tier: 'web', mac: `02:00:00:00:00:0${n}`, ips: [`10.0.1.1${n}`], ifaceId: `${tenant}-${n}` },
    })),
    {
      path: `${network}/rules/ping`,
      spec: { action: 'allow', priority: 100, from: { tier: 'web' }, to: { tier: 'web' }, protocol: 'icmp' },
    },
  ];
}

const create = (core: TestCore, tenant: string) =>
  core.intent.transact(
    orders(tenant).map((o) => ({ op: 'put' as const, ...o })),
    { restrictedAllowed: true, many: true },
  );

const remove = (core: TestCore, tenant: string) =>
  core.intent.transact(
    orders(tenant).map(({ path }) => ({ op: 'delete' as const, path })),
    { restrictedAllowed: true, many: true },
  );

/**
 * As a broken management network would, with everything it has: it calls where nobody answers. (Without any controller Open
 * vSwitch throws its flows away.) One after the other: a controller that still hears of another target than its own sets it
 * right, and the switch would go on taking flows.
 */
async function cutOff(core: TestCore, hv: DummySwitch): Promise<void> {
  const member = core.engine.fleet.byPath('hypervisors/hv1')!;
  const row = (await hv.vsctl('--bare', '--columns=_uuid', 'list', 'Controller')).trim();
  await hv.vsctl('del-manager');
  await until('its OVSDB session to be gone', () => !member.present);
  await hv.vsctl('set', 'Controller', row, 'target="tcp:127.0.0.1:9"');
  await until('its OpenFlow session to be gone', () => core.progress.of(member.number)?.connected !== true);
}

test('only the difference is written when it is back, and the key of a deleted tenant is not used before', async (context) => {
  await openVswitchOrSkip(context);
  const store = openMemoryStore();
  // Two keys are left in the world.
  await store.commit({ put: new Map([['ids/tenant-key/next', String(2 ** 24 - 2)]]) });
  await using core = await startTestCore({ store });
  await using hv1 = await joinSwitch(core, 'hv1', '192.0.2.1');
  await using hv2 = await joinSwitch(core, 'hv2', '192.0.2.2');
  const plug = async (hv: DummySwitch, tenant: string, n: number): Promise<void> => {
    await hv.addPort(`v-${tenant}-${n}`, `${tenant}-${n}`);
  };
  const bound = (tenant: string, n: number) =>
    until(`${tenant} ${n} bound`, () => core.fabric.binding(`${networkOf(tenant)}/ports/p${n}`) !== null);
  const flowMods = async () => (await core.plugin.stats()).switches.find((s) => s.hypervisor === 1)!.flowMods;
  const keyOf = (tenant: string) => core.intent.getAs('tenant', `tenants/${tenant}`)!.id;

  await create(core, 'acme');
  await create(core, 'stays');
  for (const tenant of ['acme', 'stays']) {
    await plug(hv1, tenant, 1);
    await plug(hv2, tenant, 2);
    for (const n of [1, 2]) await bound(tenant, n);
  }
  await until('the tunnels', async () => (await hv1.vsctl('list-ports', 'br-int')).includes('kw2'));
  await settled(core);
  const freed = keyOf('acme');
  const before = flowTable(await hv1.ofctl('dump-flows'));
  const sent = await flowMods();

  await cutOff(core, hv1);
  await remove(core, 'acme');
  await core.intent.transact(
    [
      {
        op: 'put',
        path: `${networkOf('stays')}/rules/web`,
        spec: { action: 'allow', priority: 5, from: { any: true }, to: { port: 'p1' }, protocol: 'tcp', ports: ['80'] },
      },
    ],
    { restrictedAllowed: true },
  );
  await settled(core);
  expect(touched(before, flowTable(await hv1.ofctl('dump-flows')))).toEqual([]);
  // hv1 still carries traffic under the key.
  await expect(create(core, 'globex')).rejects.toMatchObject({ code: 'ids.exhausted' });

  await hv1.vsctl('set-manager', core.managers[0]!);
  await until('hv1 to be back', () => core.fabric.connected('hypervisors/hv1'));
  await settled(core);
  const after = flowTable(await hv1.ofctl('dump-flows'));
  const changed = touched(before, after);
  expect(changed.filter((what) => !/^(gone|came):/.test(what))).toEqual([]);
  expect(changed.some((what) => what.startsWith('gone:'))).toBe(true);
  expect(changed.some((what) => what.startsWith('came:'))).toBe(true);
  expect((await flowMods()) - sent).toBe(changed.length);
  expect(await core.plugin.drift(1)).toEqual({ missing: [], extra: [], different: [] });

  // Now that it has let go of it.
  await create(core, 'globex');
  expect(keyOf('globex')).toBe(freed);
  await plug(hv1, 'globex', 1);
  await plug(hv2, 'globex', 2);
  for (const n of [1, 2]) await bound('globex', n);
  await settled(core);
  expect(differences(core)).toEqual([]);
  for (const number of [1, 2])
    expect(await core.plugin.drift(number)).toEqual({ missing: [], extra: [], different: [] });
}, 60_000);

test('after an hour of changes it gets what differs in the end, not what came and went', async (context) => {
  await openVswitchOrSkip(context);
  await using core = await startTestCore();
  await using hv1 = await joinSwitch(core, 'hv1', '192.0.2.1');
  await create(core, 'acme');
  await hv1.addPort('v1', 'acme-1');
  await until('bound', () => core.fabric.binding(`${networkOf('acme')}/ports/p1`) !== null);
  const rule = (i: number) => `${networkOf('acme')}/rules/r${i}`;
  const spec = (i: number, port: number) => ({
    ...{ action: 'allow', priority: 200 + i, from: { any: true }, to: { port: 'p1' }, protocol: 'tcp' },
    ports: [String(port)],
  });
  const put = (i: number, port: number) => ({ op: 'put' as const, path: rule(i), spec: spec(i, port) });
  await core.intent.transact(Array.from({ length: 10 }, (_, i) => put(i, 1_000 + i)));
  await settled(core);
  const stats = async () => (await core.plugin.stats()).switches.find((s) => s.hypervisor === 1)!;
  const before = flowTable(await hv1.ofctl('dump-flows'));
  await cutOff(core, hv1);
  const sent = (await stats()).flowMods;
  const passes = core.progress.sequence;

  // Rules change, come and go, each by itself; in the end one of the ten is gone, one is another, and one is new.
  for (let i = 0; i < 600; i++) {
    const at = i % 20;
    const gone = at >= 10 && core.intent.get(rule(at)) !== undefined;
    await core.intent.transact([gone ? { op: 'delete', path: rule(at) } : put(at, 2_000 + i)]);
    if (i % 20 === 0) await core.engine.idle();
  }
  for (let i = 0; i < 20; i++) {
    if (i < 10) await core.intent.transact([put(i, i === 1 ? 1_999 : 1_000 + i)]);
    else if (core.intent.get(rule(i)) !== undefined) await core.intent.transact([{ op: 'delete', path: rule(i) }]);
  }
  const { revision } = await core.intent.transact([{ op: 'delete', path: rule(0) }, put(11, 1_011)]);
  await core.engine.idle();
  expect(core.progress.sequence).toBeGreaterThan(passes + 30);
  expect(await core.status.wait(revision, 'programmed', 1_000)).toBe(true);
  const all = core.status.wait(revision, 'all', 30_000);
  expect(core.status.deleting(rule(0))?.name).toBe('r0');

  await hv1.vsctl('set-manager', core.managers[0]!);
  expect(await all).toBe(true);
  await settled(core);
  expect(core.status.deleting(rule(0))).toBe(undefined);
  const changed = touched(before, flowTable(await hv1.ofctl('dump-flows')));
  console.log(`600 changes while it was away: ${changed.length} flows written, of ${before.size}`);
  expect((await stats()).flowMods - sent).toBe(changed.length);
  expect(await core.plugin.drift(1)).toEqual({ missing: [], extra: [], different: [] });
  expect(differences(core)).toEqual([]);
}, 60_000);

test('declared lost, its keys are free at once; back again, it is brought in line before anything else', async (context) => {
  await openVswitchOrSkip(context);
  const store = openMemoryStore();
  await store.commit({ put: new Map([['ids/tenant-key/next', String(2 ** 24 - 1)]]) });
  await using core = await startTestCore({ store });
  await using hv1 = await joinSwitch(core, 'hv1', '192.0.2.1');
  await create(core, 'acme');
  await hv1.addPort('v1', 'acme-1');
  await until('bound', () => core.fabric.binding(`${networkOf('acme')}/ports/p1`) !== null);
  await settled(core);
  await cutOff(core, hv1);
  await remove(core, 'acme');
  await expect(create(core, 'globex')).rejects.toMatchObject({ code: 'ids.exhausted' });
  const admit = (admission: string) =>
    core.intent.transact([{ op: 'put', path: 'hypervisors/hv1', spec: { admission } }], { restrictedAllowed: true });
  await admit('lost');
  await settled(core);
  await create(core, 'globex');

  // It was not lost after all.
  await hv1.vsctl('set-manager', core.managers[0]!);
  await until('it waits', () => core.fabric.pending().some(({ facts }) => facts.systemId === 'hv1'));
  expect(await hv1.ofctl('dump-flows', 'table=0')).toContain('in_port=');
  await admit('approved');
  await until('hv1 to be back', () => core.fabric.connected('hypervisors/hv1'));
  await settled(core);
  expect(await hv1.ofctl('dump-flows', 'table=0')).not.toContain('in_port=');
  expect(await core.plugin.drift(1)).toEqual({ missing: [], extra: [], different: [] });
}, 60_000);
