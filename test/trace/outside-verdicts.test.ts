/** `keyway trace` of the way out and in: by what it goes, where it ends, and what would have to be ordered. */
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createApp } from '../../src/api/app.ts';
import { Audit } from '../../src/auth/audit.ts';
import { Tokens } from '../../src/auth/tokens.ts';
import { loadConfig } from '../../src/config.ts';
import { cli, type Ran } from '../cli/support.ts';
import { settled } from '../support/core.ts';
import { openVswitch } from '../support/open-vswitch.ts';
import { type OutsideTraceCloud, openOutsideTraceCloud, shop } from './outside-cloud.ts';

const found = await openVswitch();
const unavailable = 'unavailable' in found ? found.unavailable : undefined;
if (unavailable !== undefined) console.warn(`no Open vSwitch: ${unavailable}`);
const skip = { skip: unavailable !== undefined };

let cloud: OutsideTraceCloud;
let url = '';
const secrets = { admin: '', acme: '', umbrella: '' };
const open = new AsyncDisposableStack();
beforeAll(async () => {
  if (unavailable !== undefined) return;
  cloud = open.use(await openOutsideTraceCloud());
  const { core } = cloud;
  const tokens = await Tokens.load(core.store);
  const app = await createApp({
    ...core,
    tokens,
    audit: await Audit.load(core.store),
    config: loadConfig(undefined),
    log: pino({ level: 'silent' }),
  });
  open.defer(() => app.close());
  url = await app.listen({ host: '127.0.0.1', port: 0 });
  secrets.admin = (await tokens.create({ role: 'admin' })).secret;
  for (const tenant of ['acme', 'umbrella'] as const)
    secrets[tenant] = (await tokens.create({ role: 'tenant', tenant })).secret;
}, 60_000);
afterAll(() => open.disposeAsync());

const run = (line: string, as: keyof typeof secrets = 'admin'): Promise<Ran> =>
  cli(['trace', ...line.split(' ')], {
    env: { KEYWAY_URL: url, KEYWAY_TOKEN: secrets[as], KEYWAY_TENANT: 'acme', KEYWAY_NETWORK: 'shop' },
  });

async function answer(line: string, as: keyof typeof secrets = 'admin') {
  const { status, stdout, stderr } = await run(`${line} -o json`, as);
  expect(stderr).toBe('');
  const body = JSON.parse(stdout);
  const passed = body.verdict.outcome === 'delivered' || body.verdict.outcome === 'answered';
  expect(status).toBe(passed ? 0 : 1);
  return body;
}

