/** Steering, shared addresses and ports without port security, changed at random while ports come, go and move. */
import fc from 'fast-check';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { startCore } from '../../src/core.ts';
import type { Operation } from '../../src/intent/intent.ts';
import { undeclaredUses } from '../../src/pipeline/check.ts';
import type { Flow } from '../../src/pipeline/flow.ts';
import { tables } from '../../src/pipeline/tables.ts';
import { Problem } from '../../src/problems.ts';
import { MemoryDisk, openMemoryStore } from '../../src/store/memory.ts';
import { FakeSwitches } from '../support/fake-switches.ts';

const hosts = [1, 2, 3];
const names = ['p0', 'p1', 'p2', 'p3', 'p4', 'p5'] as const;
const network = 'tenants/acme/networks/shop';
const tierOf = (name: string): string => (Number(name[1]) % 2 === 0 ? 'web' : 'db');

const virtual = { web: '10.0.1.100', db: '10.0.2.100' } as const;
const end = fc.constantFrom<object[]>(
  { any: true },
  { tier: 'web' },
  { tier: 'db' },
  { port: 'p0' },
  { port: 'p1' },
  { group: 'g' },
  { cidr: '10.0.1.0/28' },
  { cidr: 'fd00:10::/48' },
);

type Step =
  | { kind: 'steer'; name: string; spec: Record<string, unknown> }
  | { kind: 'unsteer'; name: string }
  | { kind: 'port'; name: string; pairs: boolean; mac: boolean; secured: boolean; group: boolean }
  | { kind: 'plug'; name: string; host: number }
  | { kind: 'unplug'; name: string };

const port = fc.constantFrom(...names);
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constant('steer' as const),
    name: fc.constantFrom('s0', 's1', 's2'),
    spec: fc.record({
      priority: fc.constantFrom(100, 100, 200),
      from: end,
      to: end,
      protocol: fc.constantFrom('any', 'tcp', 'udp'),
      via: fc.uniqueArray(port, { minLength: 1, maxLength: 3 }),
      onFailure: fc.constantFrom('open', 'closed'),
    }),
  }),
  fc.record({ kind: fc.constant('unsteer' as const), name: fc.constantFrom('s0', 's1', 's2') }),
  fc.record({
    kind: fc.constant('port' as const),
    name: port,
    pairs: fc.boolean(),
    mac: fc.boolean(),
    secured: fc.boolean(),
    group: fc.boolean(),
  }),
  fc.record({ kind: fc.constant('plug' as const), name: port, host: fc.constantFrom(...hosts) }),
  fc.record({ kind: fc.constant('unplug' as const), name: port }),
);

function portSpec(name: string, { pairs, mac, secured, group }: Partial<Step & { kind: 'port' }> = {}) {
  const tier = tierOf(name) as 'web' | 'db';
  const shared = { ip: virtual[tier], ...(mac === true ? { mac: '00:00:5e:00:01:0a' } : {}) };
  return {
    tier,
    mac: `02:00:00:00:00:0${name[1]}`,
    ips: [`10.0.${tier === 'web' ? 1 : 2}.1${name[1]}`, `fd00:10:0:${tier === 'web' ? 1 : 2}::1${name[1]}`],
    ifaceId: name,
    portSecurity: secured ?? true,
    ...(pairs === true ? { allowedAddressPairs: [shared, { ip: '192.168.0.0/16' }] } : {}),
    ...(group === true ? { groups: ['g'] } : {}),
  };
}

const put = (path: string, spec: object): Operation => ({ op: 'put', path, spec: { ...spec } });
const groundwork: Operation[] = [
  ...hosts.map((h) => put(`hypervisors/hv${h}`, { admission: 'approved' })),
  put('tenants/acme', {}),
  put(network, { offering: 'basic', cidr: '10.0.0.0/16', ipv6Cidr: 'fd00:10::/48' }),
  put(`${network}/tiers/web`, { cidr: '10.0.1.0/24', ipv6Cidr: 'fd00:10:0:1::/64' }),
  put(`${network}/tiers/db`, { cidr: '10.0.2.0/24', ipv6Cidr: 'fd00:10:0:2::/64' }),
  put(`${network}/groups/g`, {}),
  ...names.map((name) => put(`${network}/ports/${name}`, portSpec(name))),
];

/** Two flows of one table with one match and priority: the switch would keep the last. */
function twins(flows: readonly Flow[], text: (flow: Flow) => string): string[] {
  const seen = new Set<string>();
  const found: string[] = [];
  for (const flow of flows) {
    const key = text({ ...flow, cookie: 0n, actions: [], goto: undefined } as unknown as Flow);
    if (seen.has(key)) found.push(text(flow));
    seen.add(key);
  }
  return found;
}

