import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Harness, harness, problemOf, shop } from './support.ts';

let h: Harness;
beforeEach(async () => {
  h = await harness();
});
afterEach(() => h.close());

const network = 'tenants/acme/networks/shop';
const apply = (body: object, who: Parameters<Harness['ask']>[0] = 'admin') => h.ask(who, 'POST', 'apply', body);
const outcomes = (answer: { body: { outcomes: { path: string; outcome: string }[] } }) =>
  answer.body.outcomes.map(({ path, outcome }) => `${outcome} ${path.split('/').at(-1)}`);

describe('apply', () => {
  test('takes resources in any order as one revision, and is idempotent', async () => {
    const resources = shop('acme').reverse();
    const before = h.store.revision;
    const first = await apply({ resources });
    expect(first.status, first.text).toBe(200);
    expect(first.body.revision).toBe(before + 1);
    expect(h.store.revision).toBe(before + 1);
    expect(first.body.outcomes.map(({ path }: { path: string }) => path)).toEqual(resources.map(({ path }) => path));
    expect(first.body).not.toHaveProperty('flows');
    for (const { path } of resources)
      expect((await h.ask('admin', 'GET', path)).body.revision).toBe(first.body.revision);
    const second = await apply({ resources });
    expect(second.body.outcomes.every(({ outcome }: { outcome: string }) => outcome === 'unchanged')).toBe(true);
    expect(second.body.revision).toBe(first.body.revision);
    expect(h.store.revision).toBe(before + 1);
  });

  test('takes back what was read', async () => {
    await apply({ resources: shop('acme') });
    const paths = shop('acme').map(({ path }) => path);
    const resources = await Promise.all(
      paths.map(async (path) => {
        const { labels, ...spec } = (await h.ask('acme', 'GET', path)).body;
        return { path, spec, labels };
      }),
    );
    const answer = await apply({ resources });
    expect(outcomes(answer).filter((text) => !text.startsWith('unchanged'))).toEqual([]);
  });

  test('tells which members a replacement changed', async () => {
    await apply({ resources: shop('acme') });
    const resources = [
      { path: 'tenants/acme', spec: { description: 'Sells more' }, labels: { a: 'b' } },
      { path: `${network}/ports/web1`, spec: { tier: 'web', ips: ['10.0.1.11'], ifaceId: 'vif-7' } },
    ];
    const told = (await apply({ resources, dryRun: true })).body.outcomes;
    expect(told[0]).toEqual({
      path: 'tenants/acme',
      kind: 'tenant',
      outcome: 'replaced',
      changed: ['description', 'labels'],
    });
    expect(told[1].changed).toEqual(['ips', 'ifaceId']);
  });

  test('deletes, and does not mind what is gone already', async () => {
    await apply({ resources: shop('acme') });
    const resources = [
      { path: `${network}/groups/never`, delete: true },
      { path: `${network}/rules/web-to-db`, delete: true },
      { path: `${network}/groups/also-never`, delete: true },
      { path: `${network}/groups/new` },
    ];
    const answer = await apply({ resources });
    expect(answer.status, answer.text).toBe(200);
    expect(outcomes(answer)).toEqual(['unchanged never', 'deleted web-to-db', 'unchanged also-never', 'created new']);
  });

  test('gathers the errors of all resources, with pointers into the request, and changes nothing', async () => {
    await apply({ resources: shop('acme') });
    const before = h.store.revision;
    const answer = await apply({
      resources: [
        { path: `${network}/groups/gone`, delete: true },
        { path: 'tenants/globex' },
        { path: `${network}/tiers/app`, spec: { cidr: '10.0.2.128/25' } },
        { path: 'tenants/globex/networks/n', spec: { offering: 'basic', cidr: '10.0.0.1/16', colour: 'red' } },
        { path: `${network}/ports/p`, spec: { tier: 'nowhere' } },
        { path: `${network}/tiers/web`, delete: true },
        { path: 'tenants/BAD', spec: {} },
        { path: 'planets/earth', spec: {} },
      ],
    });
    const problem = problemOf(answer, answer.body.code);
    const told = problem.errors.map(({ field, code }) => `${field} ${code}`).sort();
    expect(told).toEqual(
      [
        '/resources/2/spec/cidr address.overlap',
        '/resources/3/spec/colour unknown',
        '/resources/4/spec/tier reference.dangling',
        '/resources/5 resource.in-use',
        '/resources/5 resource.in-use',
        '/resources/6 name.invalid',
        '/resources/7 route.not-found',
      ].sort(),
    );
    expect(h.store.revision).toBe(before);
  });

  test('refuses what contradicts itself', async () => {
    const problem = problemOf(
      await apply({
        resources: [
          { path: 'tenants/acme', kind: 'network' },
          { path: 'tenants/globex', delete: true, spec: {} },
          { path: 'tenants/twice' },
          { path: 'tenants/twice', delete: true },
        ],
      }),
      'request.invalid',
    );
    expect(problem.errors.map(({ field }) => field)).toEqual([
      '/resources/0/kind',
      '/resources/1/spec',
      '/resources/3/path',
    ]);
    for (const body of [
      [],
      {},
      { resources: {} },
      { resources: [{ spec: {} }] },
      { resources: [{ path: 'tenants/a', delete: false }] },
      { resources: [{ path: 'tenants/a', spec: 'x' }] },
      { resources: [], dryrun: true },
      { resources: [], wait: 'programmed', timeout: '0s' },
      { resources: [], prune: { label: 'x' } },
    ])
      problemOf(await apply(body), 'request.invalid');
  });

  test('waits for the switches', async () => {
    h.fleet.add('hv1', { automatic: false });
    const resources = [{ path: 'tenants/acme' }];
    const problem = problemOf(await apply({ resources, wait: 'programmed', timeout: '20ms' }), 'wait.timeout');
    expect(problem.detail).toContain(String(h.intent.get('tenants/acme')?.revision));
    h.fleet.acknowledge('hv1');
    expect((await apply({ resources, wait: 'programmed', timeout: '20ms' })).status).toBe(200);
  });

  test('of 10,000 resources is one transaction; of more it is refused', async () => {
    await apply({ resources: shop('acme') });
    const groups = (count: number) =>
      Array.from({ length: count }, (_, i) => ({ path: `${network}/groups/g${i}`, spec: {} }));
    const started = performance.now();
    const answer = await apply({ resources: groups(10_000) });
    expect(answer.status, answer.text.slice(0, 500)).toBe(200);
    expect(performance.now() - started).toBeLessThan(10_000);
    problemOf(await apply({ resources: groups(10_001) }), 'request.invalid');
  });
});