test.each([
  [
    '--from web2 --to 198.51.100.7 --dport 80',
    'outside',
    /^Leaves the network as 203\.0\.113\.10: nat-rule out, public-ip front$/,
    [],
  ],
  // With an address of its own, on a hypervisor that has the provider network.
  ['--from web1 --to 198.51.100.7 --dport 80', 'outside', /as 203\.0\.113\.11: nat-rule own, public-ip own$/, []],
  [
    '--from db1 --to 198.51.100.7',
    'no-nat-rule',
    /^No nat-rule lets it out$/,
    [`a nat-rule of type source in ${shop} for tier db`],
  ],
  [
    '--from outside --to 203.0.113.10 --dport 443',
    'delivered',
    /^Delivered to port web2 of network shop of tenant acme, as 10\.0\.1\.12:8443$/,
    [],
  ],
  ['--from outside --to web2 --dport 443', 'delivered', /as 10\.0\.1\.12:8443$/, []],
  ['--from outside --to public-ip:front --dport 443', 'delivered', /as 10\.0\.1\.12:8443$/, []],
  ['--from outside:198.51.100.9 --to web1 --dport 22', 'delivered', /as 10\.0\.1\.11:22$/, []],
  [
    '--from outside:192.0.2.99 --to web1 --dport 22',
    'rules',
    /denied by default, on the receiver's side$/,
    [`an allow rule in ${shop} from any, or cidr 192.0.2.99/32 to tier web, tcp 22`],
  ],
  [
    '--from outside --to 203.0.113.10 --dport 25',
    'rules',
    /denied by default/,
    [`an allow rule in ${shop} from any, or cidr 198.51.100.1/32 to tier db, tcp 25`],
  ],
  [
    '--from outside --to 203.0.113.10 --dport 80',
    'no-nat-rule',
    /^No nat-rule publishes that under 203\.0\.113\.10$/,
    [`a nat-rule of type port-forward in ${shop} for public-ip front, tcp 80`],
  ],
  [
    '--from outside --to web2 --dport 9999',
    'no-nat-rule',
    /^Nothing publishes that of port web2/,
    [`a nat-rule of type port-forward in ${shop} to port web2, tcp 9999`],
  ],
  [
    '--from outside --to public-ip:idle --dport 80',
    'no-answer',
    /^Nobody answers for 203\.0\.113\.12 on its provider network$/,
    [`a nat-rule in ${shop} for public-ip idle`],
  ],
  [
    '--from outside:10.0.1.12 --to 203.0.113.10 --dport 443',
    'source',
    /^Nobody outside has 10\.0\.1\.12/,
    ['Another sender'],
  ],
  // Out as one public address, in by the other.
  ['--from web1 --to 203.0.113.10 --dport 443', 'delivered', /^Delivered to port web2 .*, as 10\.0\.1\.12:8443$/, []],
  [
    '--from web2 --to 203.0.113.10 --dport 25',
    'rules',
    /denied by default, on the receiver's side$/,
    [`an allow rule in ${shop} from any, or cidr 203.0.113.10/32 to tier db, tcp 25`],
  ],
  ['--from web2 --to 198.51.100.7 --dport 80 --state established', 'outside', /as 203\.0\.113\.10/, []],
  [
    '--from outside:198.51.100.7 --to web2 --sport 80 --dport 40000 --state reply',
    'delivered',
    /^Delivered to port web2/,
    [],
  ],
  [
    '--from web2 --to 198.51.100.7 --sport 8443 --dport 40000 --state reply',
    'outside',
    /^Leaves the network as 203\.0\.113\.10/,
    [],
  ],
  ['--from web2 --to 169.254.1.2', undefined, undefined, undefined],
  ['--from web2 --to 203.0.113.10 --ttl 1', 'time-to-live', /time to live/, ['A larger time to live at the sender']],
] as const)('%s: %s', skip, async (line, reason, text, needs) => {
  if (reason === undefined) {
    expect((await run(line)).stderr).toContain('address.invalid');
    return;
  }
  const { verdict } = await answer(line);
  expect(verdict).toMatchObject({ reason, text: expect.stringMatching(text), needs });
});

test('by which gateway, address and next hop; and by which were that one dead', skip, async () => {
  const [first, second] = cloud.gateways;
  const line = '--from web2 --to 198.51.100.7 --dport 80';
  const by = (gateway: string) => ({
    direction: 'out',
    natRule: `${shop}/nat-rules/out`,
    publicIp: `${shop}/public-ips/front`,
    address: '203.0.113.10',
    gateway,
    providerNetwork: 'internet',
    nextHop: '203.0.113.1',
  });
  const alive = await answer(line);
  expect(alive.translated).toEqual([by(first)]);
  expect(alive.hops.map(({ hypervisor }: { hypervisor: string }) => hypervisor)).toEqual(['hv1', first]);
  const assumed = await answer(`${line} --assume-down ${first}`);
  expect(assumed.translated).toEqual([by(second)]);
  const inward = await answer(`--from outside --to 203.0.113.10 --dport 443 --assume-down ${first}`);
  expect(inward.hops[0].hypervisor).toBe(second);
  expect(inward.verdict.outcome).toBe('delivered');
  expect(await answer(`${line} --assume-down gw1,gw2`)).toMatchObject({ verdict: { reason: 'no-gateway' } });
  // Really dead, in the switches' own eyes.
  await cloud.setAlive(first, false);
  try {
    expect((await answer(line)).translated).toEqual([by(second)]);
  } finally {
    await cloud.setAlive(first, true);
  }
  expect((await run(`${line} --assume-down nobody`)).stderr).toContain('/assumeDown');
  const { stdout } = await run(line);
  expect(stdout).toContain(`  out: 203.0.113.10 by nat-rule acme/shop/out, public-ip acme/shop/front, on ${first}`);
});

