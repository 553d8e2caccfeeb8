/**
 * Gateways, devices behind VLANs, ports on provider networks and what networks are served come, change and go in any order: flows are what the state gives,
 * no match is claimed twice on a switch, and every flow is as declared.
 */
import fc from 'fast-check';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { type Core, startCore } from '../../src/core.ts';
import { undeclaredUses } from '../../src/pipeline/check.ts';
import { tables } from '../../src/pipeline/tables.ts';
import { Problem } from '../../src/problems.ts';
import { openMemoryStore } from '../../src/store/memory.ts';
import { FakeSwitches } from '../support/fake-switches.ts';

type Spec = Record<string, unknown>;

const tenant = 'tenants/acme';
const shop = `${tenant}/networks/shop`;
const lab = `${tenant}/networks/lab`;

const mappings: Record<string, string>[] = [
  { racks: 'br-trunk', wire: 'br-ex' },
  { racks: 'br-trunk' },
  { wire: 'br-ex' },
];

type Rig = { core: Core; fake: FakeSwitches };

async function open(): Promise<Rig> {
  const fake = new FakeSwitches();
  const core = await startCore({ store: openMemoryStore(), plugin: fake, log: pino({ level: 'silent' }) });
  const rig = { core, fake };
  for (const h of [1, 2, 3]) await put(rig, `hypervisors/hv${h}`, { admission: 'approved', gateway: true });
  for (const h of [1, 2, 3]) fake.connect(`hv${h}`, `192.0.2.${h}`, mappings[h - 1]);
  await put(rig, 'offerings/bare', { services: ['routing', 'rules', 'source-nat'] });
  await put(rig, 'trunks/racks', { physicalNetwork: 'racks', vlans: ['100-199'] });
  await put(rig, tenant, {});
  await put(rig, 'provider-networks/wire', { physicalNetwork: 'wire', tenants: ['acme'] });
  for (const h of [1, 2, 3]) show(rig, h, true);
  await quiet(rig);
  return rig;
}

function show({ fake }: Rig, host: number, plugged: boolean): void {
  const all = plugged ? [`shop-${host}`, `lab-${host}`, `dmz-${host}`] : [];
  fake.interfaces(
    host,
    all.map((ifaceId, i) => ({ ifaceId, name: ifaceId, ofport: 10 + i })),
  );
}

/** The services of a gateway host, at a port or gone. */
function serve({ fake }: Rig, host: number, ofport: number | undefined): void {
  if (ofport === undefined) fake.services.delete(host);
  else fake.services.set(host, ofport);
  fake.setPatches(host, fake.patches.get(host) ?? []);
}

async function put({ core }: Rig, path: string, spec: Spec): Promise<void> {
  await core.intent.transact([{ op: 'put', path, spec }], { restrictedAllowed: true });
}

