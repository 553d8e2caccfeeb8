/**
 * Gateways, pools, public addresses, NAT rules, VLAN attachments and devices come, change and go in any order, hypervisors
 * with them, and the controller is started again: flows are what the state gives, and zones what is in use.
 */
import fc from 'fast-check';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { type Core, startCore } from '../../src/core.ts';
import { homesOf } from '../../src/inventory/placement.ts';
import { Problem } from '../../src/problems.ts';
import { MemoryDisk, openMemoryStore } from '../../src/store/memory.ts';
import { quiet } from '../support/fake-cloud.ts';
import { FakeSwitches, patchPort } from '../support/fake-switches.ts';

type Spec = Record<string, unknown>;

const hosts = ['gw1', 'gw2', 'gw3', 'hv1', 'hv2'] as const;
type Host = (typeof hosts)[number];

const mappings = { physa: 'br-a', physb: 'br-b' };

/** Hypervisors that do not make some patches, as their bridges are not there. */
class Switches extends FakeSwitches {
  readonly lacking = new Map<number, string>();
  readonly connected = new Set<number>();
  override setPatches(...[hypervisor, patches]: Parameters<FakeSwitches['setPatches']>): void {
    this.patches.set(hypervisor, patches);
    if (this.connected.has(hypervisor)) queueMicrotask(() => this.tellPatches(hypervisor));
  }
  tellPatches(hypervisor: number): void {
    const made = (this.patches.get(hypervisor) ?? []).filter(({ bridge }) => bridge !== this.lacking.get(hypervisor));
    const ofports = new Map(made.map(({ key }) => [key, patchPort(key)]));
    const services = this.services.get(hypervisor);
    if (services !== undefined) ofports.set('services', services);
    this.events.patches(hypervisor, ofports);
  }
}

class Rig {
  readonly disk = new MemoryDisk();
  readonly bridges = new Map<Host, Record<string, string>>(hosts.map((h) => [h, { ...mappings }]));
  readonly plugged = new Map<Host, string[]>();
  core!: Core;
  fake!: Switches;

  async start(): Promise<void> {
    this.fake = new Switches();
    this.core = await startCore({
      store: openMemoryStore({ disk: this.disk }),
      plugin: this.fake,
      log: pino({ level: 'silent' }),
    });
  }

  number(host: Host): number | undefined {
    return this.core.intent.getAs('hypervisor', `hypervisors/${host}`)?.id;
  }

  connect(host: Host): void {
    const number = this.number(host);
    if (number !== undefined) this.fake.connected.add(number);
    this.fake.connect(host, `192.0.2.${1 + hosts.indexOf(host)}`, this.bridges.get(host));
    this.show(host);
    if (number !== undefined && this.fake.admitted.has(number)) this.fake.tellPatches(number);
  }

  show(host: Host): void {
    const number = this.number(host);
    if (number === undefined || !this.fake.admitted.has(number)) return;
    const list = (this.plugged.get(host) ?? []).map((ifaceId, i) => ({ ifaceId, name: ifaceId, ofport: 10 + i }));
    this.fake.interfaces(number, list);
  }

  async put(path: string, spec: Spec): Promise<void> {
    await this.core.intent.transact([{ op: 'put', path, spec }], { restrictedAllowed: true });
  }