test('a device behind a VLAN is reached by whichever gateway lives, and heard by it', skip, async () => {
  const { placement } = cloud.core.engine.bindings;
  const name = (h: number) => cloud.core.engine.fleet.name(h);
  const { hypervisor, standby } = placement.get(`${shop}/ports/appliance`)!;
  const [first, second] = [name(hypervisor), name(standby!.hypervisor)];
  const last = (body: { hops: { hypervisor: string }[] }) => body.hops.at(-1)!.hypervisor;
  const line = '--from web2 --to appliance';
  await allowPing();
  const to = await answer(line);
  expect(to.verdict).toMatchObject({
    outcome: 'delivered',
    text: 'Delivered to port appliance of network shop of tenant acme',
  });
  expect(last(to)).toBe(first);
  const over = await answer(`${line} --assume-down ${first}`);
  expect([over.verdict.outcome, last(over)]).toEqual(['delivered', second]);
  const from = await answer('--from appliance --to web2');
  expect([from.verdict.outcome, from.hops[0].hypervisor]).toEqual(['delivered', first]);
  const heard = await answer(`--from appliance --to web2 --assume-down ${first}`);
  expect([heard.verdict.outcome, heard.hops[0].hypervisor]).toEqual(['delivered', second]);
});

async function allowPing(): Promise<void> {
  const { core } = cloud;
  const spec = { action: 'allow', priority: 50, from: { any: true }, to: { any: true }, protocol: 'icmp' };
  await core.intent.transact([{ op: 'put', path: `${shop}/rules/ping`, spec }], { restrictedAllowed: true });
  await settled(core);
}

test('a port straight on a provider network, out and in', skip, async () => {
  await allowPing();
  const out = await answer('--from printer --to 198.51.100.7');
  expect(out.verdict).toMatchObject({ outcome: 'delivered', reason: 'outside', text: 'Leaves the network' });
  expect(out.neighbour.text).toMatch(/is asked on the provider network/);
  const inward = await answer('--from outside --to printer');
  expect(inward.verdict).toMatchObject({ outcome: 'delivered', reason: 'delivered' });
  expect(inward.hops.map(({ hypervisor }: { hypervisor: string }) => hypervisor)).toEqual(['hv1']);
  expect((await answer('--from outside --to printer --dport 22')).verdict).toMatchObject({
    reason: 'rules',
    needs: [`an allow rule in ${shop} from any, or cidr 198.51.100.1/32 to tier campus, tcp 22`],
  });
});

test('what asks for an address, a router, a name or metadata is followed to who tells it', skip, async () => {
  const [first, second] = cloud.gateways;
  const dhcp = await answer('--from web2 --to dhcp');
  expect(dhcp.verdict).toMatchObject({ outcome: 'delivered', reason: 'services' });
  expect(dhcp.hops.map(({ hypervisor }: { hypervisor: string }) => hypervisor)).toEqual(['hv1', first]);
  expect((await answer(`--from web2 --to dhcp --assume-down ${first}`)).hops.at(-1).hypervisor).toBe(second);
  const metadata = '--from web2 --to 169.254.169.254 --dport 80';
  // No gateway host has the port of the services yet.
  expect((await answer(metadata)).verdict).toMatchObject({ outcome: 'refused', reason: 'no-services' });
  for (const host of cloud.gateways) {
    await cloud.switches[host].addPort('kw-services');
    await cloud.switches[host].vsctl('set', 'Interface', 'kw-services', 'external_ids:keyway-service=gateway-host');
  }
  await expect
    .poll(async () => (await answer(metadata)).verdict, { timeout: 10_000 })
    .toMatchObject({ outcome: 'delivered', reason: 'services' });
  expect((await answer('--from web2 --to 169.254.169.254 --dport 53 --proto udp')).verdict.reason).toBe('services');
  expect((await answer('--from web2 --to 169.254.169.254 --dport 22')).verdict.outcome).toBe('refused');
  const told = await answer(metadata, 'acme');
  expect(JSON.stringify(told)).not.toMatch(/hv\d|gw\d/);
});

