/** Somebody changes a hypervisor by hand: it is as it was within a second or so, and only what was changed is written. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../../src/sandbox/ephemeral.ts';
import { journal, OUR_WRITES } from '../chassis/hypervisor.ts';
import { joinSwitch, settled, startTestCore, type TestCore } from '../support/core.ts';
import { type DummySwitch, openVswitch } from '../support/open-vswitch.ts';

const network = 'tenants/acme/networks/shop';

const orders = [
  { path: 'tenants/acme', spec: {} },
  { path: network, spec: { offering: 'basic', cidr: '10.0.0.0/16' } },
  { path: `${network}/tiers/web`, spec: { cidr: '10.0.1.0/24' } },
  ...[1, 2, 3].map((n) => ({
    path: `${network}/ports/p${n}`,
    spec: { tier: 'web', mac: `02:00:00:00:00:0${n}`, ips: [`10.0.1.1${n}`], ifaceId: `if-${n}` },
  })),
  {
    path: `${network}/rules/ping`,
    spec: { action: 'allow', priority: 100, from: { tier: 'web' }, to: { tier: 'web' }, protocol: 'icmp' },
  },
];

/** Of ovs-vsctl: columns of ours. The rest of a row is Open vSwitch's own. */
const queries = [
  ['list-ports', 'br-int'],
  ['--columns=fail_mode,protocols,other_config,external_ids', 'list', 'Bridge', 'br-int'],
  ['--columns=type,options,bfd,external_ids', 'list', 'Interface', 'kw2'],
  ['--columns=external_ids', 'list', 'Port', 'kw2'],
  ['--columns=target,max_backoff,inactivity_probe,connection_mode,external_ids', 'list', 'Controller'],
  ['--columns=target,max_backoff,inactivity_probe', 'list', 'Manager'],
];

/** Milliseconds. A session that was cut takes up to a second of Open vSwitch's own back-off to return. */
const patience = 8_000;

const available = await openVswitch();

const reason = 'unavailable' in available ? `: no Open vSwitch: ${available.unavailable}` : '';