test('what changes piece by piece is what everything compiled anew gives, and no match is claimed twice', async () => {
  let steered = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), async (steps) => {
      const fake = new FakeSwitches();
      const core = await startCore({ store: openMemoryStore(), plugin: fake, log: pino({ level: 'silent' }) });
      const admin = { restrictedAllowed: true, many: true };
      await core.intent.transact(groundwork, admin);
      const lists = new Map<number, string[]>(hosts.map((h) => [h, []]));
      const show = (h: number) =>
        fake.interfaces(
          h,
          lists.get(h)!.map((name) => ({ ifaceId: name, name: `v${name}`, ofport: 10 + Number(name[1]) })),
        );
      const without = (name: string) => {
        for (const h of hosts) {
          const list = lists.get(h)!;
          if (!list.includes(name)) continue;
          lists.set(
            h,
            list.filter((n) => n !== name),
          );
          show(h);
        }
      };
      for (const h of hosts) {
        fake.connect(`hv${h}`, `192.0.2.${h}`);
        lists.get(h)!.push(...names.filter((n) => (Number(n[1]) % hosts.length) + 1 === h));
        show(h);
      }
      const attempt = async (operation: Operation) => {
        try {
          await core.intent.transact([operation], { restrictedAllowed: true });
        } catch (error) {
          if (!(error instanceof Problem)) throw error;
        }
      };
      for (const s of steps) {
        if (s.kind === 'steer') await attempt(put(`${network}/steering/${s.name}`, s.spec));
        else if (s.kind === 'unsteer') await attempt({ op: 'delete', path: `${network}/steering/${s.name}` });
        else if (s.kind === 'port') await attempt(put(`${network}/ports/${s.name}`, portSpec(s.name, s)));
        else {
          without(s.name);
          if (s.kind === 'plug') {
            lists.get(s.host)!.push(s.name);
            show(s.host);
          }
        }
        for (let i = 0; i < 3; i++) {
          await core.engine.idle();
          await new Promise((resolve) => setImmediate(resolve));
        }
        expect(core.engine.compiler.recompute().different).toEqual([]);
        expect([...core.engine.compiler.failures]).toEqual([]);
        for (const h of hosts) {
          const flows = fake.flowsOn(h);
          steered += flows.filter((f) => f.table === tables.SteeringReturn.id).length;
          expect(flows.flatMap((f) => undeclaredUses(f))).toEqual([]);
          expect(twins(flows, (f) => fake.format(f))).toEqual([]);
        }
      }
      await core.stop();
    }),
    { numRuns: 25 },
  );
  expect(steered).toBeGreaterThan(100);
}, 120_000);

test('after a restart nothing changes for a hypervisor that is back while hops and shared addresses are on others', async () => {
  const disk = new MemoryDisk();
  const orders: Operation[] = [
    // p0 and p3 are on hv1, p1 and p4 on hv2, p2 and p5 on hv3.
    put(`${network}/ports/p4`, portSpec('p4', { kind: 'port', pairs: true })),
    put(`${network}/ports/p2`, portSpec('p2', { kind: 'port', pairs: true })),
    put(`${network}/ports/p1`, portSpec('p1', { kind: 'port', secured: false })),
    put(`${network}/steering/closed`, { priority: 1, from: { port: 'p0' }, to: { tier: 'db' }, via: ['p4', 'p5'] }),
  ];
  const start = async () => {
    const fake = new FakeSwitches();
    const core = await startCore({ store: openMemoryStore({ disk }), plugin: fake, log: pino({ level: 'silent' }) });
    return { fake, core };
  };
  const join = async ({ fake, core }: Awaited<ReturnType<typeof start>>, h: number) => {
    fake.connect(`hv${h}`, `192.0.2.${h}`);
    fake.interfaces(
      h,
      names
        .filter((n) => (Number(n[1]) % hosts.length) + 1 === h)
        .map((name) => ({ ifaceId: name, name: `v${name}`, ofport: 10 + Number(name[1]) })),
    );
    for (let i = 0; i < 4; i++) {
      await core.engine.idle();
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const before = await start();
  for (const operations of [groundwork, orders])
    await before.core.intent.transact(operations, { restrictedAllowed: true, many: true });
  for (const h of hosts) await join(before, h);
  const expected = before.fake.texts();
  const on1 = (lines: readonly string[]) => lines.filter((line) => line.startsWith('1: '));
  expect(before.fake.flowsOn(1).some((f) => f.table === tables.Steering.id && f.actions.length > 0)).toBe(true);

  const after = await start();
  await join(after, 1);
  expect(after.fake.readied.has(1)).toBe(true);
  expect(on1(after.fake.texts())).toEqual(on1(expected));
  for (const h of [2, 3]) await join(after, h);
  expect(after.fake.texts()).toEqual(expected);
  expect(after.core.engine.compiler.recompute().different).toEqual([]);
});