test('a tenant is told the verdict, and neither where nor of the operator', skip, async () => {
  const [first] = cloud.gateways;
  const told = await answer('--from web2 --to 198.51.100.7 --dport 80', 'acme');
  expect(told.translated).toEqual([
    {
      direction: 'out',
      natRule: `${shop}/nat-rules/out`,
      publicIp: `${shop}/public-ips/front`,
      address: '203.0.113.10',
    },
  ]);
  expect(told.hops).toEqual([]);
  const inward = await answer('--from outside --to 203.0.113.10 --dport 443', 'acme');
  expect(inward.verdict.outcome).toBe('delivered');
  expect(JSON.stringify([told, inward])).not.toMatch(/hv\d|gw\d|internet|203\.0\.113\.1"/);
  expect((await run(`--from web2 --to 198.51.100.7 --assume-down ${first}`, 'acme')).stderr).toContain('/assumeDown');
});

test("another tenant's public address is outside: of what is behind it a tenant is told nothing", skip, async () => {
  const line = '--from web2 --to 203.0.113.20 --dport 443';
  const all = await answer(line);
  expect(all).toMatchObject({ beyond: true, verdict: { outcome: 'delivered' } });
  expect(all.verdict.text).toMatch(/web2 of network shop of tenant umbrella/);
  const told = await answer(line, 'acme');
  expect(told.verdict).toMatchObject({ reason: 'outside', text: 'Leaves the network as 203.0.113.10' });
  expect(JSON.stringify(told)).not.toContain('umbrella');
  // Refused there, too: nobody says by what.
  const refused = await answer('--from web2 --to 203.0.113.20 --dport 25', 'acme');
  expect(refused.verdict.outcome).toBe('delivered');
  expect(JSON.stringify(refused)).not.toContain('umbrella');
  const foreign = await run('--from outside --to 203.0.113.20 --dport 443', 'acme');
  expect(foreign.stderr).toContain('resource.not-found');
  const path = await run('--from outside --to public-ip:umbrella/shop/front --dport 443', 'acme');
  expect(path.stderr).toContain('auth.forbidden');
});

test.each([
  ['--from outside:nonsense --to web2', 'address.invalid', '/from'],
  ['--from outside:fd00::1 --to web2', 'address.invalid', '/from'],
  ['--from outside --to 203.0.113.99', 'resource.not-found', '/to'],
  ['--from outside --to 8.8.8.8', 'resource.not-found', '/to'],
  ['--from outside --to web2 --live', 'request.invalid', '/live'],
  ['--from outside --to dhcp', 'request.invalid', '/to'],
  ['--from outside --to 203.0.113.10 --sport 80 --state reply', 'request.invalid', '/state'],
  ['--from db1 --to 198.51.100.7 --sport 80 --dport 4000 --state reply', undefined, undefined],
])('%s is refused: %s of %s', skip, async (line, code, field) => {
  const { status, stderr, stdout } = await run(line);
  if (code === undefined) {
    // Published, but not that port: what it would answer never came.
    expect(`${stdout}${stderr}`).not.toBe('');
    return;
  }
  expect(status).not.toBe(0);
  expect(stderr).toContain(field);
  expect(stderr).toContain(code);
});

test('without the rules that let anything out there is no route, and what is missing is said', skip, async () => {
  const { core } = cloud;
  const network = 'tenants/umbrella/networks/shop';
  const rules = [...core.intent.children('nat-rule', network)];
  await core.intent.transact(
    rules.map(({ path }) => ({ op: 'delete' as const, path })),
    { restrictedAllowed: true, many: true },
  );
  await expect
    .poll(async () => (await answer('--from umbrella/shop/web1 --to 198.51.100.7')).verdict.reason, { timeout: 5_000 })
    .toBe('no-route');
  const { verdict } = await answer('--from umbrella/shop/web1 --to 198.51.100.7');
  expect(verdict.needs).toEqual([
    `a nat-rule of type source in ${network} for tier web`,
    `a route in ${network} with destination 198.51.100.7/32, or a prefix around it`,
  ]);
});

test('where a public address is, and what its flows are for', skip, async () => {
  const [first, second] = cloud.gateways;
  const ask = (words: string[], as: keyof typeof secrets = 'admin') =>
    cli(words, { env: { KEYWAY_URL: url, KEYWAY_TOKEN: secrets[as] } });
  const where = await ask(['where', '203.0.113.10']);
  expect(where).toMatchObject({ status: 0, stderr: '' });
  expect(where.stdout).toMatch(new RegExp(`^acme/shop/front +203\\.0\\.113\\.10 +public +${first}, ?${second}$`, 'm'));
  expect((await ask(['where', '203.0.113.11'])).stdout).toMatch(/own +203\.0\.113\.11 +public +hv1$/m);
  const told = JSON.parse((await ask(['where', '203.0.113.10', '-o', 'json'], 'acme')).stdout);
  expect(told.publicIps).toHaveLength(1);
  expect(JSON.stringify(told)).not.toMatch(/gw\d/);
  expect((await ask(['where', '203.0.113.20'], 'acme')).status).toBe(1);
  const { core } = cloud;
  const rule = core.intent.get(`${shop}/nat-rules/https`)!;
  const flows = await core.fabric.flows(`hypervisors/${first}`, 'installed');
  const flow = flows.find(({ tableName, purpose }) => tableName === 'ProviderNat' && purpose.path === rule.path)!;
  const explained = await core.fabric.explain(flow.text);
  expect(explained.path).toBe(rule.path);
  expect(explained.text.join(' ')).toContain('The rule says: tcp 443 of 203.0.113.10 leads to 8443 of port web2.');
  const address = await core.fabric.explain(flows.find(({ tableName }) => tableName === 'ProviderOutput')!.text);
  expect(address.text.join(' ')).toMatch(/The public address is 203\.0\.113\.\d+, of pool public\./);
});

test('tunnels to gateways are among those that are checked', skip, async () => {
  const { pairs } = await cloud.core.trace.connectivity([cloud.gateways[0]]);
  const [first, second] = cloud.gateways;
  const ends = pairs.map(({ a, b }) => (a === first ? b : a)).sort();
  expect(ends).toEqual(['hv1', 'hv2', second].sort());
});

test('usage on the command line: of one, and of all', skip, async () => {
  const ask = (line: string, as: keyof typeof secrets = 'admin') =>
    cli(line.split(' '), { env: { KEYWAY_URL: url, KEYWAY_TOKEN: secrets[as] } });
  const one = await ask('public-ip usage acme/shop/front');
  expect(one).toMatchObject({ status: 0, stderr: expect.stringMatching(/^Since \d{4}-/) });
  expect(one.stdout).toMatch(/^received +0 +0$/m);
  expect(JSON.parse((await ask('port usage acme/shop/web1 -o json', 'acme')).stdout)).toMatchObject({
    received: { packets: expect.any(Number) },
    complete: true,
  });
  await expect
    .poll(async () => (await ask('usage list --tenant acme')).stdout, { timeout: 10_000 })
    .toMatch(/^acme\/networks\/shop\/ports\/web1 /m);
  expect((await ask('usage list', 'umbrella')).stdout).not.toContain('acme');
  expect((await ask('usage list --tenant acme', 'umbrella')).stderr).toContain('auth.forbidden');
  expect((await ask('usage list --since yesterday')).stderr).toContain('--since');
  expect((await ask('usage list --since 2099-01-01')).stdout).not.toContain('acme/networks');
  const metrics = await cloud.core.fabric.metrics();
  expect(metrics.map(({ name }) => name)).toEqual(
    expect.arrayContaining(['keyway_usage_accounts', 'keyway_usage_bytes_total', 'keyway_usage_readings_total']),
  );
});
