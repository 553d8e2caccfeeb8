/** Tiers, ports, routes, peerings and address pairs come and go in any order: flows are what the state gives, and cost what changed. */
import fc from 'fast-check';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { type Core, startCore } from '../../src/core.ts';
import { Problem } from '../../src/problems.ts';
import { openMemoryStore } from '../../src/store/memory.ts';
import { FakeSwitches } from '../support/fake-switches.ts';

type Spec = Record<string, unknown>;

const tenant = 'tenants/acme';
const shop = `${tenant}/networks/shop`;
const lab = `${tenant}/networks/lab`;

async function open(): Promise<{ core: Core; fake: FakeSwitches }> {
  const fake = new FakeSwitches();
  const core = await startCore({ store: openMemoryStore(), plugin: fake, log: pino({ level: 'silent' }) });
  const rig = { core, fake };
  for (const h of [1, 2, 3]) await put(rig, `hypervisors/hv${h}`, { admission: 'approved' });
  for (const h of [1, 2, 3]) fake.connect(`hv${h}`, `192.0.2.${h}`);
  await put(rig, tenant, {});
  await put(rig, shop, { offering: 'basic', cidr: '10.0.0.0/16', ipv6Cidr: 'fd00::/48' });
  await put(rig, lab, { offering: 'basic', cidr: '10.1.0.0/16' });
  for (const h of [1, 2, 3]) show(rig, h, [`shop-${h}`]);
  await quiet(rig);
  return rig;
}

type Rig = Awaited<ReturnType<typeof open>>;

/** The interfaces of a hypervisor: these, and one of the db tier or, on two of them, of the other network. */
function show({ fake }: Rig, host: number, ifaceIds: string[]): void {
  const all = [host === 1 ? 'db-1' : `lab-${host}`, ...ifaceIds];
  fake.interfaces(
    host,
    all.map((ifaceId, i) => ({ ifaceId, name: ifaceId, ofport: 10 + i })),
  );
}

async function put({ core }: Rig, path: string, spec: Spec): Promise<void> {
  await core.intent.transact([{ op: 'put', path, spec }], { restrictedAllowed: true });
}

async function quiet({ core }: Rig): Promise<void> {
  for (let i = 0; i < 3; i++) {
    await core.engine.idle();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Things there may be; ports 1 to 3 sit on the hypervisor of their number. */
const things: [path: string, ...specs: Spec[]][] = [
  [`${shop}/tiers/web`, { cidr: '10.0.1.0/24' }, { cidr: '10.0.1.0/24', ipv6Cidr: 'fd00:0:0:1::/64' }],
  [`${shop}/tiers/db`, { cidr: '10.0.2.0/24', gateway: '10.0.2.9' }, { cidr: '10.0.2.0/24', gateway: '10.0.2.8' }],
  [`${lab}/tiers/web`, { cidr: '10.1.1.0/24' }],
  [`${lab}/tiers/db`, { cidr: '10.1.2.0/24' }],
  ...[1, 2, 3].flatMap((n): [string, ...Spec[]][] => {
    const shared = { allowedAddressPairs: [{ ip: '10.0.1.100' }, { ip: '192.168.0.0/16', mac: '00:00:5e:00:01:01' }] };
    const port = { tier: 'web', ifaceId: `shop-${n}`, mac: `02:00:00:00:00:0${n}` };
    const other = { tier: 'web', ifaceId: `lab-${n}`, mac: `02:00:00:00:01:0${n}`, ips: [`10.1.1.1${n}`] };
    return [
      [`${shop}/ports/p${n}`, { ...port, ...shared, ips: [`10.0.1.1${n}`] }, { ...port, ips: [`10.0.1.1${n}`] }],
      [`${shop}/ports/q${n}`, { tier: 'db', ifaceId: `db-${n}`, ips: [`10.0.2.1${n}`] }],
      [`${lab}/ports/p${n}`, other],
    ];
  }),
  [`${shop}/routes/r1`, { destination: '192.168.7.0/24', nextHop: '10.0.1.11' }],
  [
    `${shop}/routes/r2`,
    { destination: '0.0.0.0/0', nextHop: '10.0.1.12' },
    { destination: '0.0.0.0/0', nextHop: '10.0.1.13' },
  ],
  [`${shop}/routes/r3`, { destination: '172.16.0.0/12', nextHop: '10.0.1.100' }],
  [`${tenant}/peerings/both`, { networks: ['shop', 'lab'] }],
];

test('tiers, ports, routes, peerings and address pairs in any order never part from full recompute', {
  timeout: 120_000,
}, async () => {
  let taken = 0;
  let most = 0;
  const step = fc.record({
    thing: fc.nat(things.length - 1),
    what: fc.constantFrom('put', 'put', 'delete', 'unplug', 'plug', 'move'),
    choice: fc.nat(1),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 50 }), async (steps) => {
      const rig = await open();
      const { core, fake } = rig;
      for (const [path, spec] of things) await put(rig, path, spec!);
      await quiet(rig);
      for (const { thing, what, choice } of steps) {
        const [path, ...specs] = things[thing]!;
        const host = 1 + (thing % 3);
        try {
          if (what === 'put') await put(rig, path, specs[choice % specs.length]!);
          else if (what === 'delete') await core.intent.transact([{ op: 'delete', path }], { restrictedAllowed: true });
          else if (what === 'unplug') show(rig, host, []);
          else if (what === 'plug') show(rig, host, [`shop-${host}`]);
          else show(rig, host, [`shop-${1 + (host % 3)}`]);
          taken++;
        } catch (error) {
          // Refused, as what it needs is not there, or what is there needs it.
          if (!(error instanceof Problem)) throw error;
        }
        await quiet(rig);
        expect(core.engine.compiler.recompute().different, `${what} ${path}`).toEqual([]);
        most = Math.max(most, fake.texts().length);
      }
      expect([...core.engine.compiler.failures]).toEqual([]);
      await core.stop();
    }),
    { numRuns: 10, endOnFailure: true },
  );
  expect(taken).toBeGreaterThan(200);
  expect(most).toBeGreaterThan(300);
});

