/** The change feed, and the body resources are answered with. */
import { describe, expect, it } from 'vitest';
import { type IntentEvent, intentEvents } from '../../src/intent/feed.ts';
import { Intent } from '../../src/intent/intent.ts';
import { present } from '../../src/intent/present.ts';
import { openMemoryStore } from '../../src/store/memory.ts';
import type { Store } from '../../src/store/store.ts';
import { admin, basics, openWith, problemOf, put, remove, shop } from './support.ts';

const p1 = `${shop}/ports/p1`;

async function read(store: Store, from: number, count: number): Promise<IntentEvent[]> {
  const stop = new AbortController();
  const events: IntentEvent[] = [];
  for await (const event of intentEvents(store, from, stop.signal)) {
    events.push(event);
    if (events.length === count) break;
  }
  return events;
}

describe('the feed', () => {
  it('tells every change of intent once, in order, and no other', async () => {
    const { intent, store } = await openWith();
    await admin(intent, [put(p1, { tier: 'web' })]);
    await store.commit({ put: new Map([['other', '1']]) });
    const created = intent.get(p1)!;
    await admin(intent, [put(p1, { tier: 'web', description: 'x' }), put('tenants/b')], {
      extraWrites: () => new Map([['audit/1', '{}']]),
    });
    const replaced = intent.get(p1)!;
    await admin(intent, [remove(p1)]);
    const events = await read(store, 2, 3);
    expect(events.map((e) => e.revision)).toEqual([3, 5, 6]);
    expect(events[0]!.changes).toEqual([{ kind: 'port', path: p1, type: 'created', resource: created }]);
    expect(events[1]!.changes.map(({ path, type }) => [path, type]).sort()).toEqual([
      ['tenants/acme/networks/shop/ports/p1', 'replaced'],
      ['tenants/b', 'created'],
    ]);
    expect(events[1]!.changes.find((c) => c.path === p1)?.resource).toEqual(replaced);
    expect(events[2]!.changes).toEqual([
      { kind: 'port', path: p1, type: 'deleted', resource: { ...replaced, revision: 6 } },
    ]);
    expect(events.every((e) => Math.abs(e.at - Date.now()) < 60_000)).toBe(true);
  });

  it('goes on from what a list told, with nothing between left out', async () => {
    const { intent, store } = await openWith();
    const { revision } = intent.page('tenant', '', { limit: 10 });
    const following = read(store, revision, 1);
    await admin(intent, [put('tenants/b')]);
    expect((await following)[0]!.changes[0]!.path).toBe('tenants/b');
  });

  it('says when a revision is no longer kept', async () => {
    const store = openMemoryStore({ changes: 3 });
    const intent = await Intent.open(store);
    await admin(intent, basics);
    for (const description of ['a', 'b', 'c', 'd']) await admin(intent, [put('tenants/acme', { description })]);
    expect((await problemOf(read(store, 1, 1))).code).toBe('events.compacted');
    expect(await read(store, store.oldest, 1)).toHaveLength(1);
  });

  it('ends when it is told to', async () => {
    const { store } = await openWith();
    const stop = new AbortController();
    const events = intentEvents(store, store.revision, stop.signal);
    const end = events.next();
    stop.abort();
    expect(await end).toEqual({ done: true, value: undefined });
  });
});

describe('what is answered', () => {
  it('shows tenants nothing restricted', async () => {
    const { intent } = await openWith(
      put('hypervisors/h1', { admission: 'approved' }),
      put(p1, { hypervisors: ['h1'], ifaceId: 'i', tier: 'web', ips: ['10.0.1.9'], mac: '02:00:00:00:00:01' }),
    );
    const port = intent.get(p1)!;
    const common = { labels: {}, uid: port.uid, revision: 2 };
    const seen = { name: 'p1', tier: 'web', mac: '02:00:00:00:00:01', ips: ['10.0.1.9'], ...common };
    expect(present(port, { restricted: false })).toEqual(seen);
    expect(present(port, { restricted: true })).toEqual({ ...seen, ifaceId: 'i', hypervisors: ['h1'] });
    const gold = intent.get('offerings/gold')!;
    expect(present(gold, { restricted: false })).not.toHaveProperty('providers');
    expect(present(gold, { restricted: true })).toHaveProperty('providers.firewall', 'virtual-router');
  });

  it('holds the numbers on the wire for those who may see them', async () => {
    const { intent } = await openWith(put('hypervisors/h1', { admission: 'approved' }));
    const tenant = intent.get('tenants/acme')!;
    expect(tenant.id).toBeGreaterThan(0);
    expect(present(tenant, { restricted: true })).toHaveProperty('key', tenant.id);
    expect(present(tenant, { restricted: false })).not.toHaveProperty('key');
    const hypervisor = intent.get('hypervisors/h1')!;
    expect(present(hypervisor, { restricted: true })).toMatchObject({ number: hypervisor.id, systemId: 'h1' });
  });

  it('has the members of the spec in one order, however they were written', async () => {
    const { intent } = await openWith(put(p1, { ips: ['10.0.1.9'], tier: 'web' }));
    const members = Object.keys(present(intent.get(p1)!, { restricted: true }));
    expect(members).toEqual(['name', 'tier', 'mac', 'ips', 'ifaceId', 'labels', 'uid', 'revision']);
  });

  it('can be put back as it is', async () => {
    const { intent } = await openWith(put(p1, { tier: 'web' }), put('hypervisors/h1', { admission: 'approved' }));
    for (const path of [p1, 'tenants/acme', shop, `${shop}/tiers/web`, 'hypervisors/h1', 'offerings/gold'])
      for (const restricted of [true, false]) {
        const { labels, ...body } = present(intent.get(path)!, { restricted });
        const result = await intent.transact([put(path, body, { labels: { ...labels } })], {
          restrictedAllowed: restricted,
        });
        expect(result.outcomes[0]?.outcome, `${path} as ${restricted ? 'admin' : 'tenant'}`).toBe('unchanged');
      }
  });
});
