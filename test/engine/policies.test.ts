/** Policies, logging and epochs, changed one by one in any order: what was sent is what compiling anew gives. */
import fc from 'fast-check';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { type Core, startCore } from '../../src/core.ts';
import { tables } from '../../src/pipeline/tables.ts';
import { openMemoryStore } from '../../src/store/memory.ts';
import { FakeSwitches } from '../support/fake-switches.ts';

type Change = { path: string; spec?: Record<string, unknown> };

const tenants = ['acme', 'globex'];
const network = (tenant: string) => `tenants/${tenant}/networks/shop`;
const anywhere = { any: true };

const base: Change[] = tenants.flatMap((tenant) => [
  { path: `tenants/${tenant}`, spec: {} },
  { path: network(tenant), spec: { offering: 'basic', cidr: '10.0.0.0/16' } },
  { path: `${network(tenant)}/tiers/web`, spec: { cidr: '10.0.1.0/24' } },
  { path: `${network(tenant)}/groups/red`, spec: {} },
  ...['a', 'b'].map((p) => ({
    path: `${network(tenant)}/ports/${p}`,
    spec: { tier: 'web', ifaceId: `${tenant}-${p}` },
  })),
]);

const action = fc.constantFrom('allow', 'deny');
const log = fc.constantFrom({}, { log: true });
const common = { action, priority: fc.constantFrom(10, 20), log };

const policy: fc.Arbitrary<Change> = fc
  .record({
    name: fc.constantFrom('p', 'q'),
    ...common,
    tenants: fc.subarray(tenants),
    gone: fc.constantFrom(false, true),
  })
  .map(({ name, log: logged, gone, tenants: named, ...spec }) => ({
    path: `policies/${name}`,
    ...(gone
      ? {}
      : {
          spec: {
            ...spec,
            ...logged,
            ...(named.length > 0 ? { tenants: named } : {}),
            from: anywhere,
            to: { cidr: '10.0.1.0/24' },
            protocol: 'tcp',
          },
        }),
  }));

const inNetwork: fc.Arbitrary<Change> = fc.constantFrom(...tenants).chain((tenant) =>
  fc.oneof(
    fc
      .record({ name: fc.constantFrom('r', 's'), ...common, gone: fc.constantFrom(false, false, true) })
      .map(({ name, log: logged, gone, ...spec }) => ({
        path: `${network(tenant)}/rules/${name}`,
        ...(gone ? {} : { spec: { ...spec, ...logged, from: anywhere, to: { group: 'red' }, protocol: 'any' } }),
      })),
    fc.subarray(['a', 'b']).map((ports) => ({ path: `${network(tenant)}/groups/red`, spec: { ports } })),
    fc.boolean().map((logDenied) => ({
      path: network(tenant),
      spec: { offering: 'basic', cidr: '10.0.0.0/16', logDenied },
    })),
  ),
);

async function quiet(core: Core): Promise<void> {
  for (let i = 0; i < 4; i++) {
    await core.engine.idle();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test('whatever changes, and wherever tenants come to, nothing parts from full recompute', {
  timeout: 60_000,
}, async () => {
  let logging = 0;
  let labels = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(fc.oneof(policy, inNetwork), { minLength: 5, maxLength: 20 }), async (changes) => {
      const fake = new FakeSwitches();
      const core = await startCore({ store: openMemoryStore(), plugin: fake, log: pino({ level: 'silent' }) });
      const transact = async (...list: Change[]) => {
        const operations = list
          .filter(({ path, spec }) => spec !== undefined || core.intent.get(path) !== undefined)
          .map(({ path, spec }) =>
            spec === undefined ? { op: 'delete' as const, path } : { op: 'put' as const, path, spec },
          );
        if (operations.length > 0) await core.intent.transact(operations, { restrictedAllowed: true, many: true });
        await quiet(core);
        expect(core.engine.compiler.recompute().different).toEqual([]);
      };
      const join = async (h: number) => {
        await transact({ path: `hypervisors/hv${h}`, spec: { admission: 'approved' } });
        fake.connect(`hv${h}`, `192.0.2.${h}`);
        // acme is everywhere, globex on the second.
        const names = h === 1 ? ['acme-a'] : ['acme-b', 'globex-a', 'globex-b'];
        fake.interfaces(
          h,
          names.map((ifaceId, i) => ({ ifaceId, name: `v${i}`, ofport: 10 + i })),
        );
        await transact();
      };
      await join(1);
      await transact(...base);
      const half = Math.floor(changes.length / 2);
      for (const change of changes.slice(0, half)) await transact(change);
      await join(2);
      for (const change of changes.slice(half)) await transact(change);
      const flows = fake.flowsOn(2);
      if (flows.some((f) => f.table === tables.Log.id)) logging++;
      labels += flows.filter((f) => f.table === tables.LiveRules.id).length;
      await core.stop();
    }),
    { numRuns: 25 },
  );
  expect(logging).toBeGreaterThan(0);
  expect(labels).toBeGreaterThan(0);
});

