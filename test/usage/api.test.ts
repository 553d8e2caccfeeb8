/** GET …/usage and /v1/usage: who is told what. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Ledger } from '../../src/usage/ledger.ts';
import { type Harness, harness, shop } from '../api/support.ts';

let h: Harness;
beforeAll(async () => {
  h = await harness();
  for (const tenant of ['acme', 'globex']) await h.ask('admin', 'POST', 'apply', { resources: shop(tenant) });
  const ledger = new Ledger({ now: () => 50_000, monotonic: () => 50_000 });
  let ofport = 0;
  for (const tenant of ['acme', 'globex']) {
    for (const name of ['web1', 'gone']) {
      const path = `tenants/${tenant}/networks/shop/ports/${name}`;
      const owner = { kind: 'port' as const, path, uid: `${tenant}-${name}`, createdAt: 1_000 };
      const count = { packets: 3, bytes: 180 };
      ledger.take(owner, 1, `p${++ofport}`, { received: count, sent: count, duration: 1 }, ledger.ask());
      if (name === 'gone') ledger.end(owner, 60_000);
    }
  }
  await h.usageStorage.write(ledger.takeBatch()!);
});
afterAll(() => h.close());

const paths = (body: { items: { path: string }[] }): string[] => body.items.map(({ path }) => path);
const port = (tenant: string, name: string): string => `tenants/${tenant}/networks/shop/ports/${name}`;

test('a port that was never bound has used nothing, since it was ordered', async () => {
  const { status, body } = await h.ask('acme', 'GET', `${port('acme', 'web1')}/usage`);
  expect(status).toBe(200);
  expect(body).toMatchObject({
    received: { packets: 0, bytes: 0 },
    sent: { packets: 0, bytes: 0 },
    complete: true,
  });
  expect(body.since).toBe(h.intent.get(port('acme', 'web1'))!.createdAt);
});

test('what is not there has none, and that of others is not told of', async () => {
  expect((await h.ask('acme', 'GET', `${port('acme', 'none')}/usage`)).body.code).toBe('resource.not-found');
  expect((await h.ask('admin', 'GET', 'tenants/acme/networks/shop/public-ips/none/usage')).body.code).toBe(
    'resource.not-found',
  );
  for (const path of [`${port('globex', 'web1')}/usage`, `${port('globex', 'none')}/usage`, 'usage?tenant=globex'])
    expect((await h.ask('acme', 'GET', path)).body.code, path).toBe('auth.forbidden');
});

test('the list: everything for an admin, its own for a tenant, deleted ones with their end', async () => {
  const all = await h.ask('admin', 'GET', 'usage');
  expect(paths(all.body)).toEqual([
    port('acme', 'web1'),
    port('globex', 'web1'),
    port('acme', 'gone'),
    port('globex', 'gone'),
  ]);
  expect(all.body.items.at(-1)).toMatchObject({ until: 60_000, received: { packets: 3, bytes: 180 } });
  expect(paths((await h.ask('acme', 'GET', 'usage')).body)).toEqual([port('acme', 'web1'), port('acme', 'gone')]);
  expect(paths((await h.ask('orchestrator', 'GET', 'usage?tenant=globex&since=55000')).body)).toEqual([
    port('globex', 'gone'),
  ]);
});

test('no cursor of a tenant names what others have', async () => {
  let cursor = '';
  for (let pages = 0; pages < 5; pages++) {
    const { body } = await h.ask('acme', 'GET', `usage?limit=1${cursor}`);
    if (body.next === undefined) return;
    expect(Buffer.from(body.next, 'base64url').toString()).not.toContain('globex');
    cursor = `&cursor=${body.next}`;
  }
  expect.unreachable('the list has no end');
});

test('a cursor made for another list tells a tenant nothing of it', async () => {
  const { body } = await h.ask('admin', 'GET', 'usage?tenant=globex&limit=1');
  const told = await h.ask('acme', 'GET', `usage?cursor=${body.next}`);
  for (const path of paths(told.body)) expect(path).toMatch(/^tenants\/acme\//);
});

test("what is the operator's own in a tenant is not told to the tenant, when it is deleted neither", async () => {
  const ledger = new Ledger({ now: () => 90_000, monotonic: () => 90_000 });
  for (const name of ['device', 'former']) {
    const owner = { kind: 'port' as const, path: port('acme', name), uid: `acme-${name}`, createdAt: 0, hidden: true };
    const count = { packets: 1, bytes: 60 };
    ledger.take(owner, 1, `p${name.length}`, { received: count, sent: count, duration: 1 }, ledger.ask());
    if (name === 'former') ledger.end(owner, 95_000);
  }
  await h.usageStorage.write(ledger.takeBatch()!);
  const told = async (who: 'admin' | 'acme') => paths((await h.ask(who, 'GET', 'usage?tenant=acme&since=90000')).body);
  expect(await told('admin')).toEqual([port('acme', 'device'), port('acme', 'former')]);
  expect(await told('acme')).toEqual([]);
});

test.each(['since=-1', 'since=x', 'limit=0', 'more=1', 'tenant=A'])('?%s is refused', async (query) => {
  const { status } = await h.ask('admin', 'GET', `usage?${query}`);
  expect(status).toBe(400);
});

test('a cursor that is none is refused', async () => {
  expect((await h.ask('admin', 'GET', 'usage?cursor=xyz')).body.code).toBe('cursor.invalid');
});
