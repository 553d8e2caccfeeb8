/** The CLI against the real API on a memory store, with a real switch where one is needed. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createApp } from '../../src/api/app.ts';
import { Audit } from '../../src/auth/audit.ts';
import { Tokens } from '../../src/auth/tokens.ts';
import { kindModel, model } from '../../src/cli/model.ts';
import { splitLine } from '../../src/cli/shell-words.ts';
import { flagsFor } from '../../src/cli/values.ts';
import { loadConfig } from '../../src/config.ts';
import { definitions, kinds } from '../../src/intent/resources/index.ts';
import { joinSwitch, settled, startTestCore, type TestCore } from '../support/core.ts';
import { openVswitchOrSkip } from '../support/open-vswitch.ts';
import { type Ran, type RunOptions, cli as run } from './support.ts';

let core: TestCore;
let url: string;
let token: string;
let open: AsyncDisposableStack;

async function start(options: Parameters<typeof startTestCore>[0] = {}): Promise<void> {
  open = new AsyncDisposableStack();
  core = open.use(await startTestCore(options));
  const tokens = await Tokens.load(core.store);
  const log = pino({ level: process.env.KEYWAY_TEST_LOG ?? 'silent' });
  const app = await createApp({
    ...core,
    tokens,
    audit: await Audit.load(core.store),
    config: loadConfig(undefined),
    log,
  });
  open.defer(() => app.close());
  url = await app.listen({ host: '127.0.0.1', port: 0 });
  token = (await tokens.create({ role: 'admin' })).secret;
}

beforeEach(() => start());
afterEach(() => open.disposeAsync());

const cli = (argv: readonly string[] | string, options: RunOptions = {}): Promise<Ran> =>
  run(typeof argv === 'string' ? splitLine(argv).words : argv, {
    ...options,
    env: { KEYWAY_URL: url, KEYWAY_TOKEN: token, ...options.env },
  });

/** Runs a line that must succeed, and returns what it prints. */
async function ok(argv: readonly string[] | string, options: RunOptions = {}): Promise<string> {
  const { status, stdout, stderr } = await cli(argv, options);
  expect({ argv, status, stderr }).toEqual({ argv, status: 0, stderr: '' });
  return stdout;
}

async function json<T = Record<string, unknown>>(line: string): Promise<T> {
  return JSON.parse(await ok(`${line} -o json`)) as T;
}

