/** Hits of rules and policies: who may ask, and what is answered. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Harness, harness, problemOf, shop } from './support.ts';

let h: Harness;
const hits = 'tenants/acme/networks/shop/rules/web-to-db/hits';
const counted = { packets: 2 ** 40, bytes: 2 ** 50, carried: { packets: 7, bytes: 700 }, complete: false };

beforeAll(async () => {
  h = await harness();
  const policy = {
    action: 'deny',
    priority: 1,
    from: { any: true },
    to: { any: true },
    protocol: 'tcp',
    ports: ['23'],
  };
  await h.ask('admin', 'POST', 'apply', {
    resources: [...shop('acme'), { path: 'policies/no-telnet', spec: policy }],
  });
  h.fleet.counted = counted;
});
afterAll(() => h.close());

test("a tenant reads those of its own rules, the operator everybody's and those of policies", async () => {
  for (const who of ['acme', 'operator', 'admin'] as const)
    expect(await h.ask(who, 'GET', hits)).toMatchObject({ status: 200, body: counted });
  expect(await h.ask('operator', 'GET', 'policies/no-telnet/hits')).toMatchObject({ status: 200, body: counted });
  expect((await h.ask('globex', 'GET', hits)).status).toBe(403);
  expect((await h.ask('acme', 'GET', 'policies/no-telnet/hits')).status).toBe(403);
  expect((await h.ask(undefined, 'GET', hits)).status).toBe(401);
});

test('what is not there has none', async () => {
  const answer = await h.ask('acme', 'GET', 'tenants/acme/networks/shop/rules/nothing/hits');
  problemOf(answer, 'resource.not-found');
  expect((await h.ask('admin', 'GET', 'policies/nothing/hits')).status).toBe(404);
  expect((await h.ask('admin', 'GET', `${hits}?of=all`)).status).toBe(400);
});
