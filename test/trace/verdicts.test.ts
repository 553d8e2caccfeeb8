/** What traces end at, on a real cloud: through the API and the command line. */

import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createApp } from '../../src/api/app.ts';
import { Audit } from '../../src/auth/audit.ts';
import { Tokens } from '../../src/auth/tokens.ts';
import { loadConfig } from '../../src/config.ts';
import { cli, type Ran } from '../cli/support.ts';
import { openVswitch } from '../support/open-vswitch.ts';
import { openTraceCloud, shop, type TraceCloud } from './cloud.ts';

const found = await openVswitch();
const unavailable = 'unavailable' in found ? found.unavailable : undefined;

let cloud: TraceCloud;
let url: string;
let token: string;
let tenantToken: string;
const open = new AsyncDisposableStack();

beforeAll(async () => {
  if (unavailable !== undefined) return;
  cloud = open.use(await openTraceCloud());
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
  token = (await tokens.create({ role: 'admin' })).secret;
  tenantToken = (await tokens.create({ role: 'tenant', tenant: 'acme' })).secret;
}, 60_000);
afterAll(() => open.disposeAsync());

const run = (line: string, as = token): Promise<Ran> =>
  cli(['trace', ...line.split(' ')], {
    env: { KEYWAY_URL: url, KEYWAY_TOKEN: as, KEYWAY_TENANT: 'acme', KEYWAY_NETWORK: 'shop' },
  });

const skip = { skip: unavailable !== undefined };

