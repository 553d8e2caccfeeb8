import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Harness, harness, problemOf, shop, type Who } from './support.ts';

let h: Harness;
/** Milliseconds. */
let now: number;
const network = 'tenants/acme/networks/shop';

beforeEach(async () => {
  now = 1_000;
  h = await harness({ monotonic: () => now });
});
afterEach(() => h.close());

test('a quota is set by admins, read by operators with what is used, and not shown to tenants', async () => {
  await h.ask('admin', 'POST', 'apply', { resources: shop('acme') });
  const set = await h.ask('admin', 'PUT', 'quotas/acme', { networks: 2, ports: 2, rules: 5 });
  expect(set.status, set.text).toBe(201);
  expect(set.body).toMatchObject({ name: 'acme', ports: 2, used: { networks: 1, ports: 2, rules: 1 } });
  expect(set.body.status.state).toBe('programmed');
  expect((await h.ask('operator', 'GET', 'quotas/acme')).body).toEqual(set.body);
  // What was read can be put back.
  expect((await h.ask('admin', 'PUT', 'quotas/acme', set.body)).status).toBe(200);
  for (const who of ['acme', 'globex', 'orchestrator'] as Who[]) {
    problemOf(await h.ask(who, 'GET', 'quotas/acme'), 'auth.forbidden');
    problemOf(await h.ask(who, 'PUT', 'quotas/acme', { networks: 1000 }), 'auth.forbidden');
  }
  problemOf(await h.ask('operator', 'PUT', 'quotas/acme', {}), 'auth.forbidden');
  problemOf(await h.ask('admin', 'PUT', 'quotas/acme', { networks: -1 }), 'request.invalid');
});

test('what would be too many is refused with quota.exceeded, by PUT and by apply, whoever asks', async () => {
  await h.ask('admin', 'POST', 'apply', { resources: shop('acme') });
  await h.ask('admin', 'PUT', 'quotas/acme', { ports: 2 });
  for (const who of ['acme', 'orchestrator', 'admin'] as Who[]) {
    const refused = problemOf(await h.ask(who, 'PUT', `${network}/ports/web2`, { tier: 'web' }), 'quota.exceeded');
    expect([refused.status, refused.errors[0]?.field]).toEqual([409, '']);
    expect(refused.detail).toContain('3 ports; its quota is 2');
  }
  const apply = { resources: [{ path: `${network}/ports/web2`, spec: { tier: 'web' } }] };
  problemOf(await h.ask('acme', 'POST', 'apply', apply), 'quota.exceeded');
  problemOf(await h.ask('acme', 'POST', 'apply', { ...apply, dryRun: true }), 'quota.exceeded');
  expect((await h.ask('acme', 'DELETE', `${network}/ports/web1`)).status).toBe(204);
  expect((await h.ask('acme', 'PUT', `${network}/ports/web2`, { tier: 'web' })).status).toBe(201);
});

describe('requests', () => {
  const ask = async (who: Who, secret?: string) => {
    const headers: Record<string, string> = secret === undefined ? {} : { authorization: `Bearer ${secret}` };
    return await h.ask(who, 'GET', network, undefined, headers);
  };
  /** How many get through before one is refused. */
  const allowed = async (who: Who) => {
    for (let i = 0; ; i++) if ((await ask(who)).status === 429) return i;
  };

  beforeEach(async () => {
    await h.ask('admin', 'POST', 'apply', { resources: [...shop('acme'), ...shop('globex')] });
  });

  test('above the rate are refused with 429 and how long to wait, until the time has come', async () => {
    await h.ask('admin', 'PUT', 'quotas/acme', { requestsPerSecond: 2, requestBurst: 5 });
    expect(await allowed('acme')).toBe(5);
    const refused = await ask('acme');
    const problem = problemOf(refused, 'rate.exceeded');
    expect([problem.status, refused.headers['retry-after']]).toEqual([429, '1']);
    now += 499;
    expect((await ask('acme')).status).toBe(429);
    now += 1;
    expect(await allowed('acme')).toBe(1);
    now += 1_000;
    expect(await allowed('acme')).toBe(2);
    now += 3_600_000;
    expect(await allowed('acme')).toBe(5);
  });

  test('of all tokens of the tenant count together, those of others and of admins not', async () => {
    await h.ask('admin', 'PUT', 'quotas/acme', { requestsPerSecond: 1, requestBurst: 3 });
    const { secret } = (await h.ask('admin', 'POST', 'tokens', { role: 'tenant', tenant: 'acme' })).body;
    expect((await ask('acme', secret)).status).toBe(200);
    expect((await ask('acme')).status).toBe(200);
    expect((await ask('acme', secret)).status).toBe(200);
    expect((await ask('acme')).status).toBe(429);
    // What is forbidden, or not there, has been asked for all the same.
    expect((await h.ask('acme', 'GET', 'tenants/globex')).status).toBe(429);
    for (let i = 0; i < 20; i++) {
      expect((await h.ask('globex', 'GET', 'tenants/globex')).status).toBe(200);
      expect((await ask('admin')).status).toBe(200);
    }
  });

  test('are refused before anything is done', async () => {
    await h.ask('admin', 'PUT', 'quotas/acme', { requestsPerSecond: 1, requestBurst: 1 });
    await ask('acme');
    problemOf(await h.ask('acme', 'DELETE', `${network}/rules/web-to-db`), 'rate.exceeded');
    expect(h.intent.get(`${network}/rules/web-to-db`)).toBeDefined();
  });

  test('follow the quota as it is now; without one there is no limit', async () => {
    await h.ask('admin', 'PUT', 'quotas/acme', { requestsPerSecond: 1 });
    expect(await allowed('acme')).toBe(2);
    await h.ask('admin', 'PUT', 'quotas/acme', { requestsPerSecond: 100 });
    now += 100;
    expect(await allowed('acme')).toBe(10);
    await h.ask('admin', 'PUT', 'quotas/acme', { networks: 5 });
    for (let i = 0; i < 50; i++) expect((await ask('acme')).status).toBe(200);
    await h.ask('admin', 'DELETE', 'quotas/acme');
    for (let i = 0; i < 50; i++) expect((await ask('acme')).status).toBe(200);
  });
});