describe.skipIf(reason !== '')(`changed by hand${reason}`, () => {
  let core: TestCore;
  let hv1: DummySwitch;
  let hv2: DummySwitch;
  let before: string;
  const took = new Map<string, number>();

  beforeAll(async () => {
    core = await startTestCore();
    hv1 = await joinSwitch(core, 'hv1', '192.0.2.1');
    hv2 = await joinSwitch(core, 'hv2', '192.0.2.2');
    await core.intent.transact(
      orders.map((o) => ({ op: 'put' as const, ...o })),
      { restrictedAllowed: true, many: true },
    );
    await hv1.addPort('vif1', 'if-1');
    await hv2.addPort('vif2', 'if-2');
    await hv1.addPort('vif3', 'if-3');
    for (const p of ['p1', 'p2', 'p3'])
      await until(`${p} bound`, () => core.fabric.binding(`${network}/ports/${p}`) !== null);
    await until('the tunnel', async () => (await hv1.vsctl('list-ports', 'br-int')) === 'kw2\nvif1\nvif3\n');
    await settled(core);
    before = await state();
    expect(before).toContain('remote_ip');
  }, 60_000);

  afterAll(async () => {
    console.log(`milliseconds until mended: ${[...took].map(([what, ms]) => `${what} ${ms}`).join(', ')}`);
    await hv1?.[Symbol.asyncDispose]();
    await hv2?.[Symbol.asyncDispose]();
    await core?.stop();
  });

  /** Everything of hv1 that is ours, as its own tools tell it. */
  async function state(): Promise<string> {
    const [flows, groups, meters, database] = await Promise.all([
      hv1.ofctl('dump-flows', '--no-stats'),
      hv1.ofctl('dump-groups'),
      hv1.ofctl('dump-meters'),
      hv1.vsctl('get', 'Interface', 'kw2', 'ofport', ...queries.flatMap((query) => ['--', ...query])),
    ]);
    // Open vSwitch may give a tunnel another number when it is what it was again; the flows must follow.
    const [tunnel = '', ...rest] = database.split('\n');
    return [
      ...flows
        .replaceAll(`in_port=${tunnel} `, 'in_port=kw2 ')
        .replaceAll(`output:${tunnel}\n`, 'output:kw2\n')
        .split('\n')
        .sort(),
      groups.replace(/^.*xid=.*$/m, ''),
      // In no order.
      ...meters
        .split(/\n(?=meter=)/)
        .slice(1)
        .map((meter) => meter.trim())
        .sort(),
      ...rest,
    ].join('\n');
  }

  /** `state`, or why it cannot be told: a bridge that is gone has no flows. */
  const stateOrNot = (): Promise<string> => state().catch((error: Error) => error.message);

  const stats = async () => (await core.plugin.stats()).switches.find((s) => s.hypervisor === 1)!;
  /** Differences found in the switch, and transactions of ours on its database: an edit that is none adds nothing. */
  const mendings = async (): Promise<number> => (await stats()).drift + journal(hv1).split(OUR_WRITES).length;

  /** The edit takes effect, and is undone. */
  async function mended(what: string, edit: () => Promise<unknown>): Promise<void> {
    const counted = await mendings();
    const started = performance.now();
    await edit();
    await expect.poll(stateOrNot, { timeout: patience, interval: 10 }).toBe(before);
    took.set(what, Math.round(performance.now() - started));
    // A change of the datapath id or the controller costs the session.
    await expect.poll(() => core.fabric.connected('hypervisors/hv1'), { timeout: patience }).toBe(true);
    expect(await core.plugin.drift(1)).toEqual({ missing: [], extra: [], different: [] });
    expect(core.engine.compiler.recompute().different).toEqual([]);
    expect(await mendings()).toBeGreaterThan(counted);
  }

  const flowEdits: [string, number, (hv: DummySwitch) => Promise<unknown>][] = [
    ['a flow deleted', 1, (hv) => hv.ofctl('del-flows', '--strict', 'table=253,priority=0')],
    ['a flow added that lets everything out', 1, (hv) => hv.ofctl('add-flow', 'table=0,priority=65535,actions=NORMAL')],
    ['a flow with a timeout', 1, (hv) => hv.ofctl('add-flow', 'table=9,idle_timeout=60,tcp,actions=drop')],
    ['actions of a flow changed', 1, (hv) => hv.ofctl('mod-flows', 'table=70,actions=output:LOCAL')],
  ];

  test.each(flowEdits)('%s', async (what, flowMods, edit) => {
    const counted = (await stats()).flowMods;
    await mended(what, () => edit(hv1));
    // That flow and no other.
    expect((await stats()).flowMods).toBe(counted + flowMods);
  });

  test('all flows deleted', async () => {
    await mended('all flows deleted', () => hv1.ofctl('del-flows'));
  });

  test.each<[string, string, ...string[]]>([
    ['a group made', 'add-group', 'group_id=7,type=all,bucket=actions=output:1'],
    ['a meter made', 'add-meter', 'meter=9,kbps,band=type=drop,rate=1'],
    ['our meter changed', 'mod-meter', 'meter=slowpath,pktps,band=type=drop,rate=5'],
    ['our meter deleted', 'del-meter', 'meter=controller'],
    ['all meters deleted', 'del-meters'],
  ])('%s', async (what, command, ...args) => {
    await mended(what, () => hv1.ofctl(command, ...args));
  });

  test.each<[string, string[]]>([
    ['fail_mode', ['set-fail-mode', 'br-int', 'standalone']],
    ['fail_mode removed', ['del-fail-mode', 'br-int']],
    ['protocols', ['set', 'Bridge', 'br-int', 'protocols=OpenFlow10,OpenFlow13']],
    ['protocols emptied', ['clear', 'Bridge', 'br-int', 'protocols']],
    ['datapath-id', ['set', 'Bridge', 'br-int', 'other_config:datapath-id=00000000000000ff']],
    ['datapath-id removed', ['remove', 'Bridge', 'br-int', 'other_config', 'datapath-id']],
    ['in-band control', ['set', 'Bridge', 'br-int', 'other_config:disable-in-band=false']],
    ['controller removed', ['del-controller', 'br-int']],
    ['another controller', ['set-controller', 'br-int', 'tcp:127.0.0.1:9']],
    ['a second controller', ['set-controller', 'br-int', 'tcp:127.0.0.1:9', 'tcp:127.0.0.1:10']],
  ])('%s', async (what, command) => {
    await mended(what, () => hv1.vsctl(...command));
  });

  test.each<[string, string[]]>([
    ['target', ['target="tcp:127.0.0.1:9"']],
    ['back-off and probe', ['max_backoff=60000', 'inactivity_probe=1']],
    ['in-band connection', ['connection_mode=in-band']],
    ['owner', ['external_ids:owner=me']],
  ])('controller row: %s', async (what, columns) => {
    const row = (await hv1.vsctl('--bare', '--columns=_uuid', 'list', 'Controller')).trim();
    await mended(`controller ${what}`, () => hv1.vsctl('set', 'Controller', row, ...columns));
  });

  test('manager row: back-off and probe', async () => {
    const row = (await hv1.vsctl('--bare', '--columns=_uuid', 'list', 'Manager')).trim();
    await mended('manager', () => hv1.vsctl('set', 'Manager', row, 'max_backoff=60000', 'inactivity_probe=1'));
  });

  test.each<[string, string[]]>([
    ['remote address', ['set', 'Interface', 'kw2', 'options:remote_ip=192.0.2.99']],
    ['key fixed', ['set', 'Interface', 'kw2', 'options:key=7']],
    ['an option added', ['set', 'Interface', 'kw2', 'options:tos=inherit']],
    ['all options gone', ['clear', 'Interface', 'kw2', 'options']],
    ['type', ['set', 'Interface', 'kw2', 'type=vxlan']],
    ['BFD switched off', ['set', 'Interface', 'kw2', 'bfd:enable=false']],
    ['owner gone', ['remove', 'Port', 'kw2', 'external_ids', 'owner']],
    ['peer', ['set', 'Port', 'kw2', 'external_ids:keyway-peer=9']],
    ['peer of the interface', ['clear', 'Interface', 'kw2', 'external_ids']],
  ])('tunnel: %s', async (what, command) => {
    await mended(`tunnel ${what}`, () => hv1.vsctl(...command));
  });

  /** Open vSwitch gives another port number, so flows change: the switch must hold what a full compile says. */
  async function consistent(what: string, edit: () => Promise<unknown>, done: () => Promise<boolean>): Promise<void> {
    const started = performance.now();
    await edit();
    await expect.poll(done, { timeout: patience, interval: 10 }).toBe(true);
    await settled(core);
    took.set(what, Math.round(performance.now() - started));
    expect(core.engine.compiler.recompute().different).toEqual([]);
    expect(await core.plugin.drift(1)).toEqual({ missing: [], extra: [], different: [] });
    before = await stateOrNot();
  }

  const ofport = async (name: string): Promise<number> => Number(await hv1.vsctl('get', 'Interface', name, 'ofport'));
  const hasFlow = async (of: string, text = of): Promise<boolean> =>
    (await hv1.ofctl('dump-flows', '--no-stats', of).catch(() => '')).includes(text);
  const usesPort = async (port: number): Promise<boolean> => port > 0 && (await hasFlow('table=0', `in_port=${port} `));
  const exists = async (name: string): Promise<boolean> =>
    (await hv1.vsctl('list-ports', 'br-int')).split('\n').includes(name);

  test('tunnel: port deleted', async () => {
    await consistent(
      'tunnel deleted',
      () => hv1.vsctl('del-port', 'kw2'),
      async () => (await exists('kw2')) && (await usesPort(await ofport('kw2'))),
    );
  });

  test.each([
    ['kw2', 77, 78],
    ['vif1', 87, 88],
  ])('another port number asked for: %s', async (name, ...numbers) => {
    for (const number of numbers) {
      const was = await ofport(name);
      await consistent(
        `${name} renumbered`,
        () => hv1.vsctl('set', 'Interface', name, `ofport_request=${number}`),
        async () => (await ofport(name)) === number && (await usesPort(number)) && !(await usesPort(was)),
      );
    }
  });

  test('a VM port deleted: unbound, its flows gone; made again: bound', async () => {
    const port = `${network}/ports/p1`;
    const number = await ofport('vif1');
    await consistent(
      'VM port deleted',
      () => hv1.vsctl('del-port', 'vif1'),
      async () => core.fabric.binding(port) === null && !(await usesPort(number)),
    );
    await consistent(
      'VM port made again',
      () => hv1.addPort('vif1', 'if-1'),
      async () => core.fabric.binding(port) !== null && (await usesPort(await ofport('vif1'))),
    );
  });

  test('iface-id changed in place and back', async () => {
    const port = `${network}/ports/p1`;
    await consistent(
      'iface-id changed',
      () => hv1.vsctl('set', 'Interface', 'vif1', 'external_ids:iface-id=stranger'),
      async () => core.fabric.binding(port) === null && !(await usesPort(await ofport('vif1'))),
    );
    await consistent(
      'iface-id set right',
      () => hv1.vsctl('set', 'Interface', 'vif1', 'external_ids:iface-id=if-1'),
      async () => core.fabric.binding(port) !== null && (await usesPort(await ofport('vif1'))),
    );
  });

  test('the integration bridge deleted: made again, with tunnels and flows; VM ports come back when they are plugged', async () => {
    const numbers = await Promise.all(['vif1', 'vif3'].map(ofport));
    await consistent(
      'bridge deleted',
      () => hv1.vsctl('del-br', 'br-int'),
      // No VM of the tenant is here now, so no tunnel is wanted.
      async () => (await hv1.vsctl('list-br')) === 'br-int\n' && (await hasFlow('table=253')),
    );
    expect(core.fabric.binding(`${network}/ports/p1`)).toBeNull();
    for (const number of numbers) expect(await usesPort(number)).toBe(false);
    await consistent(
      'VM ports on the new bridge',
      () => Promise.all([hv1.addPort('vif1', 'if-1'), hv1.addPort('vif3', 'if-3')]),
      async () =>
        (await usesPort(await ofport('vif1'))) && (await exists('kw2')) && (await usesPort(await ofport('kw2'))),
    );
  });
});