test.each([
  ['--from a1 --to b2 --dport 5432', 'delivered', /Delivered to port b2/, []],
  [
    '--from a1 --to b2 --dport 9999',
    'rules',
    /denied by default, on the sender/,
    ['an allow rule in tenants/acme/networks/shop from tier web to tier db, tcp 9999'],
  ],
  [
    '--from b1 --to b2 --dport 8050',
    'rules',
    /Denied by rule no-front-db/,
    [
      'an allow rule in tenants/acme/networks/shop from tier web to tier db, tcp 8050, with a priority below 50 (rule no-front-db)',
    ],
  ],
  [
    '--from a1 --to b2 --dport 23',
    'rules',
    /Denied by the operator's policy/,
    ["A change of the operator's policy: it goes before every rule of a tenant"],
  ],
  [
    '--from a1 --to 10.0.2.13',
    'unbound',
    /ghost .* is bound nowhere/,
    [`${shop}/ports/ghost bound: a VM's interface with its ifaceId on a hypervisor`],
  ],
  ['--from a1 --to 10.0.2.99', 'no-receiver', /No port has 10.0.2.99/, [`a port with 10.0.2.99 in ${shop}/tiers/db`]],
  [
    '--from a1 --to 10.0.1.99',
    'no-answer',
    /Nobody answers for 10.0.1.99/,
    [`a port with 10.0.1.99 in ${shop}/tiers/web`],
  ],
  [
    '--from a1 --to 10.2.1.11',
    'no-route',
    /no route to 10.2.1.11/,
    ['a peering of shop and lab in tenants/acme: the networks are not peered'],
  ],
  [
    '--from a1 --to 8.8.8.8',
    'no-route',
    /no route to 8.8.8.8/,
    [
      `a nat-rule of type source in ${shop} for tier web, and a public-ip for it`,
      `a route in ${shop} with destination 8.8.8.8/32, or a prefix around it`,
    ],
  ],
  [
    '--from a1 --to 8.8.8.8 --dport 53 --proto udp',
    'rules',
    /denied by default/,
    [
      `an allow rule in ${shop} from tier web to cidr 8.8.8.8/32, udp 53`,
      `a nat-rule of type source in ${shop} for tier web, and a public-ip for it`,
      `a route in ${shop} with destination 8.8.8.8/32, or a prefix around it`,
    ],
  ],
  ['--from acme/office/a3 --to b1 --dport 443', 'delivered', /Delivered to port b1/, []],
  [
    '--from acme/office/a3 --to b1 --dport 444',
    'rules',
    /denied by default, on the receiver/,
    [`an allow rule in ${shop} from cidr 10.1.1.11/32 to tier web, tcp 444`],
  ],
  ['--from b2 --to a1 --sport 5432 --state reply', 'delivered', /Delivered to port a1/, []],
  [
    '--from b2 --to a1 --sport 5433 --state reply',
    'rules',
    /denied by default/,
    [`an allow rule in ${shop} from tier web to tier db, tcp 5433`],
  ],
  ['--from a1 --to b2 --dport 5432 --state established', 'delivered', /Delivered/, []],
  ['--from a1 --to b2 --dport 5000 --proto udp', 'delivered', /Delivered to port b2/, []],
  ['--from a1 --to a2 --dport 5000 --proto udp', 'delivered', /Delivered to port a2/, []],
  [
    '--from a1 --to 192.168.7.9 --dport 5000 --proto udp',
    'delivered',
    /Delivered to port b1 .*, which has to pass it on to 192.168.7.9: route branch/,
    [],
  ],
  [
    '--from a1 --to 10.0.1.100',
    'delivered',
    /Delivered to port [ab]6 .* and port [ab]6 .*: whichever of them has 10.0.1.100/,
    [],
  ],
  [
    '--from a2 --to 10.0.1.100',
    'delivered',
    /Delivered to port [ab]6 .* and port [ab]6 .*: whichever of them has 10.0.1.100/,
    [],
  ],
  ['--from a1 --to 10.0.1.1', 'answered', /answers for 10.0.1.1 itself/, []],
  ['--from a1 --to fd00:1:0:2::12', 'delivered', /Delivered to port b2/, []],
  [
    '--from a1 --to fd00:1:0:2::99 --dport 5432',
    'no-receiver',
    /No port has/,
    [`a port with fd00:1:0:2::99 in ${shop}/tiers/db`],
  ],
  [
    '--from a1 --to b2 --dport 5432 --ttl 1',
    'time-to-live',
    /time to live runs out/,
    ['A larger time to live at the sender'],
  ],
  [
    '--from a1 --to b2 --dport 5432 --length 1600',
    'too-big',
    /larger than the way takes/,
    ['Smaller packets: the MTU of the network'],
  ],
  ['--from a1 --to a2 --dport 5432 --length 1400', 'delivered', /Delivered to port a2/, []],
  [
    '--from a1 --to b1 --source 10.0.1.77',
    'source',
    /may not send as 10.0.1.77/,
    [`10.0.1.77 among ips or allowedAddressPairs of ${shop}/ports/a1`],
  ],
])('%s: %s', skip, async (line, reason, text, needs) => {
  const { status, stdout, stderr } = await run(`${line} -o json`);
  expect(stderr).toBe('');
  const { verdict } = JSON.parse(stdout);
  expect(verdict).toMatchObject({ reason, text: expect.stringMatching(text), needs });
  expect(status).toBe(reason === 'delivered' || reason === 'answered' ? 0 : 1);
});

test.each([
  ['--from ghost --to a1', 'trace.port-not-bound', '/from'],
  ['--from none --to a1', 'resource.not-found', '/from'],
  ['--from a1 --to none', 'resource.not-found', '/to'],
  ['--from a1 --to umbrella/shop/a1', 'request.invalid', '/to'],
  ['--from a1 --to 224.0.0.1', 'address.invalid', '/to'],
  ['--from a1 --to 169.254.1.1', 'address.invalid', '/to'],
  ['--from a1 --to fe80::1', 'address.invalid', '/to'],
  ['--from a1 --to ::ffff:10.0.1.12', 'address.invalid', '/to'],
  ['--from acme/office/a3 --to fd00:1:0:1::12', 'address.invalid', '/to'],
  ['--from a1 --to b1 --proto nonsense', 'request.invalid', '/protocol'],
  ['--from a1 --to b1 --proto gre --dport 5', 'request.invalid', '/destinationPort'],
  ['--from a1 --to 8.8.8.8 --state reply', 'request.invalid', '/state'],
])('%s is refused: %s of %s', skip, async (line, code, field) => {
  const [from, to] = [/--from (\S+)/.exec(line)![1]!, /--to (\S+)/.exec(line)![1]!];
  const { status, stderr } = await run(line);
  expect(status, `${from} ${to}`).not.toBe(0);
  expect(stderr).toContain(field);
  expect(stderr).toContain(code);
});