describe('a dry run', () => {
  test('tells what would change, flows included, and changes nothing', async () => {
    h.fleet.add('hv1');
    await apply({ resources: shop('acme') });
    const before = h.store.revision;
    const resources = [
      { path: `${network}/groups/new` },
      { path: `${network}/rules/web-to-db`, delete: true },
      { path: `${network}/ports/web1`, spec: { tier: 'web' } },
    ];
    const answer = await apply({ resources, dryRun: true });
    expect(outcomes(answer)).toEqual(['created new', 'deleted web-to-db', 'unchanged web1']);
    expect(answer.body.flows).toEqual([{ hypervisor: 'hv1', added: 1, changed: 0, removed: 1 }]);
    expect(h.store.revision).toBe(before);
    expect(h.intent.get(`${network}/groups/new`)).toBeUndefined();
  });

  test('tells a tenant nothing of switches', async () => {
    h.fleet.add('hv1');
    await apply({ resources: shop('acme') });
    const answer = await apply({ resources: [{ path: `${network}/groups/new` }], dryRun: true }, 'acme');
    expect(outcomes(answer)).toEqual(['created new']);
    expect(answer.body).not.toHaveProperty('flows');
  });

  test('tells the errors that the real one would', async () => {
    await apply({ resources: shop('acme') });
    const resources = [{ path: `${network}/tiers/app`, spec: { cidr: '10.0.1.0/25' } }];
    const dry = await apply({ resources, dryRun: true });
    const real = await apply({ resources });
    expect({ ...dry.body, instance: '' }).toEqual({ ...real.body, instance: '' });
  });
});

