import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Harness, harness, problemOf } from './support.ts';

let h: Harness;
beforeEach(async () => {
  h = await harness();
});
afterEach(() => h.close());

const as = (secret: string, path = 'offerings') =>
  h.ask(undefined, 'GET', path, undefined, { authorization: `Bearer ${secret}` });

describe('a token', () => {
  test('is shown once, works, is listed without its secret, and is revoked at once', async () => {
    const made = await h.ask('admin', 'POST', 'tokens', { role: 'operator', description: 'night shift' });
    expect(made.status, made.text).toBe(201);
    expect(made.headers['cache-control']).toBe('no-store');
    const { token, secret } = made.body;
    expect((await as(secret, 'hypervisors')).status).toBe(200);
    const listed = await h.ask('admin', 'GET', 'tokens');
    expect(listed.body.items).toContainEqual(token);
    expect(listed.text).not.toContain(secret);
    expect(listed.text).not.toContain('hash');
    expect((await h.ask('admin', 'DELETE', `tokens/${token.id}`)).status).toBe(204);
    problemOf(await as(secret), 'auth.invalid');
    problemOf(await h.ask('admin', 'DELETE', `tokens/${token.id}`), 'resource.not-found');
    const audit = (await h.ask('admin', 'GET', 'audit')).body.items;
    expect(audit.map(({ action, target }: { action: string; target: string }) => `${action} ${target}`)).toEqual([
      `revoke-token tokens/${token.id}`,
      'create-token tokens',
    ]);
    expect(JSON.stringify(audit) + JSON.stringify(h.log)).not.toContain(secret);
  });

  test('expires', async () => {
    for (const ttl of [3600, '1h']) {
      const { token } = (await h.ask('admin', 'POST', 'tokens', { role: 'operator', ttl })).body;
      expect(token.expires - token.created).toBe(3_600_000);
    }
    const { secret } = (await h.ask('admin', 'POST', 'tokens', { role: 'operator', ttl: 1 })).body;
    expect((await as(secret)).status).toBe(200);
    await new Promise((resolve) => setTimeout(resolve, 1050));
    problemOf(await as(secret), 'auth.invalid');
  });

  test('of a tenant needs the tenant, and goes with it', async () => {
    problemOf(await h.ask('admin', 'POST', 'tokens', { role: 'tenant', tenant: 'initech' }), 'reference.dangling');
    await h.ask('admin', 'PUT', 'tenants/initech', {});
    const { secret } = (await h.ask('admin', 'POST', 'tokens', { role: 'tenant', tenant: 'initech' })).body;
    expect((await as(secret, 'tenants/initech')).status).toBe(200);
    await h.ask('admin', 'DELETE', 'tenants/initech');
    problemOf(await as(secret, 'tenants/initech'), 'auth.invalid');
    await h.ask('admin', 'PUT', 'tenants/initech', {});
    problemOf(await as(secret, 'tenants/initech'), 'auth.invalid');
  });

  test.each([
    [{}, ['/role']],
    [{ role: 'king' }, ['/role']],
    [{ role: 'tenant' }, ['/tenant']],
    [{ role: 'admin', tenant: 'acme' }, ['/tenant']],
    [{ role: 'admin', ttl: 0 }, ['/ttl']],
    [{ role: 'admin', ttl: 'soon' }, ['/ttl']],
    [{ role: 'admin', ttl: '9999d' }, ['/ttl']],
    [{ role: 'admin', description: 7, secret: 'x' }, ['/secret', '/description']],
  ])('%j is refused', async (body, fields) => {
    await h.ask('admin', 'PUT', 'tenants/acme', {});
    const before = h.store.revision;
    const problem = problemOf(await h.ask('admin', 'POST', 'tokens', body), 'request.invalid');
    expect(problem.errors.map(({ field }) => field)).toEqual(fields);
    expect(h.store.revision).toBe(before);
  });
});