  /** Everything is held against full recompute, and zones against who is to have one. */
  async agree(after: string): Promise<void> {
    await quiet(this.core);
    const { compiler, bindings, zones, state } = this.core.engine;
    expect(compiler.recompute().different, after).toEqual([]);
    expect([...compiler.failures], after).toEqual([]);
    this.fake.texts();
    const live = new Set<string>();
    for (const [port, bound] of bindings.placement.ports()) {
      const { uid } = this.core.intent.get(port)!;
      for (const { hypervisor, zone } of homesOf(bound)) {
        expect(zones.zoneOf(hypervisor, uid), `${after}: ${port}`).toBe(zone);
        live.add(`${hypervisor} ${uid}`);
      }
    }
    for (const network of bindings.placement.networks()) {
      const resource = this.core.intent.get(network)!;
      for (const h of state.gateways(network)) {
        expect(state.natZone(h, network), `${after}: ${network} on ${h}`).toBeGreaterThan(0);
        live.add(`${h} ${resource.uid}`);
      }
    }
    // Nobody else has one but those that do static NAT.
    for (const h of zones.hypervisors())
      for (const uid of zones.owners(h)) {
        if (live.has(`${h} ${uid}`)) continue;
        const doer = [...this.core.intent.children('tenant', '')]
          .flatMap((t) => [...this.core.intent.children('network', t.path)])
          .find((n) => n.uid === uid);
        expect(doer, `${after}: a zone of ${uid} on ${h}`).toBeDefined();
        const atHome = [...this.core.intent.children('nat-rule', doer!.path)].some(
          ({ spec }) => bindings.placement.get(`${doer!.path}/ports/${spec.port}`)?.hypervisor === h,
        );
        expect(atHome, `${after}: a zone of ${doer!.path} on ${h}`).toBe(true);
      }
  }
}

const shop = 'tenants/acme/networks/shop';
const lab = 'tenants/acme/networks/lab';
const theirs = 'tenants/beta/networks/shop';

function networkThings(network: string, n: number): [path: string, ...specs: Spec[]][] {
  return [
    [network, { offering: 'basic', cidr: '10.0.0.0/16' }, { offering: 'basic', cidr: '10.0.0.0/16', mtu: 1400 }],
    [`${network}/tiers/web`, { cidr: '10.0.1.0/24' }],
    [`${network}/tiers/db`, { cidr: '10.0.2.0/24' }],
    [`${network}/vlan-attachments/racks`, { trunk: 'racks', tier: 'db' }],
    ...[1, 2].flatMap((p): [string, ...Spec[]][] => {
      const port = { tier: p === 1 ? 'web' : 'db', ifaceId: `${n}-${p}`, ips: [`10.0.${p}.1${p}`] };
      return [[`${network}/ports/p${p}`, port, { ...port, portSecurity: false }]];
    }),
    [
      `${network}/ports/d`,
      { tier: 'db', attachment: 'racks', mac: `02:00:00:00:0${n}:0d`, ips: ['10.0.2.77'], ifaceId: `${n}-d` },
      { tier: 'db', mac: `02:00:00:00:0${n}:0d`, ips: ['10.0.2.77'], ifaceId: `${n}-d` },
    ],
    [`${network}/public-ips/front`, { pool: 'a' }],
    [`${network}/public-ips/mail`, { pool: 'a' }],
    [`${network}/public-ips/far`, { pool: 'b' }],
    [
      `${network}/nat-rules/out`,
      { type: 'source', publicIp: 'front' },
      { type: 'source', publicIp: 'front', tiers: ['web'] },
    ],
    [
      `${network}/nat-rules/web`,
      { type: 'port-forward', publicIp: 'front', port: 'p1', protocol: 'tcp', publicPorts: '80' },
      {
        type: 'port-forward',
        publicIp: 'front',
        port: 'p1',
        protocol: 'tcp',
        publicPorts: '80-81',
        privatePorts: '8080-8081',
      },
    ],
    [
      `${network}/nat-rules/mail`,
      { type: 'static', publicIp: 'mail', port: 'p2' },
      { type: 'static', publicIp: 'mail', port: 'p1' },
    ],
    [`${network}/nat-rules/device`, { type: 'static', publicIp: 'far', port: 'd' }],
    [`${network}/tiers/flat`, { cidr: `198.18.${n}.0/24`, gateway: `198.18.${n}.1`, providerNetwork: 'a' }],
    [`${network}/ports/f`, { tier: 'flat', ifaceId: `${n}-f`, ips: [`198.18.${n}.9`] }],
    [
      `${network}/ports/v`,
      { tier: 'web', ifaceId: `${n}-v`, ips: ['10.0.1.50'], allowedAddressPairs: [{ ip: '10.0.1.100' }] },
    ],
    [`${network}/steering/s`, { from: { tier: 'db' }, to: { any: true }, via: ['v'], protocol: 'tcp', priority: 100 }],
    [`${network}/routes/r`, { destination: '192.168.7.0/24', nextHop: '10.0.1.11' }],
    [
      `${network}/rules/in`,
      { action: 'allow', priority: 100, from: { any: true }, to: { tier: 'web' }, protocol: 'tcp', ports: ['80'] },
    ],
  ];
}

