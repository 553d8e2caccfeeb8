/** The program as it is installed, with every kind of the way out, against a whole controller on fake switches. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
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
import { bareEnv, type Ran } from './support.ts';

const program = fileURLToPath(new URL('../../src/keyway.mjs', import.meta.url));
const open = new AsyncDisposableStack();
const tokens: Record<string, string> = {};
let url: string;

beforeAll(async () => {
  const store = openMemoryStore();
  open.defer(() => store.close());
  const fake = new FakeSwitches();
  const log = pino({ level: 'silent' });
  const core = await startCore({ store, plugin: fake, log });
  open.defer(() => core.stop());
  const made = await Tokens.load(store);
  const audit = await Audit.load(store);
  const app = await createApp({ ...core, store, tokens: made, audit, config: loadConfig(undefined), log });
  open.defer(() => app.close());
  url = await app.listen({ host: '127.0.0.1', port: 0 });
  tokens.admin = (await made.create({ role: 'admin' })).secret;
  tokens.acme = (await made.create({ role: 'tenant', tenant: 'acme' })).secret;
  const gateways = ['gw1', 'gw2'].map((name) => ({
    op: 'put' as const,
    path: `hypervisors/${name}`,
    spec: { admission: 'approved', gateway: true },
  }));
  await core.intent.transact(gateways, { restrictedAllowed: true, many: true });
  fake.connect('gw1', '192.0.2.1');
  fake.connect('gw2', '192.0.2.2');
  await quiet(core);
});
afterAll(() => open.disposeAsync());

function keyway(line: string, options: { stdin?: string; as?: string } = {}): Promise<Ran> {
  const child = spawn(process.execPath, [program, ...splitLine(line).words], {
    env: {
      ...bareEnv,
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      KEYWAY_URL: url,
      KEYWAY_TOKEN: tokens[options.as ?? 'admin'],
    },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    stdout += part;
  });
  child.stderr.setEncoding('utf8').on('data', (part: string) => {
    stderr += part;
  });
  child.stdin.end(options.stdin ?? '');
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (status) => resolve({ status: status ?? -1, stdout, stderr }));
  });
}

async function ok(line: string, options: { stdin?: string; as?: string } = {}): Promise<string> {
  const { status, stdout, stderr } = await keyway(line, options);
  expect({ line, status, stderr }).toEqual({ line, status: 0, stderr: '' });
  return stdout;
}

const file = `
- path: tenants/acme
- {path: provider-networks/internet, physicalNetwork: physnet1, vlan: 50}
- {path: ip-pools/public, providerNetwork: internet, cidr: 203.0.113.0/24, gateway: 203.0.113.1, ranges: [203.0.113.10-203.0.113.20]}
- {path: trunks/racks, physicalNetwork: physnet2, vlans: [100-109, '300']}
- {path: quotas/acme, publicIps: 2}
- {path: tenants/acme/networks/shop, offering: basic, cidr: 10.0.0.0/16, domain: shop.example, dnsServers: [9.9.9.9]}
- {path: tenants/acme/networks/shop/tiers/web, cidr: 10.0.0.0/24}
- {path: tenants/acme/networks/shop/tiers/cache, prefixLength: 26}
- {path: tenants/acme/networks/shop/tiers/inner, transit: true, prefixLength: 28}
- {path: tenants/acme/networks/shop/reservations/printers, tier: web, range: 10.0.0.2-10.0.0.9}
- {path: tenants/acme/networks/shop/ports/www, tier: web, hostname: www, userData: IyEvYmluL3NoCg==, metadata: {role: front}}
- {path: tenants/acme/networks/shop/vlan-attachments/storage, trunk: racks, tier: web}
- {path: tenants/acme/networks/shop/ports/san, tier: web, attachment: storage, mac: '02:00:00:00:00:5a', ips: [10.0.0.90]}
- {path: tenants/acme/networks/shop/public-ips/front}
- {path: tenants/acme/networks/shop/nat-rules/out, type: source, publicIp: front}
- {path: tenants/acme/networks/shop/nat-rules/https, type: port-forward, publicIp: front, port: www, protocol: tcp, publicPorts: 443-444, privatePorts: 8443-8444}
`;

test('a file of every kind: planned, applied, and then there is nothing to change', async () => {
  expect(await ok('plan -f -', { stdin: file })).toMatch(/16 to create/);
  expect(await ok('apply -f - --wait', { stdin: file })).toMatch(/16 created/);
  expect(await ok('plan -f -', { stdin: file })).toMatch(/16 to leave as it is/);
  const read = JSON.parse(await ok('port get acme/shop/www -o json'));
  expect(JSON.parse(await ok('tier get acme/shop/cache -o json'))).toMatchObject({ cidr: '10.0.1.0/26' });
  expect(read).toMatchObject({ ips: ['10.0.0.10'], hostname: 'www', metadata: { role: 'front' } });
  const lists = await ok('nat-rule list acme/shop -o yaml');
  expect(await ok('apply -f -', { stdin: lists })).toMatch(/2 unchanged/);
});

test('each kind is shown as people read it', async () => {
  const shown = async (line: string) => (await ok(line)).split('\n').map((row) => row.split(/ {2,}/));
  expect((await shown('ip-pool list'))[1]).toEqual(
    expect.arrayContaining(['public', 'internet', '203.0.113.0/24', '1', '10']),
  );
  expect((await shown('public-ip list acme/shop'))[1]).toEqual(
    expect.arrayContaining(['front', '203.0.113.10', 'public']),
  );
  expect((await shown('nat-rule list acme/shop'))[1]).toEqual(
    expect.arrayContaining(['https', 'port-forward', 'front', 'tcp', '443-444', 'www', '8443-8444']),
  );
  expect((await shown('trunk list'))[1]).toEqual(expect.arrayContaining(['racks', 'physnet2', '100-109,300']));
  expect((await shown('vlan-attachment list acme/shop'))[1]).toEqual(
    expect.arrayContaining(['storage', 'web', 'racks', '100']),
  );
  expect((await shown('reservation list acme/shop'))[1]).toEqual(
    expect.arrayContaining(['printers', 'web', '10.0.0.2-10.0.0.9']),
  );
  expect((await shown('provider-network list'))[1]).toEqual(expect.arrayContaining(['internet', 'physnet1', '50']));
  expect((await shown('quota list'))[0]).toEqual(expect.arrayContaining(['PUBLIC-IPS']));
  expect(await ok('hypervisor list')).toMatch(/gw1 .* (true|yes)/);
}, 30_000);

test('a tenant orders its way out by flags, and learns of nothing that is not its own', async () => {
  const as = 'acme';
  expect(await ok('public-ip create acme/shop/mail', { as })).toContain('created');
  await ok('port create acme/shop/mx --tier web', { as });
  expect(await ok('nat-rule create acme/shop/mx --type static --public-ip mail --port mx', { as })).toContain(
    'created',
  );
  const quota = await keyway('public-ip create acme/shop/third', { as });
  expect(quota).toMatchObject({ status: 3, stderr: expect.stringContaining('quota.exceeded') });
  const twice = await keyway(
    'nat-rule create acme/shop/again --type port-forward --public-ip front --port www --protocol tcp --public-ports 444',
    { as },
  );
  expect(twice.status).toBe(3);
  expect(twice.stderr).toContain('--public-ports');
  expect(twice.stderr).toContain('nat-rule.port-in-use');
  const zero = await keyway('nat-rule set acme/shop/https --public-ports 0 --unset private-ports', { as });
  expect(zero.stderr).toContain('nat-rule.ports');
  expect(await ok('tier list acme/shop -o name', { as })).toBe('acme/shop/cache\nacme/shop/web\n');
  expect(await ok('port get acme/shop/san -o yaml', { as })).not.toContain('storage');
  for (const noun of ['trunk list', 'ip-pool list', 'provider-network list', 'vlan-attachment list acme/shop'])
    expect(await keyway(noun, { as })).toMatchObject({ status: 3, stderr: expect.stringContaining('auth.forbidden') });
}, 30_000);

test('what others depend on stays, and goes when they are gone', async () => {
  const inUse = await keyway('ip-pool delete public');
  expect(inUse).toMatchObject({ status: 3, stderr: expect.stringContaining('public-ips/front') });
  await ok('nat-rule set acme/shop/https --public-ports 8443 --unset private-ports');
  await ok('nat-rule delete acme/shop/https acme/shop/out acme/shop/mx');
  await ok('public-ip delete acme/shop/front acme/shop/mail');
  await ok('port delete acme/shop/san');
  await ok('vlan-attachment delete acme/shop/storage --wait');
  await ok('ip-pool delete public');
  await ok('provider-network delete internet');
  await ok('trunk delete racks');
  await ok('reservation delete acme/shop/printers');
  expect(await ok('ip-pool list -o name')).toBe('');
}, 30_000);

test('completion knows the new words', async () => {
  expect(await ok("__complete -- nat-rule create acme/shop/x --type ''")).toMatch(/port-forward/);
  expect(await ok("__complete -- pub ''".replace(" ''", ''))).toMatch(/public-ip/);
});
