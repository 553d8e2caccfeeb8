import { createHash } from 'node:crypto';
import { readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ensureFirstToken } from '../../src/auth/first-token.ts';
import { type Role, roles } from '../../src/auth/roles.ts';
import { type TokenOrder, Tokens } from '../../src/auth/tokens.ts';
import { ephemeralDirectory } from '../../src/sandbox/ephemeral.ts';
import { MemoryDisk, openMemoryStore } from '../../src/store/memory.ts';

const day = 86_400;

function setUp(disk = new MemoryDisk(), limits = {}) {
  const clock = { now: 1_700_000_000_000 };
  const store = openMemoryStore({ disk, ...limits });
  return { disk, store, clock, load: () => Tokens.load(store, () => clock.now) };
}

describe('a token', () => {
  test.each<[Role, string | undefined, string?]>([
    ['admin', undefined],
    ['operator', undefined],
    ['orchestrator', undefined],
    ['tenant', 'acme'],
    ['gateway-host', undefined, 'gw1'],
  ])('of role %s is known by its secret, also after a restart', async (role, tenant, hypervisor) => {
    const { load, clock } = setUp();
    const tokens = await load();
    const { token, secret, revision } = await tokens.create({ role, tenant, hypervisor, description: 'for tests' });
    expect(secret).toMatch(/^kw_[\w-]{43}$/);
    expect(token.id).toMatch(/^[0-9a-f]{16}$/);
    expect(token).toEqual({
      id: token.id,
      role,
      ...(tenant && { tenant }),
      ...(hypervisor && { hypervisor }),
      description: 'for tests',
      created: clock.now,
    });
    expect(revision).toBe(1);
    const principal = { token: token.id, role, tenant, ...(hypervisor && { hypervisor }) };
    expect(tokens.authenticate(secret)).toEqual(principal);
    expect((await load()).authenticate(secret)).toEqual(principal);
    expect((await load()).get(token.id)).toEqual(token);
  });

  test('is stored as a hash: the secret is nowhere, neither in the data nor in the log', async () => {
    const { load, store, disk } = setUp();
    const { secret, token } = await (await load()).create({ role: 'admin' });
    const { entries } = await store.list('');
    expect(entries).toHaveLength(1);
    expect(entries[0]!.key).toBe(`tokens/${token.id}`);
    expect(JSON.parse(entries[0]!.value).hash).toBe(createHash('sha256').update(secret).digest('base64url'));
    const everything = JSON.stringify([...disk.log.values(), ...disk.entries.values(), token, (await load()).list()]);
    expect(everything).not.toContain(secret);
    expect(everything).not.toContain(secret.slice(3));
    expect(JSON.stringify([token, (await load()).list()])).not.toContain('hash');
  });

  test('is not known by anything but its whole secret', async () => {
    const tokens = await setUp().load();
    const { secret } = await tokens.create({ role: 'admin' });
    const flip = (at: number) => secret.slice(0, at) + (secret[at] === 'A' ? 'B' : 'A') + secret.slice(at + 1);
    for (let at = 0; at < secret.length; at++) expect(tokens.authenticate(flip(at)), flip(at)).toBeUndefined();
    for (const wrong of [
      '',
      'kw_',
      secret.slice(0, -1),
      `${secret}A`,
      ` ${secret}`,
      secret.slice(3),
      'x'.repeat(1e6),
    ]) {
      expect(tokens.authenticate(wrong)).toBeUndefined();
    }
    fc.assert(fc.property(fc.string({ maxLength: 60 }), (text) => tokens.authenticate(text) === undefined));
    fc.assert(fc.property(fc.stringMatching(/^kw_[\w-]{43}$/), (text) => tokens.authenticate(text) === undefined));
  });

  test('expires', async () => {
    const { load, clock } = setUp();
    const tokens = await load();
    const { token, secret } = await tokens.create({ role: 'admin', ttl: 60 });
    expect(token.expires).toBe(clock.now + 60_000);
    clock.now += 59_999;
    expect(tokens.authenticate(secret)).toBeDefined();
    clock.now += 1;
    expect(tokens.authenticate(secret)).toBeUndefined();
    expect((await load()).authenticate(secret)).toBeUndefined();
    expect(tokens.list()).toEqual([token]);
  });

  test('is revoked at once and for good', async () => {
    const { load } = setUp();
    const tokens = await load();
    const [one, other] = [await tokens.create({ role: 'admin' }), await tokens.create({ role: 'operator' })];
    expect(await tokens.revoke(one.token.id)).toBe(3);
    expect(tokens.authenticate(one.secret)).toBeUndefined();
    expect(tokens.authenticate(other.secret)).toBeDefined();
    expect((await load()).authenticate(one.secret)).toBeUndefined();
    expect(tokens.list()).toEqual([other.token]);
    await expect(tokens.revoke(one.token.id)).rejects.toMatchObject({ code: 'resource.not-found' });
  });

  test('is not valid when the disk refused it, and stays valid when it refused to revoke it', async () => {
    const { load, disk } = setUp();
    const tokens = await load();
    const { secret, token } = await tokens.create({ role: 'admin' });
    disk.refusal = new Error('full');
    await expect(tokens.create({ role: 'admin' })).rejects.toMatchObject({ code: 'store.unavailable' });
    await expect(tokens.revoke(token.id)).rejects.toMatchObject({ code: 'store.unavailable' });
    expect(tokens.list()).toEqual([token]);
    expect(tokens.authenticate(secret)).toBeDefined();
  });

  test('comes and goes in one commit with what belongs to it, or not at all', async () => {
    const { load, store } = setUp();
    const tokens = await load();
    await store.commit({ put: new Map([['tenant', '1']]) });
    const put = new Map([['audit/1', '{}']]);
    const { token, revision } = await tokens.create({ role: 'admin' }, { expect: new Map([['tenant', 1]]), put });
    expect((await store.list('')).entries.map((entry) => [entry.key, entry.revision])).toEqual([
      ['audit/1', revision],
      ['tenant', 1],
      [`tokens/${token.id}`, revision],
    ]);
    const stale = { expect: new Map([['tenant', 7]]) };
    await expect(tokens.create({ role: 'admin' }, stale)).rejects.toMatchObject({ code: 'store.conflict' });
    await expect(tokens.revoke(token.id, stale)).rejects.toMatchObject({ code: 'store.conflict' });
    expect(tokens.list()).toEqual([token]);
    await tokens.revoke(token.id, { put: new Map([['audit/2', '{}']]), delete: ['audit/1'] });
    expect((await store.list('')).entries.map(({ key }) => key)).toEqual(['audit/2', 'tenant']);
  });

  test.each<[string, TokenOrder]>([
    ['/role', { role: 'root' as Role }],
    ['/tenant', { role: 'tenant' }],
    ['/tenant', { role: 'tenant', tenant: '' }],
    ['/tenant', { role: 'admin', tenant: 'acme' }],
    ['/hypervisor', { role: 'gateway-host' }],
    ['/hypervisor', { role: 'tenant', tenant: 'acme', hypervisor: 'gw1' }],
    ['/tenant', { role: 'gateway-host', tenant: 'acme', hypervisor: 'gw1' }],
    ['/ttl', { role: 'admin', ttl: 0 }],
    ['/ttl', { role: 'admin', ttl: 1.5 }],
    ['/ttl', { role: 'admin', ttl: 11 * 365 * day }],
    ['/description', { role: 'admin', description: 'x'.repeat(257) }],
  ])('is refused naming %s: %j', async (field, order) => {
    const { load, store } = setUp();
    const creation = (await load()).create(order);
    await expect(creation).rejects.toMatchObject({ code: 'request.invalid', errors: [{ field }] });
    expect(store.revision).toBe(0);
  });
});