const hypervisorThings: [path: string, ...specs: Spec[]][] = hosts.map((host) => {
  const gateway = host.startsWith('gw');
  const approved = gateway ? { admission: 'approved', gateway } : { admission: 'approved' };
  return [
    `hypervisors/${host}`,
    approved,
    { ...approved, admission: 'drained' },
    { ...approved, admission: 'lost' },
    { ...approved, gateway: !gateway },
  ];
});

/** In the order they can be made. */
const things: [path: string, ...specs: Spec[]][] = [
  ...hypervisorThings,
  ['provider-networks/b', { physicalNetwork: 'physb', vlan: 7 }],
  ['trunks/racks', { physicalNetwork: 'physb', vlans: ['100-120'] }],
  ['tenants/acme', {}],
  ['tenants/beta', {}],
  ['provider-networks/a', { physicalNetwork: 'physa', tenants: ['acme', 'beta'] }],
  [
    'ip-pools/a',
    { providerNetwork: 'a', cidr: '203.0.113.0/24', gateway: '203.0.113.1', gatewayMac: '02:00:00:00:ff:01' },
    { providerNetwork: 'a', cidr: '203.0.113.0/24', gateway: '203.0.113.1' },
    { providerNetwork: 'a', cidr: '203.0.113.0/24', gateway: '203.0.113.2', gatewayMac: '02:00:00:00:ff:02' },
  ],
  [
    'ip-pools/b',
    { providerNetwork: 'b', cidr: '198.51.100.0/24', gateway: '198.51.100.1', gatewayMac: '02:00:00:00:ff:03' },
  ],
  ['offerings/plain', { services: ['routing', 'rules'] }, { services: ['routing', 'rules', 'source-nat'] }],
  ...networkThings(shop, 1),
  [lab, { offering: 'plain', cidr: '10.1.0.0/16' }, { offering: 'basic', cidr: '10.1.0.0/16' }],
  [`${lab}/tiers/web`, { cidr: '10.1.1.0/24' }],
  [`${lab}/ports/p`, { tier: 'web', ifaceId: 'lab-p' }],
  ...networkThings(theirs, 2),
  ['tenants/acme/peerings/both', { networks: ['shop', 'lab'] }],
];

const interfaces = ['1-1', '1-2', '2-1', '2-2', 'lab-p', '1-f', '2-f', '1-v', '2-v'];

type Step =
  | { what: 'put' | 'delete'; thing: number; choice: number }
  | { what: 'replace'; thing: number }
  | { what: 'plug' | 'unplug'; ifaceId: string; host: Host }
  | { what: 'bridges'; host: Host; choice: number }
  | { what: 'lacking'; host: Host; bridge: string | undefined }
  | { what: 'services'; host: Host }
  | { what: 'away' | 'back'; host: Host }
  | { what: 'restart'; back: readonly Host[] };

const host = fc.constantFrom(...hosts);
const thing = fc.nat(things.length - 1);

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ what: fc.constantFrom('put', 'delete'), thing, choice: fc.nat(3) }) },
  { weight: 2, arbitrary: fc.record({ what: fc.constant('put'), thing: fc.nat(hosts.length - 1), choice: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('replace'), thing }) },
  {
    weight: 4,
    arbitrary: fc.record({ what: fc.constantFrom('plug', 'unplug'), ifaceId: fc.constantFrom(...interfaces), host }),
  },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('bridges'), host, choice: fc.nat(2) }) },
  {
    weight: 1,
    arbitrary: fc.record({ what: fc.constant('lacking'), host, bridge: fc.constantFrom('br-a', 'br-b', undefined) }),
  },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('services'), host }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constantFrom('away', 'back'), host }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('restart'), back: fc.subarray([...hosts]) }) },
);