test('an epoch is another one when what it stands for says something else, and only then', async () => {
  const fake = new FakeSwitches();
  const core = await startCore({ store: openMemoryStore(), plugin: fake, log: pino({ level: 'silent' }) });
  const put = async (...list: Change[]) => {
    await core.intent.transact(
      list.map(({ path, spec = {} }) => ({ op: 'put' as const, path, spec })),
      { restrictedAllowed: true, many: true },
    );
    await quiet(core);
  };
  await put({ path: 'hypervisors/hv1', spec: { admission: 'approved' } }, ...base);
  fake.connect('hv1', '192.0.2.1');
  fake.interfaces(1, [{ ifaceId: 'acme-a', name: 'v1', ofport: 10 }]);
  const rule = { action: 'allow', priority: 10, from: { group: 'red' }, to: anywhere, protocol: 'any' };
  const deny = { ...rule, action: 'deny', from: { cidr: '10.0.1.0/30' } };
  const path = (what: string) => `${network('acme')}/${what}`;
  await put({ path: path('rules/r'), spec: rule }, { path: path('rules/no'), spec: deny });
  /** What each of the three tables holds in force. */
  const epochs = () =>
    [tables.LivePorts, tables.LiveNetworks, tables.LiveRules].map(({ id }) =>
      fake
        .flowsOn(1)
        .filter((f) => f.table === id)
        .map((f) => JSON.stringify(f.match.ct_label, (_, v: unknown) => (typeof v === 'bigint' ? String(v) : v)))
        .sort()
        .join(),
    );
  const changed = async (...list: Change[]) => {
    const before = epochs();
    await put(...list);
    return epochs().map((now, i) => now !== before[i]);
  };
  const port = core.intent.getAs('port', path('ports/a'))!.spec;
  const same = [false, false, false];
  expect(await changed({ path: path('rules/r'), spec: { ...rule, description: 'other words', log: true } })).toEqual(
    same,
  );
  expect(await changed({ path: path('groups/red'), spec: { description: 'other words' } })).toEqual(same);
  expect(await changed({ path: path('ports/a'), spec: { ...port, description: 'other words' } })).toEqual(same);
  expect(await changed({ path: path('rules/no'), spec: { ...deny, description: 'other words' } })).toEqual(same);
  expect(await changed({ path: path('rules/r'), spec: { ...rule, priority: 11 } })).toEqual([false, false, true]);
  expect(await changed({ path: path('groups/red'), spec: { ports: ['b'] } })).toEqual([false, false, true]);
  expect(await changed({ path: path('ports/a'), spec: { ...port, groups: ['red'] } })).toEqual([true, false, false]);
  expect(await changed({ path: path('rules/no'), spec: { ...deny, protocol: 'tcp' } })).toEqual([false, true, false]);
  const policy = { action: 'deny', priority: 1, from: anywhere, to: { cidr: '10.9.0.0/16' }, protocol: 'any' };
  expect(await changed({ path: 'policies/p', spec: { ...policy, tenants: ['globex'] } })).toEqual(same);
  expect(await changed({ path: 'policies/p', spec: policy })).toEqual([false, true, false]);
  expect(await changed({ path: 'policies/q', spec: { ...policy, action: 'allow' } })).toEqual([false, false, true]);
  await core.stop();
});
