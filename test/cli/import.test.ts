/** VMs that were there before Keyway become ports, over the whole way: CLI, API, inventory; the switches are fakes. */
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createApp } from '../../src/api/app.ts';
import { Audit } from '../../src/auth/audit.ts';
import { Tokens } from '../../src/auth/tokens.ts';
import { splitLine } from '../../src/cli/shell-words.ts';
import { loadConfig } from '../../src/config.ts';
import { startCore } from '../../src/core.ts';
import { openMemoryStore } from '../../src/store/memory.ts';
import { quiet } from '../support/fake-cloud.ts';
import { FakeSwitches } from '../support/fake-switches.ts';
import { type Ran, cli as run } from './support.ts';

const open = new AsyncDisposableStack();
const fake = new FakeSwitches();
let cli: (line: string) => Promise<Ran>;
let settle: () => Promise<void>;

const shown = [
  { ifaceId: 'uuid-a', name: 'tap0', ofport: 5, mac: '52:54:00:00:00:0a' },
  { ifaceId: 'uuid-b', name: 'tap1', ofport: 6, mac: '52:54:00:00:00:0b' },
  { ifaceId: 'uuid-c', name: 'Vif_2.0', ofport: 7, mac: undefined },
];

beforeAll(async () => {
  const store = openMemoryStore();
  open.defer(() => store.close());
  const log = pino({ level: 'silent' });
  const core = await startCore({ store, plugin: fake, log });
  open.defer(() => core.stop());
  const tokens = await Tokens.load(store);
  const app = await createApp({
    ...core,
    store,
    tokens,
    audit: await Audit.load(store),
    config: loadConfig(undefined),
    log,
  });
  open.defer(() => app.close());
  const url = await app.listen({ host: '127.0.0.1', port: 0 });
  const { secret } = await tokens.create({ role: 'admin' });
  cli = (line) => run(splitLine(line).words, { env: { KEYWAY_URL: url, KEYWAY_TOKEN: secret } });
  settle = () => quiet(core);
  await core.intent.transact(
    [
      { op: 'put', path: 'hypervisors/hv1', spec: { admission: 'approved' } },
      { op: 'put', path: 'tenants/acme', spec: {} },
      { op: 'put', path: 'tenants/acme/networks/shop', spec: { offering: 'basic', cidr: '10.0.0.0/16' } },
      { op: 'put', path: 'tenants/acme/networks/shop/tiers/web', spec: { cidr: '10.0.1.0/24' } },
    ],
    { restrictedAllowed: true, many: true },
  );
  const { id } = core.intent.getAs('hypervisor', 'hypervisors/hv1')!;
  fake.connect('hv1', '192.0.2.1');
  fake.events.interfaces(id, shown);
  await settle();
});
afterAll(() => open.disposeAsync());

const command = 'port import acme/shop --hypervisor hv1 --tier web';

test('what a hypervisor shows and is no port is listed', async () => {
  const { status, stdout } = await cli('hypervisor interfaces hv1');
  expect(status).toBe(0);
  expect(stdout.split('\n').map((line) => line.trim().split(/\s+/))).toEqual([
    ['INTERFACE', 'IFACE-ID', 'MAC'],
    ['Vif_2.0', 'uuid-c', '-'],
    ['tap0', 'uuid-a', '52:54:00:00:00:0a'],
    ['tap1', 'uuid-b', '52:54:00:00:00:0b'],
    [''],
  ]);
  const json = JSON.parse((await cli('hypervisor interfaces hv1 -o json')).stdout) as { interfaces: object[] };
  expect(json.interfaces[0]).toEqual({ ifaceId: 'uuid-c', name: 'Vif_2.0', mac: null });
  expect((await cli('hypervisor interfaces none')).stderr).toContain('resource.not-found');
});

test.each([
  ['one without a MAC', command, 'does not say the MAC of Vif_2.0'],
  ['one there is not', `${command} --interface tap9`, 'shows no such interface'],
  ['an address of one that is not chosen', `${command} --interface tap0 --ip tap1=10.0.1.9`, 'shows no such interface'],
  ['an address without an interface', `${command} --interface tap0 --ip 10.0.1.9`, 'INTERFACE='],
  ['an address elsewhere', `${command} --interface tap0 --ip tap0=10.9.9.9`, 'tap0: --ip'],
  ['a MAC that is none', `${command} --interface tap0 --mac tap0=01:00:00:00:00:01`, 'tap0: --mac'],
])('%s is refused, and nothing is made', async (_, line, says) => {
  const { status, stderr } = await cli(line);
  expect(status).not.toBe(0);
  expect(stderr).toContain(says);
  expect((await cli('port list acme/shop -o name')).stdout).toBe('');
});

test('they become ports with their MACs, in one go, and are bound at once', async () => {
  const all = `${command} --ip tap1=10.0.1.30 --mac uuid-c=52:54:00:00:00:0c --name tap0=old-web`;
  const rehearsed = await cli(`${all} --dry-run`);
  expect(rehearsed.stdout).toContain('+ port acme/shop/old-web');
  expect((await cli('port list acme/shop -o name')).stdout).toBe('');

  const done = await cli(`${all} --wait`);
  expect(done).toMatchObject({ status: 0, stderr: '' });
  expect(done.stdout).toMatch(/3 created/);
  await settle();
  const { items } = JSON.parse((await cli('port list acme/shop -o json')).stdout) as {
    items: { name: string; mac: string; ips: string[]; ifaceId: string; binding: { interface: string } }[];
  };
  expect(items.map(({ name, mac, ips, ifaceId, binding }) => [name, mac, ips, ifaceId, binding?.interface])).toEqual([
    ['hv1-tap1', '52:54:00:00:00:0b', ['10.0.1.30'], 'uuid-b', 'tap1'],
    ['hv1-vif-2-0', '52:54:00:00:00:0c', [expect.stringMatching(/^10\.0\.1\./)], 'uuid-c', 'Vif_2.0'],
    ['old-web', '52:54:00:00:00:0a', [expect.stringMatching(/^10\.0\.1\./)], 'uuid-a', 'tap0'],
  ]);
  expect(JSON.parse((await cli('hypervisor interfaces hv1 -o json')).stdout)).toEqual({ interfaces: [] });
  expect((await cli(command)).stderr).toContain('shows no interface that is no port yet');
});

test('a name that is taken is refused, and the port that has it stays as it is', async () => {
  fake.events.interfaces(fake.admitted.keys().next().value!, [
    ...shown,
    { ifaceId: 'uuid-d', name: 'tap3', ofport: 8, mac: '52:54:00:00:00:0d' },
  ]);
  await settle();
  const { status, stderr } = await cli(`${command} --name tap3=old-web`);
  expect(status).not.toBe(0);
  expect(stderr).toContain('--name');
  expect(JSON.parse((await cli('port get acme/shop/old-web -o json')).stdout)).toMatchObject({ ifaceId: 'uuid-a' });
});