test('of flows that several rules share, the rule that decided is named', skip, async () => {
  const decided = async (line: string): Promise<unknown> => {
    const { verdict } = JSON.parse((await run(`${line} -o json`)).stdout);
    return [verdict.outcome, verdict.decisions.at(-1).path];
  };
  expect(await decided('--from a1 --to b2 --dport 7009')).toEqual(['delivered', `${shop}/rules/wide`]);
  // Both speak of it at one priority: deny wins.
  expect(await decided('--from b1 --to b2 --dport 7003')).toEqual(['refused', `${shop}/rules/wide-not`]);
});

test('steered packets are followed through the ports that pass them on', skip, async () => {
  const { stdout } = await run('--from a1 --to a2 --dport 5000 --proto udp -o json');
  const { hops, verdict } = JSON.parse(stdout);
  expect(hops.map((hop: { hypervisor: string; arrives: string }) => `${hop.hypervisor} ${hop.arrives}`)).toEqual([
    'hv1 from port a1 of network shop of tenant acme',
    'hv2 by the tunnel from hv1',
    'hv2 from port b5 of network shop of tenant acme, taken to have passed it on',
    'hv1 by the tunnel from hv2',
  ]);
  expect(verdict.decisions.map((d: { side: string; action: string }) => [d.side, d.action])).toEqual([
    ['sender', 'allow'],
    ['receiver', 'allow'],
  ]);
});

test('the page names hypervisors, tables, flows and who ordered', skip, async () => {
  const words = 'rule create acme/office/extra --action allow --priority 5 --from any --to any --protocol udp --wait';
  const created = await cli(words.split(' '), { env: { KEYWAY_URL: url, KEYWAY_TOKEN: tenantToken } });
  expect(created).toMatchObject({ status: 0, stderr: '' });
  const line = '--from acme/office/a3 --to acme/office/b3 --proto udp --dport 53';
  const { stdout } = await run(line);
  expect(stdout).toMatch(/^10\.1\.1\.11 \(port acme\/office\/a3\) -> 10\.1\.1\.12 \(port acme\/office\/b3\): udp/);
  expect(stdout).toMatch(/^hv1 {2}from port a3/m);
  expect(stdout).toMatch(/^hv2 {2}by the tunnel from hv1/m);
  expect(stdout).toMatch(/\. Classifier {2}port acme\/office\/a3\n +priority=100,in_port=/);
  expect(stdout).toMatch(/^DELIVERED {2}Delivered to port b3/m);
  expect(stdout).toMatch(/sender: allow by rule acme\/office\/extra: .*\n +ordered \d{4}-.* by tenant:acme, token \w+/);
  const tenant = await run(line, tenantToken);
  expect(tenant.stdout).toMatch(/^DELIVERED/m);
  expect(tenant.stdout).not.toMatch(/hv\d|in_port|Classifier/);
});

test('whoever traces through a switch that is away is told so, and a tenant not which', skip, async () => {
  await cloud.switches.hv2.kill('ovs-vswitchd');
  const line = '--from a1 --to b2 --dport 5432 -o json';
  await expect
    .poll(async () => JSON.parse((await run(line)).stdout).verdict.outcome, { timeout: 10_000 })
    .toBe('unknown');
  const { stdout, status } = await run(line);
  expect(status).toBe(1);
  expect(stdout).toMatch(/hv2 cannot be asked/);
  const tenant = await run(line, tenantToken);
  expect(JSON.parse(tenant.stdout).verdict).toMatchObject({ outcome: 'unknown', needs: [] });
  expect(tenant.stdout).not.toMatch(/hv\d/);
});