describe('of a tenant', () => {
  test('is confined to what is its own', async () => {
    await apply({ resources: [...shop('acme'), ...shop('globex')] });
    const problem = problemOf(
      await apply(
        {
          resources: [
            { path: `${network}/groups/mine` },
            { path: 'tenants/globex/networks/shop/groups/theirs' },
            { path: 'tenants/acme', spec: {} },
            { path: 'hypervisors/hv1', spec: { admission: 'approved' } },
          ],
        },
        'acme',
      ),
      'auth.forbidden',
    );
    expect(problem.errors.map(({ field }) => field)).toEqual([
      '/resources/1/path',
      '/resources/2/path',
      '/resources/3/path',
    ]);
    expect(h.intent.get(`${network}/groups/mine`)).toBeUndefined();
    const restricted = problemOf(
      await apply({ resources: [{ path: `${network}/ports/p`, spec: { tier: 'web', ifaceId: 'x' } }] }, 'acme'),
      'auth.forbidden',
    );
    expect(restricted.errors[0]?.field).toBe('/resources/0/spec/ifaceId');
  });
});

describe('prune', () => {
  const labels = { app: 'shop' };

  test('deletes what has the label and is not named', async () => {
    await apply({ resources: [...shop('acme'), ...shop('globex')] });
    const group = (name: string, tenant = 'acme') => ({
      path: `tenants/${tenant}/networks/shop/groups/${name}`,
      labels,
    });
    await apply({ resources: [group('a'), group('b'), group('c'), group('d', 'globex')] });
    const pruning = { resources: [group('a')], prune: { label: 'app=shop' } };
    expect(outcomes(await apply({ ...pruning, dryRun: true }, 'acme'))).toEqual([
      'unchanged a',
      'deleted b',
      'deleted c',
    ]);
    expect(outcomes(await apply(pruning, 'acme'))).toEqual(['unchanged a', 'deleted b', 'deleted c']);
    // What the token may not write is not for it to prune.
    expect(h.intent.get('tenants/globex/networks/shop/groups/d')).toBeDefined();
    expect(outcomes(await apply({ ...pruning, resources: [] }))).toEqual(['deleted a', 'deleted d']);
  });

  test('tells its errors as its own', async () => {
    await apply({ resources: shop('acme') });
    await apply({ resources: [{ path: `${network}/tiers/web`, spec: { cidr: '10.0.1.0/24' }, labels }] });
    const problem = problemOf(await apply({ resources: [], prune: { label: 'app=shop' } }), 'resource.in-use');
    expect(new Set(problem.errors.map(({ field }) => field))).toEqual(new Set(['/prune']));
  });
});

test('every write is in the audit, in the same commit; what is refused or changes nothing is not', async () => {
  await apply({ resources: shop('acme') }, 'orchestrator');
  await apply({ resources: shop('acme') }, 'orchestrator');
  await apply({ resources: [{ path: `${network}/groups/new` }], dryRun: true });
  await apply({ resources: [{ path: `${network}/ports/p`, spec: { tier: 'nowhere' } }] });
  const put = await h.ask('acme', 'PUT', `${network}/groups/g`, {});
  await h.ask('acme', 'DELETE', `${network}/groups/g`);
  await h.ask('acme', 'DELETE', `${network}/groups/g`);
  const page = (await h.ask('admin', 'GET', 'audit?limit=2')).body;
  expect(page.items).toMatchObject([
    { action: 'delete', target: `${network}/groups/g`, tenant: 'acme', by: { role: 'tenant', tenant: 'acme' } },
    { action: 'put', target: `${network}/groups/g`, revision: put.body.revision, from: '127.0.0.1' },
  ]);
  const rest = (await h.ask('operator', 'GET', `audit?cursor=${page.next}`)).body;
  expect(rest.items).toMatchObject([
    { action: 'apply', target: 'apply', count: 8, tenant: 'acme', by: { role: 'orchestrator' } },
  ]);
  expect(rest.items[0].resources).toContain(`put ${network}/rules/web-to-db`);
  expect(rest).not.toHaveProperty('next');
  expect((await h.ask('admin', 'GET', 'audit?tenant=globex')).body.items).toEqual([]);
  problemOf(await h.ask('admin', 'GET', 'audit?cursor=x'), 'cursor.invalid');
});
