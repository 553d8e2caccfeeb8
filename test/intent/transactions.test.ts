/** What a transaction answers, fills in, keeps, and leaves alone. */
import { describe, expect, it } from 'vitest';
import { builtInOfferings } from '../../src/intent/built-in.ts';
import { Intent } from '../../src/intent/intent.ts';
import type { Commit } from '../../src/intent/model.ts';
import { openMemoryStore } from '../../src/store/memory.ts';
import { admin, everything, open, openWith, problemOf, put, remove, shop } from './support.ts';

const p1 = `${shop}/ports/p1`;

describe('opening', () => {
  it('makes the built-in offerings once, in one commit', async () => {
    const { intent, disk } = await open();
    expect([...intent.children('offering', '')].map((o) => o.name).sort()).toEqual(['basic', 'gold', 'platinum']);
    expect(intent.revision).toBe(1);
    const again = await open({}, disk);
    expect(again.intent.revision).toBe(1);
    expect(everything(again.intent)).toEqual(everything(intent));
  });

  it('keeps a built-in offering that was replaced', async () => {
    const { intent, disk } = await open();
    const spec = { ...builtInOfferings.gold, providers: { ...builtInOfferings.gold.providers, vpn: 'other' } };
    await admin(intent, [put('offerings/gold', spec)]);
    const again = await open({}, disk);
    expect(again.intent.getAs('offering', 'offerings/gold')?.spec.providers?.vpn).toBe('other');
  });

  it('renews a built-in offering of an earlier version that nobody has replaced', async () => {
    const { intent, disk } = await open();
    const old = { description: 'Routing between tiers and access rules', services: ['routing', 'rules'] };
    await admin(intent, [put('offerings/basic', old, { labels: { a: 'b' } }), put('tenants/t')]);
    const again = await open({}, disk);
    const { spec, labels } = again.intent.getAs('offering', 'offerings/basic')!;
    expect(spec).toEqual(builtInOfferings.basic);
    expect(labels).toEqual({ a: 'b' });
    expect(again.intent.revision).toBe(3);
    expect((await open({}, disk)).intent.revision).toBe(3);
    // One word of somebody's own, and it is his.
    await admin(again.intent, [put('offerings/basic', { ...old, description: 'Ours' })]);
    expect((await open({}, disk)).intent.getAs('offering', 'offerings/basic')?.spec.description).toBe('Ours');
  });

  it('gives no resource number twice, not even the last one', async () => {
    const { intent, disk } = await openWith(put('tenants/b'));
    const { number, uid } = intent.get('tenants/b')!;
    await admin(intent, [remove('tenants/b')]);
    const again = await open({}, disk);
    await admin(again.intent, [put('tenants/b')]);
    expect(again.intent.get('tenants/b')!.number).toBeGreaterThan(number);
    expect(again.intent.get('tenants/b')!.uid).not.toBe(uid);
  });
});