async function quiet({ core }: Rig): Promise<void> {
  for (let i = 0; i < 4; i++) {
    await core.engine.idle();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const network = { cidr: '10.0.0.0/16', ipv6Cidr: 'fd00::/48' };
const virtual = { ip: '10.0.2.100', mac: '00:00:5e:00:01:01' };
const dev = (n: number): Spec => ({
  tier: 'db',
  attachment: 'rack',
  mac: `02:00:00:00:02:0${n}`,
  ips: [`10.0.2.5${n}`],
});

/** Things there may be; VMs sit on the hypervisor of their number. */
const things: [path: string, ...specs: Spec[]][] = [
  ...[1, 2, 3].map((h): [string, ...Spec[]] => [
    `hypervisors/hv${h}`,
    { admission: 'approved', gateway: true },
    { admission: 'approved' },
    { admission: 'drained', gateway: true },
  ]),
  [
    shop,
    { offering: 'basic', ...network },
    { offering: 'basic', ...network, dhcp: false },
    { offering: 'bare', ...network },
  ],
  [lab, { offering: 'basic', cidr: '10.1.0.0/16' }],
  [
    'offerings/bare',
    { services: ['routing', 'rules', 'source-nat'] },
    { services: ['routing', 'rules', 'dhcp'] },
    { services: ['routing', 'rules'] },
  ],
  [`${shop}/tiers/web`, { cidr: '10.0.1.0/24' }, { cidr: '10.0.1.0/24', ipv6Cidr: 'fd00:0:0:1::/64' }],
  [`${shop}/tiers/db`, { cidr: '10.0.2.0/24' }],
  [`${lab}/tiers/web`, { cidr: '10.1.1.0/24' }],
  [`${shop}/vlan-attachments/rack`, { trunk: 'racks', tier: 'db' }],
  [`${shop}/vlan-attachments/alone`, { trunk: 'racks', tier: 'web' }],
  ...[1, 2, 3].flatMap((n): [string, ...Spec[]][] => [
    [
      `${shop}/ports/p${n}`,
      { tier: 'web', ifaceId: `shop-${n}`, mac: `02:00:00:00:01:0${n}`, ips: [`10.0.1.1${n}`] },
      { tier: 'web', ifaceId: `shop-${n}`, mac: `02:00:00:00:01:0${n}`, ips: [`10.0.1.1${n}`], portSecurity: false },
    ],
    [`${lab}/ports/p${n}`, { tier: 'web', ifaceId: `lab-${n}`, mac: `02:00:00:00:03:0${n}`, ips: [`10.1.1.1${n}`] }],
  ]),
  ...[1, 2].map((n): [string, ...Spec[]] => [
    `${shop}/ports/d${n}`,
    { ...dev(n), allowedAddressPairs: [virtual] },
    dev(n),
    { ...dev(n), portSecurity: false, qos: { fromVm: { rateKbps: 1000 }, toVm: { rateKbps: 1000 } } },
  ]),
  [
    `${shop}/ports/d3`,
    { tier: 'web', attachment: 'alone', mac: '02:00:00:00:01:33', ips: ['10.0.1.33'] },
    {
      tier: 'web',
      attachment: 'alone',
      mac: '02:00:00:00:01:33',
      ips: ['10.0.1.33'],
      allowedAddressPairs: [{ ip: '0.0.0.0/0' }],
    },
  ],
  [`${shop}/tiers/dmz`, { cidr: '203.0.113.0/24', gateway: '203.0.113.1', providerNetwork: 'wire' }],
  ...[1, 2, 3].map((n): [string, ...Spec[]] => [
    `${shop}/ports/w${n}`,
    { tier: 'dmz', ifaceId: `dmz-${n}`, mac: `02:00:00:00:04:0${n}`, ips: [`203.0.113.1${n}`] },
    { tier: 'dmz', ifaceId: `dmz-${n}`, mac: `02:00:00:00:04:0${n}`, ips: [`203.0.113.2${n}`], portSecurity: false },
  ]),
  [`${shop}/routes/one`, { destination: '192.168.1.0/24', nextHop: '10.0.1.33' }],
  [
    `${shop}/routes/pair`,
    { destination: '192.168.2.0/24', nextHop: '10.0.2.100' },
    { destination: '192.168.2.0/24', nextHop: '10.0.2.51' },
  ],
  [
    `${shop}/steering/through`,
    { priority: 10, from: { tier: 'web' }, to: { tier: 'db' }, via: ['d3'] },
    { priority: 10, from: { tier: 'web' }, to: { cidr: '10.0.2.0/25' }, via: ['d1', 'd2'] },
  ],
  [`${tenant}/peerings/both`, { networks: ['shop', 'lab'] }],
];

test('gateways, devices and services in any order never part from full recompute', { timeout: 120_000 }, async () => {
  const met = new Set<number>();
  let standing = 0;
  const step = fc.record({
    thing: fc.nat(things.length - 1),
    what: fc.constantFrom('put', 'put', 'put', 'delete', 'plug', 'serve'),
    choice: fc.nat(2),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 40 }), async (steps) => {
      const rig = await open();
      const { core, fake } = rig;
      for (const [path, spec] of things) await put(rig, path, spec!);
      for (const h of [1, 2]) serve(rig, h, 90 + h);
      await quiet(rig);
      for (const { thing, what, choice } of steps) {
        const [path, ...specs] = things[thing]!;
        const host = 1 + (thing % 3);
        try {
          if (what === 'put') await put(rig, path, specs[choice % specs.length]!);
          else if (what === 'delete') await core.intent.transact([{ op: 'delete', path }], { restrictedAllowed: true });
          else if (what === 'plug') show(rig, host, choice > 0);
          else serve(rig, host, choice === 0 ? undefined : 90 + choice);
        } catch (error) {
          // Refused, as what it needs is not there, or what is there needs it.
          if (!(error instanceof Problem)) throw error;
        }
        await quiet(rig);
        expect(core.engine.compiler.recompute().different, `${what} ${path}`).toEqual([]);
        // Throws where a match is claimed twice.
        fake.texts();
        for (const h of [1, 2, 3])
          for (const flow of fake.flowsOn(h)) {
            met.add(flow.table);
            if (flow.table === tables.Classifier.id && flow.goto === tables.StandbyPort.id) standing++;
          }
      }
      for (const h of [1, 2, 3]) for (const flow of fake.flowsOn(h)) expect(undeclaredUses(flow)).toEqual([]);
      expect([...core.engine.compiler.failures]).toEqual([]);
      await core.stop();
    }),
    { numRuns: 10, endOnFailure: true },
  );
  expect(standing).toBeGreaterThan(100);
  for (const name of [
    'StandbyPort',
    'ServiceIdentity',
    'ServiceReply',
    'Responder',
    'GatewayAlive',
    'Hairpin',
    'ProviderIngress',
  ] as const)
    expect(met.has(tables[name].id), name).toBe(true);
});
