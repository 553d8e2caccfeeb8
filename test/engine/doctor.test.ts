/** What the doctor finds: nothing where all is well, and each fault by what is wrong and what to do. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Drift, SwitchHealth } from '../../src/drivers/switch-plugin.ts';
import { type ThreadLoad, ThreadMeter } from '../../src/drivers/thread-load.ts';
import { diagnose } from '../../src/engine/doctor/doctor.ts';
import type { Patient } from '../../src/engine/doctor/subjects.ts';
import { cookie } from '../../src/pipeline/cookie.ts';
import { Problem } from '../../src/problems.ts';
import type { Check, Diagnosis } from '../../src/reconcile/upkeep.ts';
import { MemoryDisk, openMemoryStore } from '../../src/store/memory.ts';
import type { Store, StoreHealth } from '../../src/store/store.ts';
import { type FakeCloud, openFakeCloud, quiet } from '../support/fake-cloud.ts';

const none: Drift = { missing: [], extra: [], different: [] };
const load: ThreadLoad = { delay: { p50: 0, p99: 0.001, max: 0.02 }, heapUsed: 20e6, heapLimit: 4e9, external: 5e6 };

let cloud: FakeCloud;
let disk: MemoryDisk;
let meter: ThreadMeter;
let health: Map<number, SwitchHealth | Promise<SwitchHealth>>;
/** Answers of each switch in turn; none any more: no drift. */
let drifts: Map<number, (Drift | Problem)[]>;
let loads: { main: ThreadLoad; southbound: ThreadLoad };
let storeHealth: StoreHealth | undefined;
let now: () => number;

beforeEach(async () => {
  disk = new MemoryDisk();
  const store: Store = openMemoryStore({ disk });
  cloud = await openFakeCloud({ hypervisors: 3, networks: 2, ports: 6, rules: 1 }, store);
  [meter, now, drifts, storeHealth] = [new ThreadMeter(), Date.now, new Map(), undefined];
  loads = { main: load, southbound: load };
  health = new Map([1, 2, 3].map((h) => [h, healthy(h)]));
});
afterEach(async () => {
  meter.stop();
  await cloud[Symbol.asyncDispose]();
});

function healthy(h: number): SwitchHealth {
  return {
    tunnels: [1, 2, 3]
      .filter((peer) => peer !== h)
      .map((peer) => ({
        peer,
        interface: `kw${peer}`,
        error: undefined,
        bfd: { state: 'up', remoteState: 'up', diagnostic: 'No Diagnostic' },
      })),
    errors: [],
    configured: true,
    vmMtu: 1500,
    underlay: [{ interface: 'br-phy', mtu: 1600 }],
    overhead: 42,
    mappings: [{ physicalNetwork: 'outside', bridge: 'br-ex', hindrance: undefined }],
  };
}