test('every verb of every kind, by the examples of its help', async () => {
  const made: { kind: string; name: string; spec: Record<string, unknown> }[] = [];
  const create = async (kind: (typeof kinds)[number]) => {
    for (const { name, parents, spec } of definitions[kind].examples) {
      // The ports and groups of the examples name each other: the groups there are already are made plain, below.
      const path = [...parents, kind === 'group' ? `${name}-of-example` : name].join('/');
      const rehearsal = await ok(
        [
          'keyway',
          kind,
          'create',
          path,
          ...splitLine(flagsFor(kindModel(kind), spec).join(' ')).words,
          '--dry-run',
        ].slice(1),
      );
      expect(rehearsal).toContain(`+ ${kind} ${path}`);
      expect((await cli([kind, 'get', path])).status).toBe(3);
      const done = await ok([
        kind,
        'create',
        path,
        ...splitLine(flagsFor(kindModel(kind), spec).join(' ')).words,
        '--wait',
      ]);
      expect(done).toMatch(new RegExp(`^created ${kind} ${path} \\(revision \\d+, `));
      made.push({ kind, name: path, spec });
    }
    if (kind === 'tier') for (const name of ['frontends', 'databases']) await ok(`group create acme/shop/${name}`);
  };
  for (const kind of kinds) await create(kind);

  for (const { kind, name, spec } of made) {
    expect(await json(`${kind} get ${name}`)).toMatchObject(spec);
    expect(await ok(`${kind} get ${name}`)).toContain(name);
    await ok(`${kind} set ${name} --label stage=test --label other=x`);
    await ok(`${kind} set ${name} --label other-`);
    expect(await json(`${kind} get ${name}`)).toMatchObject({ ...spec, labels: { stage: 'test' } });
    const parents = name.split('/').slice(0, -1).join('/');
    for (const filter of ['--label stage=test', '--filter label.stage=test', '']) {
      const { items } = await json<{ items: { name: string }[] }>(`${kind} list ${parents} ${filter}`);
      expect(items.map((item) => [parents, item.name].filter(Boolean).join('/'))).toContain(name);
    }
    expect(await ok(`${kind} list ${parents}`)).toContain('NAME');
    expect((await cli(`${kind} create ${name} ${flagsFor(kindModel(kind), spec).join(' ')}`)).stderr).toContain(
      'resource.exists',
    );
  }

  // What was read can be put back: nothing changes.
  for (const { kind, parents } of model.kinds.filter((one) => one.parents.length === 0)) {
    expect(parents).toEqual([]);
    const text = await ok(`${kind} list -o yaml`);
    expect(await ok('apply -f -', { stdin: text })).toMatch(/^Revision \d+: \d+ unchanged\.\n$/);
  }

  const used = await cli('tenant delete acme');
  expect(used.status).toBe(3);
  expect(used.stderr).toContain('resource.in-use');
  expect(used.stderr).toContain('networks/shop');
  await ok('port set acme/shop/web1 --unset group');
  await ok('group delete acme/shop/frontends-of-example');
  const others = made.filter((one) => one.kind !== 'group').reverse();
  const firstTier = others.find((one) => one.kind === 'tier');
  for (const one of others) {
    const { kind, name } = one;
    if (one === firstTier) await ok('group delete acme/shop/frontends acme/shop/databases');
    const deleted = await ok(`${kind} delete ${name} --wait`);
    // The hypervisor of the example never called in, and a policy of everybody is due there too.
    if (kind === 'policy') expect(deleted.startsWith(`deleted ${kind} ${name}`)).toBe(true);
    else {
      expect(deleted).toBe(`deleted ${kind} ${name}\n`);
      expect((await cli(`${kind} get ${name}`)).status).toBe(3);
    }
  }
  const audit = await json<{ items: { action: string; target: string }[] }>('audit list --limit 1000');
  expect(audit.items.length).toBeGreaterThan(made.length * 3);
  expect(await ok('audit list --limit 2')).toMatch(/^TIME .*\n.* {2}delete {2}offering silver /);
});

const dualStack = `
- path: tenants/acme
- {path: tenants/acme/networks/shop, offering: basic, cidr: 10.0.0.0/16, ipv6Cidr: 'fd00::/48', mtu: 1400, logDenied: true}
- {path: tenants/acme/networks/office, offering: basic, cidr: 10.1.0.0/16}
- {path: tenants/acme/peerings/both, networks: [shop, office]}
- {path: tenants/acme/networks/shop/tiers/web, cidr: 10.0.1.0/24, ipv6Cidr: 'fd00:0:0:1::/64'}
- path: tenants/acme/networks/shop/ports/fw
  tier: web
  allowedAddressPairs: [{ip: 'fd07::/64'}, {ip: 10.0.1.100, mac: '00:00:5e:00:01:0a'}]
  qos: {fromVm: {rateKbps: 1000, burstKb: 100}, dscp: 46}
- {path: tenants/acme/networks/shop/routes/branch, destination: 'fd07::/64', nextHop: 'fd00:0:0:1::2'}
- {path: tenants/acme/networks/shop/steering/scrubbed, priority: 5, from: {cidrs: [10.0.0.0/8, 'fd00::/8']}, to: {any: true}, via: [fw]}
- {path: policies/guard, tenants: [acme], action: deny, priority: 1, from: {cidr: '::/0'}, to: {any: true}, protocol: icmpv6, icmp: {type: 134}}
`;