test('a tier more costs itself, but for the one that makes routing begin; a port costs itself', async () => {
  const rig = await open();
  const { compiler } = rig.core.engine;
  await put(rig, `${shop}/tiers/web`, { cidr: '10.0.1.0/24' });
  for (const n of [1, 2, 3]) await put(rig, `${shop}/ports/p${n}`, { tier: 'web', ifaceId: `shop-${n}` });
  await quiet(rig);
  const cost = async (change: () => Promise<void>): Promise<number> => {
    const before = compiler.compiled;
    await change();
    await quiet(rig);
    expect(compiler.recompute().different).toEqual([]);
    return compiler.compiled - before;
  };
  const routed = () => rig.fake.texts().filter((l) => /table=(36|38)\b/.test(l) && !l.includes('nw_ttl')).length;
  expect(routed()).toBe(0);
  // A dry run tells it of the ports too, and is none the wiser after.
  const preview = rig.core.fabric.preview();
  await rig.core.intent.transact([{ op: 'put', path: `${shop}/tiers/db`, spec: { cidr: '10.0.2.0/24' } }], {
    dryRun: true,
    whileStaged: (changes) => preview.staged(changes),
  });
  const foretold = preview.result();
  expect(compiler.recompute().different).toEqual([]);
  const count = (): Map<number, number> => new Map([1, 2, 3].map((h) => [h, rig.fake.flowsOn(h).length]));
  const had = count();
  // Every port and tier of the network, their further addresses, what they are served; then the tier and that.
  expect(await cost(() => put(rig, `${shop}/tiers/db`, { cidr: '10.0.2.0/24' }))).toBe(7);
  expect(routed()).toBeGreaterThan(0);
  const gained = [...count()].map(([h, n]) => n - had.get(h)!);
  expect(gained.every((n) => n > 3)).toBe(true);
  expect([...foretold.values()].map(({ added, removed }) => added - removed)).toEqual(gained);
  expect(await cost(() => put(rig, `${shop}/tiers/app`, { cidr: '10.0.3.0/24' }))).toBe(2);
  expect(await cost(() => put(rig, `${shop}/ports/more`, { tier: 'app' }))).toBe(1);
  expect(await cost(() => put(rig, `${shop}/routes/r`, { destination: '192.168.7.0/24', nextHop: '10.0.1.2' }))).toBe(
    1,
  );
});

test('a route says where its next hop is missing, or is several', async () => {
  const rig = await open();
  await put(rig, `${shop}/tiers/web`, { cidr: '10.0.1.0/24' });
  const port = (n: number, more = {}) =>
    put(rig, `${shop}/ports/p${n}`, { tier: 'web', ifaceId: `shop-${n}`, ips: [`10.0.1.1${n}`], ...more });
  await port(1);
  const told = async (nextHop: string): Promise<string | undefined> => {
    await put(rig, `${shop}/routes/r`, { destination: '192.168.7.0/24', nextHop });
    await quiet(rig);
    const { state, conditions } = rig.core.status.status(rig.core.intent.get(`${shop}/routes/r`)!);
    return `${state} ${conditions.map((c) => c.reason).join()}`;
  };
  expect(await told('10.0.1.11')).toBe('programmed ');
  show(rig, 1, []);
  expect(await told('10.0.1.11')).toBe('degraded NotBound');
  await port(2, { allowedAddressPairs: [{ ip: '10.0.1.100' }] });
  expect(await told('10.0.1.100')).toBe('programmed ');
  await port(3, { allowedAddressPairs: [{ ip: '10.0.1.100' }] });
  expect(await told('10.0.1.100')).toBe('degraded SharedAddress');
  const shared = { allowedAddressPairs: [{ ip: '10.0.1.100', mac: '00:00:5e:00:01:01' }] };
  await port(2, shared);
  await port(3, shared);
  expect(await told('10.0.1.100')).toBe('programmed ');
  const copies = rig.fake.texts().filter((l) => /table=40\b.*192\.168\.7\.0/.test(l));
  // On each switch of the network that is left.
  expect(copies).toHaveLength(2);
  for (const line of copies) expect(line.match(/resubmit/g)).toHaveLength(2);
  expect(rig.core.engine.compiler.recompute().different).toEqual([]);
});