async function doctor(quick = false): Promise<Diagnosis> {
  const { core, fake, store } = cloud;
  const plugin = Object.assign(Object.create(fake) as typeof fake, {
    health: async (h: number) => await health.get(h)!,
    drift: async (h: number) => {
      const answer = drifts.get(h)?.shift() ?? none;
      if (answer instanceof Problem) throw answer;
      return answer;
    },
    load: async () => loads.southbound,
  });
  const patient: Patient = {
    view: core.intent,
    engine: core.engine,
    progress: core.progress,
    status: core.status,
    plugin,
    store: new Proxy(store, {
      get: (target, name) => {
        if (name === 'health' && storeHealth !== undefined) return () => Promise.resolve(storeHealth);
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    }),
    gatewayServices: { follows: (h) => following.has(h) },
    meter: Object.assign(Object.create(meter) as ThreadMeter, { read: () => loads.main }),
    ready: () => core.fabric.ready(),
    now,
  };
  return await diagnose(patient, quick);
}

/** Gateway hosts whose program follows what it is to serve. */
const following = new Set<number>();

/** What is not ok. */
const bad = ({ checks }: Diagnosis) => checks.filter(({ state }) => state !== 'ok');
const of = (diagnosis: Diagnosis, check: string): Check[] => diagnosis.checks.filter((one) => one.check === check);

test('where all is well it says so, one line of each kind', async () => {
  const diagnosis = await doctor();
  expect(bad(diagnosis)).toEqual([]);
  expect(diagnosis.worst).toBe('ok');
  const kinds = diagnosis.checks.map(({ check }) => check);
  expect(kinds.filter((check) => !check.startsWith('thread.'))).toEqual([
    'clock',
    'controller',
    'drift',
    'hypervisor.bridge-mappings',
    'hypervisor.configuration',
    'hypervisor.connection',
    'hypervisor.encap-ip',
    'hypervisor.mtu',
    'hypervisor.version',
    'object.refused',
    'port.conflict',
    'store.log',
    'store.writes',
    'tunnel',
    'versions',
  ]);
  expect(of(diagnosis, 'hypervisor.connection')[0]).toMatchObject({ object: '3 hypervisors', advice: '' });
  expect(of(diagnosis, 'tunnel')[0]).toMatchObject({ object: '3 hypervisors', found: '2 with BFD up' });
  expect(of(diagnosis, 'thread.delay').map(({ object }) => object)).toEqual(['2 threads']);
  expect(of(diagnosis, 'versions')[0]!.found).toMatch(/^Keyway \d+\.\d+\.\d+, Node v\d+/);
});

test('quick leaves out what reads switches back', async () => {
  drifts.set(1, [{ ...none, missing: [] }]);
  expect(of(await doctor(true), 'drift')).toEqual([]);
  expect(drifts.get(1)).toHaveLength(1);
});

describe('hypervisors', () => {
  test('that are away, and what hangs on them', async () => {
    cloud.fake.events.disconnected(2, 'cut');
    cloud.fake.events.chassisGone('hv2', 'cut');
    await quiet(cloud.core);
    for (const h of [1, 3]) {
      const tunnel = (health.get(h) as SwitchHealth).tunnels.find(({ peer }) => peer === 2)!;
      tunnel.bfd = { state: 'down', remoteState: 'down', diagnostic: 'Control Detection Time Expired' };
    }
    const diagnosis = await doctor();
    expect(diagnosis.worst).toBe('fail');
    expect(bad(diagnosis)).toMatchObject(
      [
        { check: 'hypervisor.connection', object: 'hypervisors/hv2', state: 'fail', advice: /ovs-vsctl show/ },
        {
          check: 'port.away',
          object: 'hypervisors/hv2',
          state: 'warn',
          found: /^4 ports/,
          advice: /hypervisor lost hv2/,
        },
        {
          check: 'tunnel',
          object: 'hypervisors/hv1 -> hypervisors/hv2',
          state: 'warn',
          found: /peer is not connected/,
        },
        { check: 'tunnel', object: 'hypervisors/hv3 -> hypervisors/hv2', state: 'warn' },
      ].map(matching),
    );
    expect(of(diagnosis, 'hypervisor.connection')[1]).toMatchObject({ state: 'ok', object: '2 hypervisors' });
  });

  test('without an OpenFlow session', async () => {
    cloud.fake.events.disconnected(1, 'cut');
    expect(of(await doctor(), 'hypervisor.connection')[0]).toMatchObject({
      object: 'hypervisors/hv1',
      state: 'fail',
      found: expect.stringMatching(/OVSDB session is up, the OpenFlow session is not/),
      advice: expect.stringMatching(/ovs-vsctl list controller/),
    });
  });

  test('that wait for approval', async () => {
    cloud.fake.connect('stranger', '192.0.2.99');
    await quiet(cloud.core);
    const diagnosis = await doctor();
    expect(bad(diagnosis)).toMatchObject(
      [{ check: 'hypervisor.approval', object: 'hypervisors/stranger', state: 'warn', advice: /approve stranger/ }].map(
        matching,
      ),
    );
  });

  test('none at all', async () => {
    await cloud[Symbol.asyncDispose]();
    cloud = await openFakeCloud({ hypervisors: 0, networks: 0, ports: 0, rules: 0 });
    expect(bad(await doctor())).toMatchObject([matching({ check: 'hypervisor.connection', advice: /set-manager/ })]);
  });

  test('without an address for tunnels, or with that of another', async () => {
    const facts = { hostname: '', peer: 'unix', bridgeMappings: {}, datapathType: 'system', ovsVersion: '3.1.0' };
    cloud.fake.events.chassis({ ...facts, systemId: 'hv1', encapIp: undefined });
    cloud.fake.events.chassis({ ...facts, systemId: 'hv2', encapIp: '192.0.2.3' });
    await quiet(cloud.core);
    expect(of(await doctor(), 'hypervisor.encap-ip')).toMatchObject(
      [
        {
          object: 'hypervisors/hv1',
          state: 'fail',
          found: /no address .* 2 others/,
          advice: /keyway-encap-ip=ADDRESS/,
        },
        { object: 'hypervisors/hv2', state: 'fail', found: /192\.0\.2\.3 is also the address of hv3/ },
        { object: 'hypervisors/hv3', state: 'fail', found: /also the address of hv2/ },
      ].map(matching),
    );
  });

  test.each([
    ['2.16.9', 'fail', /older than 2\.17/],
    ['', 'warn', /tells no version/],
    ['unknown', 'warn', /which is none/],
    ['2.17.0', 'ok', /2\.17\.0/],
    ['10.0', 'ok', /10\.0/],
  ])('of Open vSwitch "%s": %s', async (ovsVersion, state, found) => {
    const facts = { hostname: '', peer: 'unix', bridgeMappings: {}, datapathType: 'system', encapIp: '192.0.2.1' };
    cloud.fake.events.chassis({ ...facts, systemId: 'hv1', ovsVersion });
    await quiet(cloud.core);
    const rows = of(await doctor(), 'hypervisor.version');
    const row = rows.find(({ object }) => object === 'hypervisors/hv1') ?? rows[0]!;
    expect(row).toMatchObject({ state, found: expect.stringMatching(found) });
  });
});

describe('what hypervisors tell', () => {
  const change = (h: number, changes: Partial<SwitchHealth>) => health.set(h, { ...healthy(h), ...changes });

  test('tunnels with an error, without BFD, with BFD down, and not made', async () => {
    const [one, two] = healthy(1).tunnels;
    change(1, {
      tunnels: [
        { ...one!, error: 'could not add' },
        { ...two!, bfd: undefined },
      ],
    });
    const [, last] = healthy(2).tunnels;
    change(2, { tunnels: [{ ...last!, bfd: { ...last!.bfd!, forwarding: false } }] });
    const bfd = { state: 'down', remoteState: 'down', diagnostic: 'No Diagnostic' };
    change(3, { tunnels: healthy(3).tunnels.map((tunnel) => ({ ...tunnel, bfd })) });
    expect(of(await doctor(), 'tunnel')).toMatchObject(
      [
        { object: 'hypervisors/hv1 -> hypervisors/hv2', state: 'fail', found: /could not add/ },
        { object: 'hypervisors/hv2 -> hypervisors/hv1', state: 'fail', found: /not been made/ },
        {
          object: 'hypervisors/hv3 -> hypervisors/hv1',
          state: 'fail',
          found: /BFD is down/,
          advice: /GRE .* 192\.0\.2\.1/,
        },
        { object: 'hypervisors/hv3 -> hypervisors/hv2', state: 'fail' },
        { object: 'hypervisors/hv1 -> hypervisors/hv3', state: 'warn', found: /nothing of its BFD/ },
        { object: 'hypervisors/hv2 -> hypervisors/hv3', state: 'warn', found: /leads nowhere/ },
      ].map(matching),
    );
  });

  test('bridge mappings that lead nowhere, and patches that are not there', async () => {
    const nowhere = { physicalNetwork: 'outside', bridge: 'br-ex', hindrance: 'there is no such bridge' };
    change(1, { mappings: [nowhere] });
    change(3, { mappings: [] });
    expect(of(await doctor(), 'hypervisor.bridge-mappings')).toMatchObject(
      [
        {
          object: 'hypervisors/hv1',
          state: 'warn',
          found: /outside is mapped to br-ex: there is no .* nothing needs it/,
        },
        { object: 'hypervisors/hv2', state: 'ok' },
      ].map(matching),
    );
    // Something needs it from here on; on the second it is not there for no reason the hypervisor tells.
    const { core, fake } = cloud;
    fake.connect('hv1', '192.0.2.1', { outside: 'br-ex' });
    fake.connect('hv2', '192.0.2.2', { outside: 'br-ex' });
    const outside = { physicalNetwork: 'outside', tenants: ['t0'] };
    const pool = { providerNetwork: 'outside', cidr: '203.0.113.0/24', gateway: '203.0.113.1' };
    await core.intent.transact(
      [
        { op: 'put', path: 'provider-networks/outside', spec: outside },
        { op: 'put', path: 'ip-pools/front', spec: pool },
      ],
      { restrictedAllowed: true },
    );
    await quiet(core);
    fake.events.patches(1, new Map());
    fake.events.patches(2, new Map());
    await quiet(core);
    expect(of(await doctor(), 'hypervisor.bridge-mappings')).toMatchObject(
      [
        {
          object: 'hypervisors/hv1',
          state: 'fail',
          found: /there is no such bridge$/,
          advice: /keyway-bridge-mappings/,
        },
        { object: 'hypervisors/hv2', state: 'fail', found: /^patch provider:\d+ to br-ex is not there$/ },
      ].map(matching),
    );
  });

  test('MTUs: too small, unknown, none', async () => {
    change(1, { underlay: [{ interface: 'eth0', mtu: 1500 }] });
    change(2, { underlay: [{ interface: 'eth1', mtu: undefined }] });
    change(3, { vmMtu: 1400, underlay: [] });
    expect(of(await doctor(), 'hypervisor.mtu')).toMatchObject(
      [
        { object: '2 hypervisors', state: 'warn', found: /does not tell .* \(eth1\); VMs need 1542/ },
        { object: 'hypervisors/hv1', state: 'warn', found: /eth0 carries 1500 .* need 1542/, advice: /1458 at most/ },
      ].map(matching),
    );
    change(1, { vmMtu: undefined });
    change(2, { vmMtu: undefined });
    change(3, { vmMtu: 1458, underlay: [{ interface: 'eth0', mtu: 1500 }] });
    expect(of(await doctor(), 'hypervisor.mtu')).toMatchObject([{ object: 'hypervisors/hv3', state: 'ok' }]);
  });

  test('a configuration ovs-vswitchd has not taken, interfaces with errors, a hypervisor that cannot be read', async () => {
    change(1, { configured: false });
    change(2, { errors: [{ interface: 'tap7', error: 'No such device' }] });
    health.set(3, Promise.reject(new Problem('hypervisor.not-connected', 'cut')));
    expect(of(await doctor(), 'hypervisor.configuration')).toMatchObject(
      [
        { object: 'hypervisors/hv1', state: 'fail', found: /not taken/ },
        { object: 'hypervisors/hv2', state: 'warn', found: /tap7: No such device/ },
        { object: 'hypervisors/hv3', state: 'warn', found: /could not be read: .*cut/ },
      ].map(matching),
    );
  });

  test('nothing for five seconds: the others are told all the same', async () => {
    health.set(2, new Promise(() => {}));
    const diagnosis = await doctor();
    expect(of(diagnosis, 'hypervisor.configuration')).toMatchObject(
      [
        { object: 'hypervisors/hv2', state: 'warn', found: /within 5 s/ },
        { object: '2 hypervisors', state: 'ok' },
      ].map(matching),
    );
  }, 15_000);

  test('eight are read at once, the next as soon as one has answered; one that hangs holds up no other', async () => {
    const { core, fake, store } = cloud;
    const members = Array.from({ length: 20 }, (_, i) => i + 11);
    for (const n of members) {
      const spec = { admission: 'approved', systemId: `hv${n}` };
      await core.intent.transact([{ op: 'put', path: `hypervisors/hv${n}`, spec }], { restrictedAllowed: true });
      fake.connect(`hv${n}`, `192.0.2.${n}`);
      fake.interfaces(core.intent.get(`hypervisors/hv${n}`)!.id, []);
    }
    await quiet(core);
    const waiting = new Map<number, (drift: Drift) => void>();
    let most = 0;
    const plugin = Object.assign(Object.create(fake) as typeof fake, {
      health: undefined,
      drift: (h: number) =>
        new Promise<Drift>((resolve) => {
          waiting.set(h, resolve);
          most = Math.max(most, waiting.size);
        }),
    });
    const { engine, progress, status, intent: view } = core;
    const gatewayServices = { follows: () => true };
    const patient = {
      view,
      engine,
      progress,
      status,
      plugin,
      store,
      gatewayServices,
      meter,
      ready: () => core.fabric.ready(),
      now,
    };
    const diagnosis = diagnose(patient, false);
    const turn = () => new Promise((resolve) => setImmediate(resolve));
    const answered: number[] = [];
    let hangs: number | undefined;
    while (answered.length < members.length + 3) {
      await turn();
      const [h] = [...waiting.keys()].filter((one) => one !== hangs || waiting.size === 1);
      if (h === undefined) continue;
      if (hangs === undefined) expect(waiting.size).toBe(8);
      // The first that was asked is the last to answer.
      hangs ??= h;
      if (h === hangs && answered.length < members.length + 2) continue;
      waiting.get(h)!(none);
      waiting.delete(h);
      answered.push(h);
    }
    expect(most).toBe(8);
    expect(answered.at(-1)).toBe(hangs);
    expect(of(await diagnosis, 'drift')).toMatchObject([{ object: '23 hypervisors', state: 'ok' }]);
  });

  test('drift that stays, drift that is mended meanwhile, a switch that goes', async () => {
    const flow = { table: 1, priority: 1, cookie: 1n, match: {}, actions: [] };
    drifts.set(1, [
      { ...none, missing: [flow] },
      { ...none, missing: [flow], extra: [flow, flow] },
    ]);
    drifts.set(2, [{ ...none, different: [[flow, flow]] }]);
    drifts.set(3, [new Problem('hypervisor.not-connected', 'cut')]);
    expect(of(await doctor(), 'drift')).toMatchObject(
      [
        { object: 'hypervisors/hv1', state: 'fail', found: /1 flows missing, 2 extra/, advice: /flows diff hv1/ },
        { object: 'hypervisors/hv2', state: 'warn', found: /1 different; mended/ },
        { object: 'hypervisors/hv3', state: 'warn', found: /could not be read/ },
      ].map(matching),
    );
  }, 15_000);
});

describe('objects', () => {
  test('refused by a switch, however many', async () => {
    const { intent } = cloud.core;
    const refuse = (path: string | undefined, hypervisor: number) => {
      const number = path === undefined ? 0 : intent.get(path)!.number;
      const rejection = { unit: 'u', flow: 'actions=drop', error: 'OFPBAC_BAD_TYPE' };
      cloud.fake.events.rejected({ ...rejection, hypervisor, cookie: cookie(0, number) });
    };
    refuse(cloud.port(0, 1), 1);
    refuse(cloud.port(0, 1), 2);
    refuse(undefined, 3);
    expect(of(await doctor(), 'object.refused')).toMatchObject(
      [
        {
          object: cloud.port(0, 1),
          state: 'fail',
          found: /hv1 refused a flow of it: OFPBAC_BAD_TYPE/,
          advice: /actions=drop/,
        },
        { object: cloud.port(0, 1), state: 'fail', found: /hv2/ },
        { object: 'the pipeline itself', state: 'fail', found: /hv3/ },
      ].map(matching),
    );
    for (let i = 0; i < 100; i++)
      cloud.fake.events.rejected({ hypervisor: 1, unit: 'u', cookie: cookie(0, 5_000 + i), flow: 'x', error: 'y' });
    const many = of(await doctor(), 'object.refused');
    expect(many).toHaveLength(51);
    expect(many.find(({ object }) => object === '53 more')).toMatchObject({ state: 'fail' });
  });

  test('that cannot be compiled', async () => {
    cloud.core.engine.compiler.failures.set(`port:${cloud.port(0, 0)}`, 'a register is too small');
    expect(bad(await doctor())).toMatchObject(
      [{ check: 'object.compiled', state: 'fail', found: /a register is too small/ }].map(matching),
    );
  });

  test('networks without a gateway, with one, with one or both away; next hops nobody knows', async () => {
    const { core, fake } = cloud;
    const network = 'tenants/t0/networks/n';
    const put = async (path: string, spec: Record<string, unknown>) => {
      await core.intent.transact([{ op: 'put', path, spec }], { restrictedAllowed: true });
      await quiet(core);
    };
    await put('provider-networks/net', { physicalNetwork: 'phys' });
    await put('ip-pools/public', { providerNetwork: 'net', cidr: '203.0.113.0/24', gateway: '203.0.113.1' });
    await put(`${network}/public-ips/front`, {});
    const gateways = async () => of(await doctor(), 'network.gateways').filter(({ object }) => object === network);
    expect(await gateways()).toMatchObject([{ state: 'fail', found: 'it has 1 public addresses and no gateway' }]);
    expect(of(await doctor(), 'ip-pool.next-hop')).toMatchObject([{ object: 'ip-pools/public', state: 'fail' }]);
    await put('hypervisors/hv1', { admission: 'approved', gateway: true });
    expect(await gateways()).toMatchObject([{ state: 'warn', found: 'hv1 is its only gateway' }]);
    await put('hypervisors/hv2', { admission: 'approved', gateway: true });
    expect(of(await doctor(), 'network.gateways')).toMatchObject([{ state: 'ok', object: '2 networks' }]);
    const hosts = async () => of(await doctor(), 'gateway-host');
    expect(await hosts()).toMatchObject([
      { object: 'hypervisors/hv1', state: 'fail', found: expect.stringContaining('does not run there') },
      { object: 'hypervisors/hv2', state: 'fail' },
    ]);
    for (const h of [1, 2]) fake.events.patches(h, new Map([['services', 65_000]]));
    await quiet(core);
    following.add(2);
    expect(await hosts()).toMatchObject([
      { object: 'hypervisors/hv1', state: 'warn', found: expect.stringContaining('does not follow') },
      { object: 'hypervisors/hv2', state: 'ok' },
    ]);
    fake.events.disconnected(2, 'cut');
    expect(await gateways()).toMatchObject([{ state: 'warn', found: 'hv2 is away, hv1 is alone' }]);
    fake.events.disconnected(1, 'cut');
    expect(await gateways()).toMatchObject(
      [{ state: 'fail', found: /^away: hv[12] and hv[12], both its gateways$/ }].map(matching),
    );
    await put('ip-pools/public', {
      providerNetwork: 'net',
      cidr: '203.0.113.0/24',
      gateway: '203.0.113.1',
      gatewayMac: '02:00:00:00:00:01',
    });
    expect(of(await doctor(), 'ip-pool.next-hop')).toMatchObject([{ state: 'ok', found: 'known' }]);
  });

  test('claimed by two hypervisors', async () => {
    cloud.fake.interfaces(3, [{ ifaceId: 'if-0-0', name: 'stray', ofport: 99 }]);
    await quiet(cloud.core);
    expect(of(await doctor(), 'port.conflict')).toMatchObject(
      [{ object: cloud.port(0, 0), state: 'warn', found: /^hv3 shows its ifaceId too; hv1 has it/ }].map(matching),
    );
  });
});

describe('the controller', () => {
  const gigabyte = 2 ** 30;

  test('its store: a disk that refuses, is slow, is full', async () => {
    disk.refusal = new Error('the disk is full');
    await expect(cloud.core.intent.transact([{ op: 'put', path: 'tenants/x', spec: {} }])).rejects.toMatchObject({
      code: 'store.unavailable',
    });
    expect(of(await doctor(), 'store.writes')).toMatchObject([
      { state: 'fail', found: 'it is refused: nothing can be written' },
    ]);
    const told = { state: 'serving', schema: 1, bytes: gigabyte, free: 50 * gigabyte, lastWrite: undefined } as const;
    storeHealth = { ...told, lastWrite: { took: 700, at: 1 } };
    expect(of(await doctor(), 'store.writes')).toMatchObject([{ state: 'warn', found: 'the last write took 700 ms' }]);
    for (const [free, state] of [
      [0.05, 'fail'],
      [0.9, 'warn'],
      [50, 'ok'],
    ] as const) {
      storeHealth = { ...told, free: free * gigabyte };
      expect(of(await doctor(), 'store.disk')).toMatchObject(
        [{ state, found: /1024 MB used, \d+ MB free/ }].map(matching),
      );
    }
    storeHealth = { ...told, bytes: 30 * gigabyte, free: 20 * gigabyte };
    expect(of(await doctor(), 'store.disk')).toMatchObject([{ state: 'warn', advice: /compact/ }].map(matching));
    disk.refusal = undefined;
  });

  test('its clock, set back', async () => {
    now = () => Date.now() - 3_600_000;
    expect(of(await doctor(), 'clock')).toMatchObject(
      [{ state: 'warn', found: /3600 s from now|3599 s from now/ }].map(matching),
    );
    await cloud.core.intent.transact([{ op: 'put', path: 'tenants/x', spec: {} }]);
    now = Date.now;
    expect(of(await doctor(), 'clock')).toMatchObject(
      [{ state: 'ok', found: /hypervisors tell no clock/ }].map(matching),
    );
  });

  test('its threads: late, and out of memory', async () => {
    loads = {
      main: { ...load, delay: { p50: 0, p99: 0.2, max: 0.4 } },
      southbound: { ...load, heapUsed: 3.9e9 },
    };
    expect(bad(await doctor())).toMatchObject(
      [
        { check: 'thread.delay', object: 'threads/main', state: 'warn', found: /200 ms at most, the worst by 400 ms/ },
        { check: 'thread.memory', object: 'threads/southbound', state: 'warn', advice: /max-old-space-size/ },
      ].map(matching),
    );
  });

  test('that is stopping', async () => {
    await cloud.core.stop();
    expect(of(await doctor(true), 'controller')).toMatchObject([{ state: 'fail', found: 'stopping' }]);
  });
});

/** Regular expressions as matchers. */
function matching(row: { [Name in keyof Check]?: string | RegExp | undefined }): object {
  const told = Object.entries(row).filter(([, value]) => value !== undefined);
  return Object.fromEntries(
    told.map(([name, value]) => [name, value instanceof RegExp ? expect.stringMatching(value) : value]),
  );
}