describe('tokens of a tenant', () => {
  test('that is no more are invalid before anything is awaited, and stay so', async () => {
    const { load, disk } = setUp();
    const tokens = await load();
    const made = await Promise.all(
      ['acme', 'acme', 'acme2'].map((tenant) => tokens.create({ role: 'tenant', tenant })),
    );
    const admin = await tokens.create({ role: 'admin' });
    const revoking = tokens.revokeTenant('acme');
    expect(made.map(({ secret }) => tokens.authenticate(secret)?.tenant)).toEqual([undefined, undefined, 'acme2']);
    expect(await revoking).toBe(2);
    expect((await load()).list()).toHaveLength(2);
    // A stop between the end of the tenant and that of its tokens:
    disk.refusal = new Error('full');
    await expect(tokens.revokeTenant('acme2')).rejects.toMatchObject({ code: 'store.unavailable' });
    expect(tokens.authenticate(made[2]!.secret)).toBeUndefined();
    disk.refusal = undefined;
    const restarted = await setUp(disk).load();
    expect(restarted.authenticate(made[2]!.secret)).toBeDefined();
    expect(await restarted.revokeOrphans((_, name) => name !== 'acme2')).toBe(1);
    expect(restarted.list()).toEqual([admin.token]);
    const gateways = await Promise.all(
      ['gw1', 'gw2', 'gw3'].map((hypervisor) => restarted.create({ role: 'gateway-host', hypervisor })),
    );
    expect(await restarted.revokeHypervisor('gw1')).toBe(1);
    expect(await restarted.revokeOrphans((kind, name) => kind === 'hypervisor' && name === 'gw2')).toBe(1);
    expect(gateways.map(({ secret }) => restarted.authenticate(secret)?.hypervisor)).toEqual([
      undefined,
      'gw2',
      undefined,
    ]);
    expect(restarted.list()).toHaveLength(2);
    expect(await restarted.revokeOrphans(() => false)).toBe(1);
  });

  test('in great number are revoked within the limits of a commit', async () => {
    const { load, store } = setUp(new MemoryDisk(), { writes: 1_010 });
    const tokens = await load();
    await Promise.all(Array.from({ length: 2_500 }, () => tokens.create({ role: 'tenant', tenant: 'acme' })));
    const put = new Map([['audit/1', '{}']]);
    expect(await tokens.revokeTenant('acme', { put })).toBe(2_500);
    expect((await store.list('')).entries.map(({ key }) => key)).toEqual(['audit/1']);
  });
});