async function open(): Promise<Rig> {
  const rig = new Rig();
  await rig.start();
  for (const [path, spec] of things) await rig.put(path, spec!);
  interfaces.forEach((ifaceId, i) => {
    const at = hosts[2 + (i % 3)]!;
    rig.plugged.set(at, [...(rig.plugged.get(at) ?? []), ifaceId]);
  });
  for (const h of hosts) rig.connect(h);
  await quiet(rig.core);
  return rig;
}

async function take(rig: Rig, s: Step): Promise<void> {
  switch (s.what) {
    case 'put':
    case 'delete': {
      const [path, ...specs] = things[s.thing]!;
      if (s.what === 'put') await rig.put(path, specs[s.choice % specs.length]!);
      else await rig.core.intent.transact([{ op: 'delete', path }], { restrictedAllowed: true });
      for (const h of hosts) rig.show(h);
      return;
    }
    case 'replace': {
      // In one commit, and with it what names it.
      const [path, spec] = things[s.thing]!;
      const below = things.filter(([other]) => other.startsWith(`${path}/`));
      await rig.core.intent.transact(
        [
          ...below.toReversed().map(([other]) => ({ op: 'delete' as const, path: other })),
          { op: 'delete', path },
          { op: 'put', path, spec: spec! },
          ...below.map(([other, first]) => ({ op: 'put' as const, path: other, spec: first! })),
        ],
        { restrictedAllowed: true, many: true },
      );
      return;
    }
    case 'plug':
    case 'unplug':
      for (const [h, list] of rig.plugged)
        rig.plugged.set(
          h,
          list.filter((id) => id !== s.ifaceId),
        );
      if (s.what === 'plug') rig.plugged.set(s.host, [...(rig.plugged.get(s.host) ?? []), s.ifaceId]);
      for (const h of hosts) rig.show(h);
      return;
    case 'bridges':
      rig.bridges.set(s.host, [mappings, { physa: 'br-a' }, {}][s.choice]! as Record<string, string>);
      rig.connect(s.host);
      return;
    case 'lacking': {
      const number = rig.number(s.host);
      if (number === undefined) return;
      if (s.bridge === undefined) rig.fake.lacking.delete(number);
      else rig.fake.lacking.set(number, s.bridge);
      rig.connect(s.host);
      return;
    }
    case 'services': {
      const number = rig.number(s.host);
      if (number === undefined) return;
      if (!rig.fake.services.delete(number)) rig.fake.services.set(number, 900);
      rig.connect(s.host);
      return;
    }
    case 'away':
      rig.fake.events.chassisGone(s.host, 'away');
      rig.fake.connected.delete(rig.number(s.host) ?? 0);
      return;
    case 'back':
      rig.connect(s.host);
      return;
    case 'restart':
      await rig.core.stop();
      await rig.start();
      await rig.agree('restart');
      for (const h of s.back) rig.connect(h);
      await rig.agree('restart, some back');
      for (const h of hosts) rig.connect(h);
      return;
  }
}

test('whatever comes, changes and goes never parts from full recompute', { timeout: 240_000 }, async () => {
  let taken = 0;
  let refused = 0;
  let devices = 0;
  let addresses = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 15, maxLength: 40 }), async (steps) => {
      const rig = await open();
      await rig.agree('the start');
      for (const s of steps) {
        try {
          await take(rig, s);
          taken++;
        } catch (error) {
          // Refused, as what it needs is not there, or what is there needs it.
          if (!(error instanceof Problem)) throw error;
          refused++;
        }
        await rig.agree(JSON.stringify('thing' in s ? { ...s, path: things[s.thing]![0] } : s));
        for (const [, bound] of rig.core.engine.bindings.placement.ports()) if (bound.standby !== undefined) devices++;
        for (const network of [shop, theirs]) addresses += rig.core.intent.count('public-ip', network);
      }
      await rig.core.stop();
    }),
    { numRuns: 6, endOnFailure: true },
  );
  expect(taken).toBeGreaterThan(refused);
  expect(devices).toBeGreaterThan(20);
  expect(addresses).toBeGreaterThan(20);
});