describe('put', () => {
  it('answers what it created, and fills in what was left out', async () => {
    const { intent } = await openWith();
    const { revision, outcomes } = await admin(intent, [put(p1, { tier: 'web' }, { labels: { a: 'b' } })]);
    expect(revision).toBe(3);
    const after = intent.getAs('port', p1)!;
    expect(outcomes).toEqual([{ path: p1, kind: 'port', outcome: 'created', after }]);
    expect(after).toMatchObject({ kind: 'port', name: 'p1', parent: shop, revision: 3, labels: { a: 'b' }, id: 0 });
    expect(after.spec.ips).toEqual(['10.0.1.2']);
    expect(after.spec.mac).toBe(
      `0a:${after.number
        .toString(16)
        .padStart(10, '0')
        .replace(/..(?=.)/g, '$&:')}`,
    );
    expect(after.spec.ifaceId).toMatch(/^[0-9a-f-]{36}$/);
    expect(intent.portByIfaceId(after.spec.ifaceId)).toBe(after);
    expect(intent.byNumber(after.number)).toBe(after);
  });

  it('replaces: what the server filled stays, what the caller left out goes', async () => {
    const { intent } = await openWith(put(p1, { tier: 'web', description: 'x', groups: [] }, { labels: { a: 'b' } }));
    const before = intent.getAs('port', p1)!;
    const { outcomes } = await admin(intent, [put(p1, { tier: 'web', mac: '02:AA:00:00:00:01' })]);
    const after = intent.getAs('port', p1)!;
    expect(outcomes).toEqual([{ path: p1, kind: 'port', outcome: 'replaced', before, after }]);
    expect(after.spec).toEqual({
      tier: 'web',
      mac: '02:aa:00:00:00:01',
      ips: before.spec.ips,
      ifaceId: before.spec.ifaceId,
    });
    expect(after.labels).toEqual({});
    expect(after).toMatchObject({ uid: before.uid, number: before.number, createdAt: before.createdAt, revision: 3 });
  });

  it('of what is there changes nothing, whatever the order of members', async () => {
    const { intent } = await openWith(put(p1, { tier: 'web', groups: [], description: 'x' }));
    const heard: Commit[] = [];
    intent.onCommit((commit) => heard.push(commit));
    const before = intent.get(p1);
    const { revision, outcomes } = await admin(intent, [put(p1, { description: 'x', groups: [], tier: 'web' })]);
    expect(revision).toBe(2);
    expect(outcomes).toEqual([{ path: p1, kind: 'port', outcome: 'unchanged', before, after: before }]);
    expect(intent.get(p1)).toBe(before);
    expect(heard).toEqual([]);
  });

  it('takes back what was read', async () => {
    const { intent } = await openWith(put(p1, { tier: 'web' }));
    const { spec, uid, revision } = intent.get(p1)!;
    const body = { name: 'p1', ...spec, uid, revision, status: { state: 'pending' }, binding: null };
    const { outcomes } = await admin(intent, [put(p1, body)]);
    expect(outcomes[0]?.outcome).toBe('unchanged');
  });

  it('does not share its objects with the caller', async () => {
    const { intent } = await openWith();
    const spec = { tier: 'web', ips: ['10.0.1.9'] };
    await admin(intent, [put(p1, spec)]);
    spec.ips.push('10.0.1.10');
    expect(intent.getAs('port', p1)?.spec.ips).toEqual(['10.0.1.9']);
  });

  it('chooses the lowest free address, and never one that the same transaction asks for', async () => {
    const { intent } = await openWith();
    await admin(intent, [
      put(`${shop}/ports/a`, { tier: 'web' }),
      put(`${shop}/ports/b`, { tier: 'web' }),
      put(`${shop}/ports/c`, { tier: 'web', ips: ['10.0.1.2'] }),
    ]);
    const ips = () => Object.fromEntries([...intent.children('port', shop)].map((p) => [p.name, p.spec.ips[0]]));
    expect(ips()).toEqual({ a: '10.0.1.3', b: '10.0.1.4', c: '10.0.1.2' });
    await admin(intent, [remove(`${shop}/ports/a`)]);
    await admin(intent, [put(`${shop}/ports/d`, { tier: 'web' })]);
    await admin(intent, [put(`${shop}/ports/e`, { tier: 'web' })]);
    expect(ips()).toEqual({ b: '10.0.1.4', c: '10.0.1.2', d: '10.0.1.3', e: '10.0.1.5' });
    // An address frees with the gateway too.
    await admin(intent, [put(`${shop}/tiers/web`, { cidr: '10.0.1.0/24', gateway: '10.0.1.200' })]);
    await admin(intent, [put(`${shop}/ports/f`, { tier: 'web' })]);
    expect(ips().f).toBe('10.0.1.1');
  });

  it('makes another MAC when somebody has asked for the one of its number', async () => {
    const { intent } = await openWith();
    const next = intent.get(`${shop}/tiers/web`)!.number + 1;
    const mac = `0a:00:00:00:00:${(next + 1).toString(16).padStart(2, '0')}`;
    await admin(intent, [put(`${shop}/ports/a`, { tier: 'web', mac })]);
    await admin(intent, [put(`${shop}/ports/b`, { tier: 'web' })]);
    const b = intent.getAs('port', `${shop}/ports/b`)!;
    expect(b.number).toBe(next + 2);
    expect(b.spec.mac).not.toBe(mac);
    expect(intent.byNumber(next + 1)).toBeUndefined();
    // A tier does so too, since its router has a MAC.
    await admin(intent, [put(`${shop}/ports/c`, { tier: 'web', mac: '0a:00:00:00:00:0c' })]);
    for (let i = 0; i < 5; i++) await admin(intent, [put(`${shop}/tiers/t${i}`, { cidr: `10.0.${10 + i}.0/24` })]);
    expect([...intent.children('tier', shop)].map((t) => t.number)).not.toContain(0x0c);
  });
});