test('expired tokens are swept after a while, others never', async () => {
  const { load, clock, store } = setUp();
  const tokens = await load();
  const kept = await tokens.create({ role: 'admin' });
  await tokens.create({ role: 'admin', ttl: day });
  clock.now += 2 * day * 1000;
  expect(await tokens.sweep(2 * day * 1000)).toBe(0);
  expect(await tokens.sweep(day * 1000)).toBe(1);
  expect(tokens.list()).toEqual([kept.token]);
  expect((await store.list('tokens/')).entries).toHaveLength(1);
});

test('knowing a token costs microseconds, among thousands', async () => {
  const { load } = setUp();
  const tokens = await load();
  const made = await Promise.all(Array.from({ length: 3_000 }, (_, at) => tokens.create({ role: roles[at % 3]! })));
  const begin = performance.now();
  for (const { secret } of made) if (tokens.authenticate(secret) === undefined) throw new Error('unknown');
  const each = (performance.now() - begin) / made.length;
  // Some 2 µs on two cores of a laptop; the bound leaves room for busy machines.
  expect(each).toBeLessThan(0.1);
});

describe('the first token', () => {
  test('is made once, for its owner only, and is an admin', async () => {
    await using directory = ephemeralDirectory('kw-auth-');
    const { load } = setUp();
    const tokens = await load();
    const { path, made } = await ensureFirstToken(tokens, directory.path);
    expect(made).toBe(true);
    expect(path).toBe(`${directory.path}/admin-token`);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    const secret = (await readFile(path, 'utf8')).trimEnd();
    expect(tokens.authenticate(secret)).toMatchObject({ role: 'admin' });
    const again = await load();
    expect(await ensureFirstToken(again, directory.path)).toEqual({ path, made: false });
    expect(again.authenticate(secret)).toMatchObject({ role: 'admin' });
    expect(again.size).toBe(1);
    expect(await readdir(directory.path)).toEqual(['admin-token']);
  });

  test('is not made where there are others', async () => {
    await using directory = ephemeralDirectory('kw-auth-');
    const tokens = await setUp().load();
    await tokens.create({ role: 'operator' });
    expect((await ensureFirstToken(tokens, directory.path)).made).toBe(false);
    expect(await readdir(directory.path)).toEqual([]);
  });

  test('replaces what is left of an earlier store, and follows no link', async () => {
    await using directory = ephemeralDirectory('kw-auth-');
    const elsewhere = `${directory.path}/elsewhere`;
    await writeFile(elsewhere, 'untouched', { mode: 0o644 });
    await symlink(elsewhere, `${directory.path}/admin-token.new`);
    await symlink(elsewhere, `${directory.path}/admin-token`);
    const tokens = await setUp().load();
    const { path } = await ensureFirstToken(tokens, directory.path);
    expect(await readFile(elsewhere, 'utf8')).toBe('untouched');
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(tokens.authenticate((await readFile(path, 'utf8')).trimEnd())).toBeDefined();
    expect((await readdir(directory.path)).sort()).toEqual(['admin-token', 'elsewhere']);
  });

  test('leaves no file behind when the store refuses it', async () => {
    await using directory = ephemeralDirectory('kw-auth-');
    const { load, disk } = setUp();
    const tokens = await load();
    disk.refusal = new Error('full');
    await expect(ensureFirstToken(tokens, directory.path)).rejects.toMatchObject({ code: 'store.unavailable' });
    expect(await readdir(directory.path)).toEqual([]);
  });
});
