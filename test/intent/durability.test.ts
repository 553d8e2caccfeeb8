/** Nobody sees what is not durable, everybody hears what is, in order, and a disk that refuses changes nothing. */
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { Intent } from '../../src/intent/intent.ts';
import type { Commit } from '../../src/intent/model.ts';
import { ephemeralDirectory } from '../../src/sandbox/ephemeral.ts';
import { openLevelStore } from '../../src/store/level.ts';
import { type MemoryDisk, openMemoryStore } from '../../src/store/memory.ts';
import type { Change, CommitResult, Store } from '../../src/store/store.ts';
import { admin, basics, everything, open, openWith, problemOf, put, remove, shop } from './support.ts';

/** Delays commits until they are let through. */
function gated(store: Store): { store: Store; waiting: () => number; letThrough(): void } {
  let gate = Promise.withResolvers<void>();
  let waiting = 0;
  const commit = async (change: Change): Promise<CommitResult> => {
    waiting++;
    await gate.promise;
    waiting--;
    return store.commit(change);
  };
  const passed = new Proxy(store, {
    get: (target, name) => {
      if (name === 'commit') return commit;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  return {
    store: passed,
    waiting: () => waiting,
    letThrough: () => {
      gate.resolve();
      gate = Promise.withResolvers<void>();
    },
  };
}

describe('what is not durable', () => {
  it('is not seen, not answered and not told', async () => {
    const gate = gated(openMemoryStore());
    const opening = Intent.open(gate.store);
    await sleep(1);
    gate.letThrough();
    const intent = await opening;
    const before = everything(intent);
    const told: string[] = [];
    intent.onCommit(({ changes }) => told.push(...changes.map((c) => c.path)));
    const answers: string[] = [];
    const note = (what: string) => () => void answers.push(what);
    const all = Promise.all([
      admin(intent, [put('tenants/a')]).then(note('put')),
      // These are judged by what is not durable yet, so that their answers would give it away.
      admin(intent, [put('tenants/a', {}, { createOnly: true })]).catch(note('refused')),
      admin(intent, [put('tenants/a')]).then(note('unchanged')),
      admin(intent, [put('tenants/a/networks/n', { offering: 'basic', cidr: '10.0.0.0/8' })], { dryRun: true }).then(
        note('tried'),
      ),
    ]);
    await sleep(5);
    expect(gate.waiting()).toBe(1);
    expect([everything(intent), told, answers]).toEqual([before, [], []]);
    gate.letThrough();
    await all;
    expect(told).toEqual(['tenants/a']);
    expect(answers.sort()).toEqual(['put', 'refused', 'tried', 'unchanged']);
    expect(intent.get('tenants/a')?.revision).toBe(2);
  });

  it('is on the disk when a listener hears of it, and in the model', async () => {
    const { intent, disk } = await open();
    const heard: Commit[] = [];
    intent.onCommit((commit) => {
      expect(disk.revision).toBeGreaterThanOrEqual(commit.revision);
      expect(intent.revision).toBe(commit.revision);
      for (const { path, after } of commit.changes) {
        expect(disk.entries.get(`r/${path}`)?.revision).toBe(commit.revision);
        expect(intent.get(path)).toBe(after);
        expect(after?.revision).toBe(commit.revision);
      }
      heard.push(commit);
    });
    await Promise.all(Array.from({ length: 50 }, (_, i) => admin(intent, [put(`tenants/t${i}`)])));
    expect(heard.map((c) => c.revision)).toEqual(Array.from({ length: 50 }, (_, i) => i + 2));
    expect(heard.map((c) => c.changes[0]!.path)).toEqual(Array.from({ length: 50 }, (_, i) => `tenants/t${i}`));
  });
});

describe('listeners', () => {
  it('do not harm each other, and can leave', async () => {
    const errors: unknown[] = [];
    const { intent } = await open({ onError: (error) => errors.push(error) });
    const heard: number[] = [];
    const broken = new Error('broken');
    intent.onCommit(() => {
      throw broken;
    });
    const leave = intent.onCommit(({ revision }) => heard.push(revision));
    await admin(intent, [put('tenants/a')]);
    leave();
    await admin(intent, [put('tenants/b')]);
    expect(heard).toEqual([2]);
    expect(errors).toEqual([broken, broken]);
  });

  it('may start transactions themselves', async () => {
    const { intent } = await open();
    const done = new Promise<void>((resolve) => {
      intent.onCommit(({ changes }) => {
        const path = changes[0]!.path;
        if (path === 'tenants/a') void admin(intent, [put('tenants/b')]);
        else resolve();
      });
    });
    await admin(intent, [put('tenants/a')]);
    await done;
    expect(intent.get('tenants/b')).toBeDefined();
  });
});

describe('transactions that wait', () => {
  it('see each other in the order of their calls', async () => {
    const { intent } = await openWith();
    const ports = ['a', 'b', 'c'].map((name) => `${shop}/ports/${name}`);
    const results = await Promise.allSettled([
      admin(intent, [put(ports[0]!, { tier: 'web', ips: ['10.0.1.2'] })]),
      admin(intent, [put(ports[1]!, { tier: 'web', ips: ['10.0.1.2'] })]),
      admin(intent, [put(ports[2]!, { tier: 'web' })]),
      admin(intent, [remove(ports[0]!)]),
      admin(intent, [put(ports[1]!, { tier: 'web', ips: ['10.0.1.2'] })]),
      admin(intent, [put(ports[1]!, { tier: 'web' })]),
    ]);
    expect(results.map((r) => (r.status === 'fulfilled' ? r.value.outcomes[0]!.outcome : r.reason.code))).toEqual([
      'created',
      'address.in-use',
      'created',
      'deleted',
      'created',
      'unchanged',
    ]);
    expect(intent.getAs('port', ports[2]!)?.spec.ips).toEqual(['10.0.1.3']);
    expect(intent.getAs('port', ports[1]!)?.spec.ips).toEqual(['10.0.1.2']);
  });

  it('with one revision read by both: the first wins', async () => {
    const { intent } = await openWith();
    const results = await Promise.allSettled(
      ['x', 'y'].map((description) => admin(intent, [put('tenants/acme', { description }, { ifRevision: 2 })])),
    );
    expect(results.map((r) => r.status)).toEqual(['fulfilled', 'rejected']);
    expect(intent.get('tenants/acme')).toMatchObject({ spec: { description: 'x' }, revision: 3 });
  });

  it('have no revision that anybody could have read', async () => {
    const { intent } = await open();
    const results = await Promise.allSettled([
      admin(intent, [put('tenants/a')]),
      admin(intent, [put('tenants/a', { description: 'x' }, { ifRevision: 0 })]),
      admin(intent, [remove('tenants/a', 0)]),
    ]);
    expect(results.map((r) => (r.status === 'rejected' ? r.reason.code : 'done'))).toEqual([
      'done',
      'resource.changed',
      'resource.changed',
    ]);
  });

  it('keep their revisions while others write to the same store', async () => {
    const { intent, store } = await open();
    const mixed = await Promise.all(
      Array.from({ length: 40 }, async (_, i) => {
        if (i % 3 === 0) await store.commit({ put: new Map([['other', String(i)]]) });
        let predicted = 0;
        const extraWrites = (revision: number) => {
          predicted = revision;
          return new Map<string, string>();
        };
        const { revision } = await admin(intent, [put(`tenants/t${i}`)], { extraWrites });
        return { revision, predicted, path: `tenants/t${i}` };
      }),
    );
    for (const { revision, predicted, path } of mixed) {
      expect(predicted).toBe(revision);
      expect((await store.get(`r/${path}`))?.revision).toBe(revision);
      expect(intent.get(path)?.revision).toBe(revision);
    }
  });
});

it('on a real disk is found again after a restart, ids and all', async () => {
  await using place = ephemeralDirectory('kw-intent-');
  const store = await openLevelStore(place.path);
  const intent = await Intent.open(store, { releasable: () => true });
  await admin(intent, basics);
  await Promise.all(Array.from({ length: 60 }, (_, i) => admin(intent, [put(`${shop}/ports/p${i}`, { tier: 'web' })])));
  await admin(intent, [put('tenants/b')]);
  await Promise.all(Array.from({ length: 20 }, (_, i) => admin(intent, [remove(`${shop}/ports/p${i * 2}`)])));
  await admin(intent, [remove('tenants/b')]);
  const before = everything(intent);
  await store.close();

  const reopened = await openLevelStore(place.path);
  const again = await Intent.open(reopened, { releasable: () => true });
  expect(everything(again)).toEqual(before);
  expect(again.revision).toBe(intent.revision);
  const known = new Set([...again.children('tenant', '')].map((t) => t.id));
  await admin(again, [put('tenants/c'), put(`${shop}/ports/p0`, { tier: 'web' })]);
  expect(known).not.toContain(again.get('tenants/c')!.id);
  expect(again.getAs('port', `${shop}/ports/p0`)!.spec.ips).toEqual(['10.0.1.2']);
  await reopened.close();
});

describe('a disk that refuses', () => {
  const refuse = (disk: MemoryDisk) => {
    disk.refusal = new Error('ENOSPC: no space left on device');
  };

  it('costs the transactions under way, and nothing else', async () => {
    const { intent, disk } = await openWith(put(`${shop}/ports/a`, { tier: 'web' }));
    const before = everything(intent);
    const heard: Commit[] = [];
    intent.onCommit((commit) => heard.push(commit));
    refuse(disk);
    const results = await Promise.allSettled([
      admin(intent, [put('tenants/b')]),
      admin(intent, [remove(`${shop}/ports/a`)]),
      admin(intent, [put(`${shop}/ports/b`, { tier: 'web' })]),
    ]);
    expect(results.map((r) => r.status === 'rejected' && r.reason.code)).toEqual(Array(3).fill('store.unavailable'));
    expect(everything(intent)).toEqual(before);
    expect(heard).toEqual([]);
    const later = await problemOf(admin(intent, [put('tenants/c')]));
    expect(later.code).toBe('store.unavailable');
    // What writes nothing is answered all the same.
    await admin(intent, [put('tenants/acme')]);
    await admin(intent, [put('tenants/c')], { dryRun: true });

    disk.refusal = undefined;
    const started = performance.now();
    while (performance.now() - started < 5000) {
      const done = await admin(intent, [put(`${shop}/ports/c`, { tier: 'web' })]).catch(() => undefined);
      if (done !== undefined) break;
      await sleep(10);
    }
    // The address, the number and the MAC that were staged were free again.
    const c = intent.getAs('port', `${shop}/ports/c`)!;
    expect(c.spec.ips).toEqual(['10.0.1.3']);
    expect(c.number).toBe(intent.get(`${shop}/ports/a`)!.number + 1);
    const again = await open({}, disk);
    expect(everything(again.intent)).toEqual(everything(intent));
  });

  it('has those judged anew that were judged by what it refused', async () => {
    const { intent, disk } = await open();
    refuse(disk);
    const lost = admin(intent, [put('tenants/a')]);
    const existing = admin(intent, [put('tenants/a', {}, { createOnly: true })]);
    const unchanged = admin(intent, [put('tenants/a')]);
    const tried = admin(intent, [put('tenants/a/networks/n', { offering: 'basic', cidr: '10.0.0.0/8' })], {
      dryRun: true,
    });
    const removed = admin(intent, [remove('tenants/a')]);
    expect((await problemOf(lost)).code).toBe('store.unavailable');
    expect((await problemOf(existing)).code).toBe('store.unavailable');
    expect((await problemOf(unchanged)).code).toBe('store.unavailable');
    expect((await problemOf(tried)).code).toBe('resource.not-found');
    // It was judged to be there and its deletion was on the way to the disk, too.
    expect((await problemOf(removed)).code).toBe('store.unavailable');
  });

  it('that is not told apart from the model stops everything', async () => {
    const errors: unknown[] = [];
    const { intent, store } = await open({ onError: (error) => errors.push(error) });
    // Nobody but intent writes its records. If somebody does, going on would make it worse.
    await store.commit({ put: new Map([['r/tenants/a', '{}']]) });
    const problem = await problemOf(admin(intent, [put('tenants/a')]));
    expect(problem.code).toBe('internal');
    expect((await problemOf(admin(intent, [put('tenants/b')]))).code).toBe('internal');
    expect(errors).toEqual([problem]);
  });
});