describe('who may set what', () => {
  it('a tenant sets nothing it cannot see', async () => {
    const { intent } = await openWith(put('hypervisors/h1', { admission: 'approved' }));
    const problem = await problemOf(intent.transact([put(p1, { tier: 'web', ifaceId: 'x', hypervisors: ['h1'] })]));
    expect(problem.code).toBe('auth.forbidden');
    expect(problem.errors.map((e) => e.field)).toEqual(['/ifaceId', '/hypervisors']);
  });

  it('and what an admin has set stays when a tenant replaces the port', async () => {
    const { intent } = await openWith(
      put('hypervisors/h1', { admission: 'approved' }),
      put(p1, { tier: 'web', ifaceId: 'x', hypervisors: ['h1'] }),
    );
    await intent.transact([put(p1, { tier: 'web', description: 'mine' })]);
    expect(intent.getAs('port', p1)?.spec).toMatchObject({ ifaceId: 'x', hypervisors: ['h1'], description: 'mine' });
    await admin(intent, [put(p1, { tier: 'web' })]);
    expect(intent.getAs('port', p1)?.spec.hypervisors).toBeUndefined();
    expect([...intent.referrers('hypervisors/h1')]).toEqual([]);
  });
});

describe('a transaction', () => {
  it('is one revision, whatever the order of its operations', async () => {
    const { intent } = await open();
    const commits: Commit[] = [];
    intent.onCommit((commit) => commits.push(commit));
    await admin(intent, [
      put(`${shop}/rules/r`, {
        action: 'allow',
        priority: 1,
        from: { group: 'g' },
        to: { port: 'p1' },
        protocol: 'any',
      }),
      put(p1, { tier: 'web', groups: ['g'] }),
      put(`${shop}/groups/g`, { ports: ['p1'] }),
      put(`${shop}/tiers/web`, { cidr: '10.0.1.0/24' }),
      put(shop, { offering: 'basic', cidr: '10.0.0.0/16' }),
      put('tenants/acme'),
    ]);
    expect(commits.map((c) => c.revision)).toEqual([2]);
    expect(commits[0]!.changes.map((c) => c.kind)).toEqual(['tenant', 'network', 'tier', 'port', 'group', 'rule']);
    await admin(intent, [
      remove('tenants/acme'),
      remove(shop),
      remove(p1),
      remove(`${shop}/tiers/web`),
      remove(`${shop}/rules/r`),
      remove(`${shop}/groups/g`),
    ]);
    expect(commits[1]!.changes.map((c) => c.kind)).toEqual(['rule', 'group', 'port', 'tier', 'network', 'tenant']);
    expect(commits[1]!.changes.every((c) => c.after === undefined)).toBe(true);
  });

  it('tells every error with its place, and only those that are errors of their own', async () => {
    const { intent } = await openWith(put(p1, { tier: 'web', ips: ['10.0.1.9'] }));
    const before = everything(intent);
    const problem = await problemOf(
      admin(intent, [
        put('tenants/acme', { colour: 'red' }),
        put(`${shop}/tiers/app`, { cidr: '10.0.2.0/33' }),
        // The tier is faulty, not missing.
        put(`${shop}/ports/p2`, { tier: 'app' }),
        put(`${shop}/ports/p3`, { tier: 'db', groups: ['g'] }),
        put(`${shop}/ports/p4`, { tier: 'web', ips: ['10.0.1.9', '10.9.9.9'] }),
        remove('tenants/nobody'),
        remove(shop, 77),
        put('tenants/fine'),
      ]),
    );
    expect(problem.code).toBe('request.invalid');
    expect(problem.errors.map((e) => [e.field, e.code])).toEqual([
      ['/resources/0/spec/colour', 'unknown'],
      ['/resources/1/spec/cidr', 'address.invalid'],
      ['/resources/5', 'resource.not-found'],
      ['/resources/6', 'resource.changed'],
      ['/resources/3/spec/tier', 'reference.dangling'],
      ['/resources/3/spec/groups/0', 'reference.dangling'],
      ['/resources/4/spec/ips/0', 'address.in-use'],
      ['/resources/4/spec/ips/1', 'address.outside'],
    ]);
    expect(everything(intent)).toEqual(before);
    expect(intent.get('tenants/fine')).toBeUndefined();
  });

  it('of one operation in an apply has the pointers of an apply', async () => {
    const { intent } = await open();
    const problem = await problemOf(
      admin(intent, [put('tenants/a', { x: 1 }, { labels: { '!': '' } })], { many: true }),
    );
    expect(problem.errors.map((e) => e.field)).toEqual(['/resources/0/spec/x', '/resources/0/labels/!']);
  });

  it('of nothing is unchanged', async () => {
    const { intent } = await open();
    expect(await admin(intent, [])).toEqual({ revision: 1, outcomes: [] });
  });

  it('writes the records of others in the same commit', async () => {
    const { intent, store } = await open();
    let told = 0;
    const { revision } = await admin(intent, [put('tenants/a')], {
      extraWrites: (r) => {
        told = r;
        return new Map([[`audit/${r}`, '"who"']]);
      },
    });
    expect(told).toBe(revision);
    expect(await store.get(`audit/${revision}`)).toMatchObject({ value: '"who"', revision });
    expect((await store.get('r/tenants/a'))?.revision).toBe(revision);
    // A record that is none is refused alone.
    const failing = admin(intent, [put('tenants/b')], { extraWrites: () => new Map([['\n', '']]) });
    await expect(failing).rejects.toThrow(TypeError);
    expect(intent.get('tenants/b')).toBeUndefined();
    await admin(intent, [put('tenants/b')]);
  });

  it('larger than the store takes is refused alone', async () => {
    const store = openMemoryStore({ writes: 20 });
    const intent = await Intent.open(store);
    const many = Array.from({ length: 30 }, (_, i) => put(`tenants/t${i}`));
    const [large, small] = await Promise.allSettled([admin(intent, many), admin(intent, [put('tenants/small')])]);
    expect(large).toMatchObject({ status: 'rejected', reason: { code: 'request.too-large' } });
    expect(small.status).toBe('fulfilled');
    expect(intent.count('tenant', '')).toBe(1);
  });

  it('tried only (dryRun) tells the same and leaves nothing', async () => {
    const { intent, disk } = await openWith(put(p1, { tier: 'web' }));
    const before = everything(intent);
    const written = disk.revision;
    const operations = [
      remove(p1),
      put(`${shop}/ports/p2`, { tier: 'web' }),
      put('tenants/acme', { description: 'x' }),
    ];
    const tried = await admin(intent, operations, { dryRun: true });
    expect(tried.revision).toBe(2);
    expect(tried.outcomes.map((o) => o.outcome)).toEqual(['deleted', 'created', 'replaced']);
    expect(everything(intent)).toEqual(before);
    expect(disk.revision).toBe(written);
    const refused = await problemOf(admin(intent, [remove('tenants/acme')], { dryRun: true }));
    expect(refused.code).toBe('resource.in-use');
    const done = await admin(intent, operations);
    expect(done.outcomes.map(({ path, outcome }) => ({ path, outcome }))).toEqual(
      tried.outcomes.map(({ path, outcome }) => ({ path, outcome })),
    );
  });
});