test('nested members and every kind: applied, planned, shown, and changed by flags', async () => {
  expect(await ok('apply -f -', { stdin: dualStack })).toContain('created');
  expect(await ok('plan -f -', { stdin: dualStack })).toMatch(/9 unchanged|nothing/i);
  const fw = await json('port get acme/shop/fw');
  expect(fw).toMatchObject({
    ips: ['10.0.1.2', 'fd00:0:0:1::2'],
    allowedAddressPairs: [{ ip: 'fd07::/64' }, { ip: '10.0.1.100', mac: '00:00:5e:00:01:0a' }],
    qos: { fromVm: { rateKbps: 1000, burstKb: 100 }, dscp: 46 },
  });
  expect(await ok('port list acme/shop -o wide')).toContain(
    'ip=fd07::/64 ip=10.0.1.100,mac=00:00:5e:00:01:0a  fromVm.rateKbps=1000,fromVm.burstKb=100,dscp=46',
  );
  expect(await ok('steering list acme/shop')).toContain('cidrs=10.0.0.0/8,cidrs=fd00::/8');
  expect(await ok('peering list acme')).toContain('shop,office');

  await ok('port set acme/shop/fw --add-allowed-address-pair ip=fd08::1 --remove-allowed-address-pair ip=fd07::/64');
  await ok('port set acme/shop/fw --qos toVm.rateKbps=7,dscp=0');
  expect(await json('port get acme/shop/fw')).toMatchObject({
    allowedAddressPairs: [{ ip: '10.0.1.100', mac: '00:00:5e:00:01:0a' }, { ip: 'fd08::1' }],
    qos: { toVm: { rateKbps: 7 }, dscp: 0 },
  });
  await ok('port set acme/shop/fw --unset qos --unset allowed-address-pair');
  expect(await json('port get acme/shop/fw')).not.toHaveProperty('qos');
  await ok(
    'rule create acme/shop/r --action allow --priority 1 --from cidrs=10.0.0.0/8,cidrs=FD00::/8 --to any --protocol 47',
  );
  expect(await json('rule get acme/shop/r')).toMatchObject({
    from: { cidrs: ['10.0.0.0/8', 'fd00::/8'] },
    protocol: 'gre',
  });

  for (const [line, said] of [
    ['port set acme/shop/fw --qos fromVm.rateKbps=0', '--qos fromVm.rateKbps: '],
    ['port set acme/shop/fw --allowed-address-pair ip=::1', '--allowed-address-pair ip: '],
    ['rule set acme/shop/r --to cidrs=fe80::/64', '--to cidrs: '],
    ['route create acme/shop/x --destination fd09::/64 --next-hop fd00:0:0:1::9', '--next-hop: '],
    ['network set acme/shop --mtu 1279', '--mtu: '],
    ['steering set acme/shop/scrubbed --via fw --via fw', '--via: '],
    ['peering create acme/x --network shop --network shop', '--network: '],
  ] as const) {
    const { status, stderr } = await cli(line);
    expect({ line, status, stderr: stderr.includes(`  ${said}`) ? said : stderr }).toEqual({
      line,
      status: 3,
      stderr: said,
    });
  }
  const used = await cli('port delete acme/shop/fw');
  expect(used.stderr).toMatch(/routes\/branch|acme\/shop\/branch/);
  expect(used.stderr).toMatch(/steering/);
});

