/** Random orders of the way out against a slow model: what is given twice, never; what is given back, again. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Intent, Operation } from '../../src/intent/intent.ts';
import { Problem } from '../../src/problems.ts';
import { attempt, type World } from './reference-way-out.ts';
import { expectStagingHolds } from './staging.ts';
import { admin, everything, open, put, remove, type Spec } from './support.ts';

const network = fc.constantFrom('tenants/t/networks/n', 'tenants/u/networks/n');
const one = <T>(...values: T[]) => fc.constantFrom(...values);
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const within = (segment: string, names: fc.Arbitrary<string>) =>
  fc.tuple(network, names).map(([at, name]) => `${at}/${segment}/${name}`);
const top = (segment: string, names: fc.Arbitrary<string>) => names.map((name) => `${segment}/${name}`);
const outer = fc.integer({ min: 0, max: 16 }).map((n) => `10.0.0.${n}`);
const inner = fc.integer({ min: 0, max: 15 }).map((n) => `10.1.0.${n}`);
const ports = one('1', '2', '3', '1-2', '2-3', '1-3');

const nat = fc.oneof(
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('source'),
      publicIp: one('i', 'i', 'j'),
      tiers: maybe(one(['w'], ['w'], ['z'], ['w', 'z'])),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('static'),
      publicIp: one('i', 'j', 'm'),
      port: one('k', 'k', 'l'),
      address: maybe(inner),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      type: fc.constant('port-forward'),
      publicIp: one('i', 'i', 'i', 'j'),
      port: one('k', 'k', 'l'),
      protocol: one('tcp', 'tcp', 'udp'),
      publicPorts: ports,
    }),
  },
);

const requested: fc.Arbitrary<[string, Spec]> = fc.oneof(
  {
    weight: 1,
    arbitrary: fc.tuple(
      top('provider-networks', one('p', 'q')),
      fc.record({ physicalNetwork: one('x', 'x', 'y'), vlan: maybe(one(2, 3, 4)) }),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(
      top('ip-pools', one('a', 'b')),
      fc.record({
        providerNetwork: one('p', 'p', 'q'),
        cidr: one('10.0.0.0/29', '10.0.0.8/29', '10.0.0.0/28'),
        gateway: one('10.0.0.1', '10.0.0.6', '10.0.0.9'),
        ranges: maybe(one(['10.0.0.2'], ['10.0.0.4', '10.0.0.2'], ['10.0.0.10-10.0.0.11'], ['10.0.0.2-10.0.0.4'])),
        tenants: maybe(one(['t'], ['u'], ['t', 'u'])),
      }),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(
      top('trunks', one('e', 'f')),
      fc.record({ physicalNetwork: one('x', 'x', 'y'), vlans: one(['2-3'], ['4-5'], ['3-4'], ['5', '6'], ['2-6']) }),
    ),
  },
  {
    weight: 3,
    arbitrary: fc.tuple(
      within('public-ips', one('i', 'j', 'm')),
      fc.record({ pool: maybe(one('a', 'b')), address: maybe(outer) }),
    ),
  },
  { weight: 5, arbitrary: fc.tuple(within('public-ips', one('i', 'j', 'm', 'o')), fc.constant({})) },
  { weight: 8, arbitrary: fc.tuple(within('nat-rules', one('r', 's', 'v')), nat) },
  {
    weight: 5,
    arbitrary: fc.tuple(
      within('vlan-attachments', one('g', 'h')),
      fc.record({ trunk: one('e', 'e', 'f'), tier: one('w'), vlan: maybe(fc.integer({ min: 2, max: 6 })) }),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(
      within('reservations', one('c', 'd')),
      fc
        .tuple(inner, inner)
        .map(([first, last]) => ({ tier: 'w', range: first === last ? first : `${first}-${last}` })),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(
      within('ports', one('k', 'l')),
      fc.record({ tier: fc.constant('w'), ips: maybe(fc.uniqueArray(inner, { minLength: 1, maxLength: 2 })) }),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(within('tiers', one('z', 'y')), fc.record({ prefixLength: one(28, 29, 30) })),
  },
);

const operation: fc.Arbitrary<Operation> = fc
  .tuple(requested, fc.integer({ min: 0, max: 5 }))
  .map(([[path, spec], chance]) =>
    chance === 0
      ? remove(path)
      : put(path, Object.fromEntries(Object.entries(spec).filter(([, value]) => value !== undefined))),
  );

const transaction = fc.oneof(
  { weight: 3, arbitrary: operation.map((o) => [o]) },
  { weight: 1, arbitrary: fc.uniqueArray(operation, { minLength: 2, maxLength: 6, selector: ({ path }) => path }) },
);

const groundwork: Operation[] = [
  ...['t', 'u'].flatMap((tenant) => [
    put(`tenants/${tenant}`),
    put(`tenants/${tenant}/networks/n`, { offering: 'basic', cidr: '10.1.0.0/26' }),
    put(`tenants/${tenant}/networks/n/tiers/w`, { cidr: '10.1.0.0/28' }),
    put(`tenants/${tenant}/networks/n/ports/k`, { tier: 'w' }),
    put(`tenants/${tenant}/networks/n/ports/l`, { tier: 'w' }),
    put(`tenants/${tenant}/networks/n/public-ips/i`),
  ]),
  put('provider-networks/p', { physicalNetwork: 'x' }),
  put('ip-pools/a', { providerNetwork: 'p', cidr: '10.0.0.0/29', gateway: '10.0.0.1' }),
  put('trunks/e', { physicalNetwork: 'x', vlans: ['2-3'] }),
];

function specsOf(intent: Intent): Map<string, Spec> {
  const members = new Set(['mac', 'ifaceId', 'mtu', 'systemId']);
  const shown = everything(intent) as { path: string; kind: string; spec: Spec }[];
  return new Map(
    shown
      .filter(({ kind }) => kind !== 'offering')
      .map(({ path, spec }) => [path, Object.fromEntries(Object.entries(spec).filter(([name]) => !members.has(name)))]),
  );
}

it('orders are taken and refused as the slow model says, and what is chosen is what it chooses', async () => {
  let [tried, taken] = [0, 0];
  const codes = new Set<string>();
  await fc.assert(
    fc.asyncProperty(fc.array(transaction, { minLength: 15, maxLength: 40 }), async (transactions) => {
      const { intent, disk } = await open({ releasable: () => true });
      await admin(intent, groundwork);
      let world: World = { specs: specsOf(intent), freed: [], rested: [] };
      for (const operations of transactions) {
        tried++;
        const expected = attempt(world, operations);
        const result = await admin(intent, operations).catch((error: unknown) => {
          if (error instanceof Problem) return error;
          throw error;
        });
        const told = JSON.stringify({ operations, errors: result instanceof Problem ? result.errors : undefined });
        expect(result instanceof Problem ? 'refused' : 'taken', told).toBe(
          expected === undefined ? 'refused' : 'taken',
        );
        if (result instanceof Problem) for (const { code } of result.errors) codes.add(code);
        if (expected === undefined) continue;
        taken++;
        world = expected;
        expect(sorted(specsOf(intent)), told).toEqual(sorted(world.specs));
      }
      const again = await open({ releasable: () => true }, disk);
      expect(everything(again.intent)).toEqual(everything(intent));
    }),
    { numRuns: 60 },
  );
  // The world is neither too narrow nor too wide to say anything.
  expect(taken / tried).toBeGreaterThan(0.1);
  expect(taken / tried).toBeLessThan(0.9);
  expect([...codes]).toEqual(
    expect.arrayContaining([
      'address.in-use',
      'ip-pool.exhausted',
      'ip-pool.overlap',
      'nat-rule.port-in-use',
      'nat-rule.public-ip-in-use',
      'nat-rule.source-in-use',
      'public-ip.in-use',
      'public-ip.outside',
      'resource.in-use',
      'trunk.overlap',
      'vlan.in-use',
      'vlan.outside',
    ]),
  );
}, 120_000);

it('orders staged on each other are taken back without a trace, done again alike, and loaded alike', () => {
  const offering = put('offerings/basic', { services: ['source-nat', 'static-nat', 'port-forwarding'] });
  fc.assert(
    fc.property(fc.array(fc.array(transaction, { minLength: 1, maxLength: 5 }), { maxLength: 8 }), (batches) =>
      expectStagingHolds([[[offering, ...groundwork]], ...batches]),
    ),
    { numRuns: 100 },
  );
}, 60_000);

function sorted(specs: Map<string, Spec>): [string, Spec][] {
  return [...specs].sort(([a], [b]) => (a < b ? -1 : 1)).filter(([path]) => path.split('/').length % 2 === 0);
}