describe('while a dry run is staged', () => {
  it('the model is as it would be, and as it was afterwards, whatever happens then', async () => {
    const { intent } = await openWith(put(p1, { tier: 'web' }));
    const before = everything(intent);
    const operations = [put(`${shop}/ports/p2`, { tier: 'web' }), remove(p1)];
    const seen: unknown[] = [];
    await admin(intent, operations, {
      dryRun: true,
      whileStaged: (changes) =>
        seen.push(
          changes.map((c) => c.path),
          [...intent.children('port', shop)].map((p) => p.spec.ips),
          intent.get(p1),
        ),
    });
    expect(seen).toEqual([[`${shop}/ports/p2`, p1], [['10.0.1.2']], undefined]);
    expect(everything(intent)).toEqual(before);
    const broken = new Error('broken');
    const failing = admin(intent, operations, {
      dryRun: true,
      whileStaged: () => {
        throw broken;
      },
    });
    await expect(failing).rejects.toBe(broken);
    expect(everything(intent)).toEqual(before);
    await admin(intent, [put(`${shop}/tiers/app`, { cidr: '10.0.2.0/24' })]);
  });
});

describe('pages', () => {
  it('are sorted by name and go on behind a name', async () => {
    const { intent } = await open();
    const names = Array.from({ length: 700 }, (_, i) => `t${(i * 37) % 700}`);
    await admin(
      intent,
      names.map((name) => put(`tenants/${name}`, {}, { labels: { odd: String(Number(name.slice(1)) % 2) } })),
    );
    const read: string[] = [];
    let after: string | undefined;
    for (let more = true; more; ) {
      const page = intent.page('tenant', '', { limit: 99, after });
      expect(page.revision).toBe(2);
      expect(page.items.length).toBeLessThanOrEqual(99);
      read.push(...page.items.map((t) => t.name));
      after = read.at(-1);
      more = page.more;
    }
    expect(read).toEqual([...names].sort());
    const odd = intent.page('tenant', '', { limit: 1000, filter: (t) => t.labels.odd === '1' });
    expect(odd.items).toHaveLength(350);
    expect(odd.more).toBe(false);
    expect(intent.page('tenant', '', { limit: 350, filter: (t) => t.labels.odd === '1' }).more).toBe(false);
    expect(intent.page('network', 'tenants/nobody', { limit: 10 })).toEqual({ revision: 2, items: [], more: false });
  });

  it('tell the revision the feed goes on from, past what others have written', async () => {
    const { intent, store } = await open();
    await store.commit({ put: new Map([['other', '1']]) });
    expect(intent.revision).toBe(1);
    expect(intent.page('tenant', '', { limit: 1 }).revision).toBe(2);
  });
});