test('refusals of the API are told by flag, and by file, line and document', async () => {
  await ok('tenant create acme');
  await ok('network create acme/shop --offering basic --cidr 10.0.0.0/16');
  const overlap = await cli('network create acme/other --offering basik --cidr 10.0.0.1/16');
  expect(overlap.status).toBe(3);
  expect(overlap.stderr).toMatch(/^ {2}--cidr: /m);
  const dangling = await cli('network create acme/other --offering basik --cidr 10.1.0.0/16');
  expect(dangling.stderr).toMatch(/^ {2}--offering: .*basik/m);

  const folder = await mkdtemp(join(tmpdir(), 'keyway-cli-'));
  try {
    const file = join(folder, 'intent.yaml');
    const text = `resources:
  - path: tenants/acme/networks/shop/tiers/web
    spec:
      cidr: 10.0.1.1/24
---
kind: rule
path: acme/shop/r
spec:
  action: allow
  priority: "5"
  from: {tier: web}
  to: {any: true}
  protocol: tcp
  colour: red
`;
    await writeFile(file, text);
    const refused = await cli(['apply', '-f', file]);
    expect(refused.status).toBe(3);
    expect(refused.stderr).toContain(`  ${file}:10:13 (document 2): priority: `);
    expect(refused.stderr).toContain(`  ${file}:14:11 (document 2): colour: `);
    expect((await cli('tier get acme/shop/web')).status).toBe(3);
    await writeFile(
      file,
      text.replace('10.0.1.1/24', '10.0.1.0/24').replace('"5"', '5').replace('  colour: red\n', ''),
    );
    expect(await ok(['plan', '-f', file])).toContain('Plan: 2 to create. Nothing was changed.');
    expect((await cli('tier get acme/shop/web')).status).toBe(3);
    expect(await ok(['apply', '-f', file, '--wait'])).toMatch(
      /^\+ tier acme\/shop\/web\n\+ rule acme\/shop\/r\nRevision \d+: 2 created\.\n$/,
    );
    await writeFile(
      file,
      `${text.replace('10.0.1.1/24', '10.0.1.0/24').replace('"5"', '7').replace('  colour: red\n', '')}labels: {app: shop}\n`,
    );
    const planned = await ok(['plan', '-f', file]);
    expect(planned).toContain('~ rule acme/shop/r\n    priority: 5 -> 7\n    labels: - -> app=shop\n');
    await ok(['apply', '-f', file]);
    await writeFile(file, 'path: tenants/acme\n');
    expect(await ok(['apply', '-f', file, '--prune', 'label=app=shop'])).toMatch(
      /^- rule acme\/shop\/r\nRevision \d+: 1 deleted, 1 unchanged\.\n$/,
    );
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('health, status, and tokens of other roles', async () => {
  expect(await ok('health')).toMatch(/^Alive: +yes$/m);
  expect(await ok('status')).toMatch(/^Hypervisors: +none$/m);
  await ok('tenant create acme');
  await ok('tenant create globex');
  const { status, stdout, stderr } = await cli('token create ci --role tenant:acme --expires 12h');
  expect(status).toBe(0);
  expect(stderr).toMatch(/^Token [0-9a-f]{16} \(tenant:acme, good until \d{4}-.*\)\. It is shown this once:\n$/);
  const own = { env: { KEYWAY_TOKEN: stdout.trim() } };
  expect(stdout.trim()).toMatch(/^\S+$/);
  expect(await ok('network list acme -o json', own)).toContain('"items": []');
  expect(await cli('network list globex', own)).toMatchObject({
    status: 3,
    stderr: expect.stringContaining('auth.forbidden'),
  });
  expect(await ok('status', own)).not.toContain('Hypervisors');
  await ok('network create acme/shop --offering basic --cidr 10.0.0.0/16', own);

  const listed = await ok('token list');
  const id = /^(\S+) +tenant:acme +ci /m.exec(listed)![1]!;
  expect(await ok(['token', 'delete', id])).toBe(`revoked token ${id}\n`);
  expect(await cli('network list acme', own)).toMatchObject({
    status: 3,
    stderr: expect.stringContaining('auth.invalid'),
  });
  expect((await cli('token create x --role king')).stderr).toContain('request.invalid');
  expect((await cli('token create x --role tenant:')).status).toBe(2);
  expect((await cli('tenant list', { env: { KEYWAY_TOKEN: '' } })).stderr).toContain('Next: Give a token');
});

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error('it did not happen within 10 s');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

test('watch and events follow the real stream', async () => {
  await ok('tenant create acme');
  const controller = new AbortController();
  let watched = '';
  let told = '';
  const watch = cli('network list acme --watch', { signal: controller.signal, onOutput: (text) => (watched = text) });
  const events = cli('events acme --status all', { signal: controller.signal, onOutput: (text) => (told = text) });
  await until(() => watched.includes('NAME') && told.includes('status'));
  await ok('network create acme/shop --offering basic --cidr 10.0.0.0/16');
  await until(() => watched.includes('shop'));
  await ok('network delete acme/shop');
  await until(() => watched.includes('deleted') && told.includes('deleted'));
  controller.abort();
  expect(await watch).toMatchObject({ status: 0, stderr: '' });
  expect(await events).toMatchObject({ status: 0, stderr: '' });
  expect(watched).toMatch(/^shop +basic +10\.0\.0\.0\/16 +- +deleted$/m);
  expect(told).toMatch(/ created {2}network acme\/shop\n/);
});

const shop = `
- path: tenants/acme
- {path: tenants/acme/networks/shop, offering: basic, cidr: 10.0.0.0/16}
- {path: tenants/acme/networks/shop/tiers/web, cidr: 10.0.1.0/24}
- {path: tenants/acme/networks/shop/ports/web1, tier: web, ips: [10.0.1.10], ifaceId: vm1}
- {path: tenants/acme/networks/shop/rules/ping, action: allow, priority: 10, from: {any: true}, to: {tier: web}, protocol: icmp}
`;

test('a switch: approve it, see its flows, find a port, notice drift', async (context) => {
  await openVswitchOrSkip(context);
  await ok('apply -f -', { stdin: shop });
  await using dummy = await joinSwitch(core, 'hv1', '192.0.2.1');
  const { startDummySwitch } = await import('../support/open-vswitch.ts');
  await using second = await startDummySwitch({ systemId: 'hv2', manager: core.managers[0]!, encapIp: '192.0.2.2' });
  await dummy.addPort('vif1', 'vm1');
  await until(() => core.fabric.binding('tenants/acme/networks/shop/ports/web1') !== null);
  await settled(core);

  // The second has called in and waits.
  await until(() => core.fabric.pending().length === 1);
  expect(await ok('hypervisor list')).toMatch(/^hv2 +- +no /m);
  const before = await cli('status');
  expect(before).toMatchObject({ status: 0, stdout: expect.stringContaining('keyway hypervisor approve hv2') });
  expect(await ok('hypervisor approve hv2 --wait')).toMatch(/^(created|changed) hypervisor hv2/);
  await until(() => core.fabric.connected('hypervisors/hv2'));
  expect(second.directory).toBeTruthy();
  expect(await ok('hypervisor get hv2 -o yaml')).toContain('admission: approved');
  await ok('hypervisor drain hv2');
  expect(await ok('status')).toMatch(/^Hypervisors: +2 of 2 connected$/m);

  expect(await ok('where 10.0.1.10')).toMatch(/^acme\/shop\/web1 +\S+ +10\.0\.1\.10 +hv1 +vif1 +\d+$/m);
  for (const what of ['vm1', 'acme/shop/web1', 'tenants/acme/networks/shop/ports/web1']) {
    expect(await ok(['where', what, '-o', 'name'])).toBe('acme/shop/web1\n');
  }
  expect(await cli('where 10.9.9.9')).toMatchObject({ status: 1, stdout: '' });

  const dump = await ok('flows dump hv1');
  expect(dump).toMatch(/^# table 0 Classifier \(\d+\)$/m);
  expect(dump).toMatch(/^# port acme\/shop\/web1$/m);
  expect(dump).toMatch(/^# rule acme\/shop\/ping$/m);
  const flows = (await json<{ flows: { cookie: string }[] }>('flows dump hv1')).flows;
  expect(flows.length).toBeGreaterThan(5);
  expect(dump.split('\n').filter((line) => line !== '' && !line.startsWith('#'))).toHaveLength(flows.length);
  const desired = await json<{ flows: object[] }>('flows dump hv1 --desired');
  expect(desired.flows).toHaveLength(flows.length);
  const ofPort = await ok('flows dump hv1 --port acme/shop/web1 --tenant acme --table Classifier');
  expect(ofPort).toMatch(/^# hv1: 1 installed flow\n/);

  const cookie = /cookie=(0x[0-9a-f]+)/.exec(ofPort)![1]!;
  expect(await ok(['flows', 'explain', cookie])).toMatch(/^Serves: +port acme\/shop\/web1$/m);
  const line = ofPort.trim().split('\n').at(-1)!;
  expect(await ok(['flows', 'explain', line])).toMatch(/^Serves: +port acme\/shop\/web1$/m);

  expect(await cli('flows diff hv1')).toMatchObject({
    status: 0,
    stdout: 'hv1: installed flows are the desired ones.\n',
  });
});

test('flows that somebody else put there are a difference', async (context) => {
  await openVswitchOrSkip(context);
  await open.disposeAsync();
  await start({ plugin: { driftPolicy: 'report' } });
  await using dummy = await joinSwitch(core, 'hv1', '192.0.2.1');
  await settled(core);
  await dummy.ofctl('add-flow', 'table=0,priority=7,actions=drop');
  const { status, stdout } = await cli('flows diff hv1');
  expect(status).toBe(1);
  expect(stdout).toMatch(/^- .*priority=7.*actions=drop$/m);
  expect(stdout).toContain('hv1: 0 missing, 1 extra, 0 different.\n');
});
