import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { usualEventLimits } from '../../src/api/event-hub.ts';
import { type Listening, listen } from '../../src/api/listen.ts';
import { until } from '../../src/sandbox/ephemeral.ts';
import { MemoryDisk } from '../../src/store/memory.ts';
import { Follower, Refusal } from './follower.ts';
import { type Harness, type HarnessOptions, harness, problemOf, shop, type Who } from './support.ts';

let h: Harness;
let listening: Listening;
let followers: Follower[];
const network = 'tenants/acme/networks/shop';
/** Milliseconds for what must come in the end, on however busy a machine. */
const patient = 60_000;

async function start(options: HarnessOptions = {}): Promise<void> {
  h = await harness(options);
  listening = await listen(h.app, [{ kind: 'tcp', host: '127.0.0.1', port: 0 }]);
}

async function stop(): Promise<void> {
  for (const follower of followers) follower.close();
  await listening.close(1_000);
  await h.close();
}

beforeEach(async () => {
  followers = [];
  await start();
});
afterEach(stop);

function follow(who: Who | undefined, query = '', protocols: string[] = []): Follower {
  const url = `${listening.urls[0]!.replace('http', 'ws')}/v1/events${query}`;
  const follower = new Follower(url, who && h.secrets[who], {}, protocols);
  followers.push(follower);
  return follower;
}

const put = (path: string, body: object = {}) => h.ask('admin', 'PUT', path, body);

describe('the event stream', () => {
  test('tells changes as they come, each with the resource', async () => {
    const follower = follow('admin');
    await follower.synced();
    const { revision } = (await put('tenants/acme', { description: 'one' })).body;
    await put('tenants/acme', { description: 'two' });
    await h.ask('admin', 'DELETE', 'tenants/acme');
    await follower.until(({ change }) => change === 'deleted');
    const changes = follower.messages.filter(({ type }) => type === 'change');
    expect(changes).toMatchObject([
      {
        change: 'created',
        kind: 'tenant',
        path: 'tenants/acme',
        revision,
        resource: { name: 'acme', description: 'one', revision },
      },
      { change: 'replaced', resource: { description: 'two' } },
      { change: 'deleted', resource: { description: 'two' } },
    ]);
    expect(changes[2]?.revision).toBe(changes[2]?.resource.revision);
  });

  test('goes on from any revision still kept, without gaps or repetition', async () => {
    const revisions: number[] = [];
    for (let i = 0; i < 20; i++) revisions.push((await put(`tenants/t${i}`)).body.revision);
    for (const from of [0, 7, 19]) {
      const follower = follow('admin', `?since=${revisions[from]}`);
      const { revision } = await follower.synced();
      expect(revision).toBeGreaterThanOrEqual(revisions[19]!);
      expect(follower.changes()).toEqual(
        Array.from({ length: 19 - from }, (_, i) => `created tenants/t${i + from + 1}`),
      );
    }
  });

  test('joins what is past with what comes while it is told', async () => {
    const { revision } = (await put('tenants/first')).body;
    for (let i = 0; i < 50; i++) await put(`tenants/before${i}`);
    const follower = follow('admin', `?since=${revision}&status=none`);
    const during = (async () => {
      for (let i = 0; i < 50; i++) await put(`tenants/during${i}`);
    })();
    await during;
    await follower.until(({ path }) => path === 'tenants/during49');
    expect(follower.changes()).toEqual([
      ...Array.from({ length: 50 }, (_, i) => `created tenants/before${i}`),
      ...Array.from({ length: 50 }, (_, i) => `created tenants/during${i}`),
    ]);
    const told = follower.messages.filter(({ type }) => type === 'change').map((m) => m.revision);
    expect(told).toEqual(told.toSorted((a, b) => a - b));
  });

  test('keeps the changes of one commit together', async () => {
    const follower = follow('admin', '?status=none');
    await follower.synced();
    const { revision } = (await h.ask('admin', 'POST', 'apply', { resources: shop('acme') })).body;
    await follower.until(({ path }) => path === `${network}/rules/web-to-db`);
    expect(follower.changes()).toHaveLength(8);
    expect(new Set(follower.messages.filter(({ type }) => type === 'change').map((m) => m.revision))).toEqual(
      new Set([revision]),
    );
  });

  test('survives a restart of the controller', async () => {
    const disk = new MemoryDisk();
    await stop();
    await start({ disk });
    const { revision } = (await put('tenants/acme')).body;
    await put('tenants/globex');
    const { secrets } = h;
    await stop();
    await start({ disk, secrets });
    const follower = follow('admin', `?since=${revision}`);
    await follower.synced();
    await put('tenants/initech');
    await follower.until(({ path }) => path === 'tenants/initech');
    expect(follower.changes()).toEqual(['created tenants/globex', 'created tenants/initech']);
  });

  test('answers 410 before the upgrade when the revision is no longer kept', async () => {
    await stop();
    await start({ changes: 10 });
    const { revision } = (await put('tenants/acme')).body;
    for (let i = 0; i < 40; i++) await put(`tenants/t${i}`);
    expect(h.store.oldest).toBeGreaterThan(revision);
    const refused = await follow('admin', `?since=${revision}`).opened.catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(Refusal);
    const { status, headers, text } = refused as Refusal;
    expect([status, headers['content-type']]).toEqual([410, 'application/problem+json']);
    expect(JSON.parse(text)).toMatchObject({ code: 'events.compacted' });
    problemOf(await h.ask('admin', 'GET', `events?since=${revision}`), 'events.compacted');
    // A revision that has not been yet: the store was put back to an earlier day.
    problemOf(await h.ask('admin', 'GET', `events?since=${h.store.revision + 1}`), 'events.compacted');
    const page = (await h.ask('admin', 'GET', 'tenants')).body;
    await follow('admin', `?since=${page.revision}`).synced();
  });

  test('refuses who may not before the upgrade', async () => {
    const refusal = async (who: Who | undefined, query = '') =>
      JSON.parse(((await follow(who, query).opened.catch((error: unknown) => error)) as Refusal).text).code;
    expect(await refusal(undefined)).toBe('auth.missing');
    expect(await refusal('globex', '?path=tenants/acme')).toBe('auth.forbidden');
    expect(await refusal('admin', '?since=x')).toBe('request.invalid');
    expect(await refusal('admin', '?path=planets/earth')).toBe('request.invalid');
    expect(await refusal('admin', '?colour=red')).toBe('request.invalid');
  });

  test('takes its token among the subprotocols, and does not choose it', async () => {
    const follower = follow(undefined, '', ['keyway.events', `keyway.bearer.${h.secrets.admin}`]);
    await follower.synced();
    expect(follower.socket.protocol).toBe('keyway.events');
    const wrong = follow(undefined, '', ['keyway.events', 'keyway.bearer.nonsense']);
    expect(JSON.parse(((await wrong.opened.catch((e: unknown) => e)) as Refusal).text).code).toBe('auth.invalid');
  });

  test('of what is no event stream is refused, not held', async () => {
    const url = `${listening.urls[0]!.replace('http', 'ws')}/v1/tenants`;
    const elsewhere = new Follower(url, h.secrets.admin);
    followers.push(elsewhere);
    await elsewhere.closed;
    const nowhere = new Follower(url.replace('tenants', 'planets'), h.secrets.admin);
    followers.push(nowhere);
    expect(((await nowhere.opened.catch((e: unknown) => e)) as Refusal).status).toBe(404);
  });
});

describe('status', () => {
  test('is told of everything once what is past is told, then as it changes', async () => {
    await h.ask('admin', 'POST', 'apply', { resources: shop('acme') });
    h.fleet.add('hv1', { automatic: false });
    const follower = follow('admin', '?path=tenants/acme');
    await follower.synced();
    await follower.until(({ path, type }) => type === 'status' && path === `${network}/rules/web-to-db`);
    const first = follower.messages.filter(({ type }) => type === 'status');
    expect(first.map(({ path }) => path).sort()).toEqual(
      shop('acme')
        .map(({ path }) => path)
        .sort(),
    );
    const from = follower.messages.length;
    await put('tenants/acme', { description: 'new' });
    await follower.until(({ type, status }) => type === 'status' && status?.state === 'pending');
    h.fleet.acknowledge('hv1');
    await put('tenants/acme', { description: 'newer' });
    await follower.until(({ resource }) => resource?.description === 'newer');
    expect(follower.messages.slice(from).map(({ type }) => type)).toEqual(expect.arrayContaining(['change', 'status']));
    // A change is told before the status it leads to.
    expect(follower.messages[from]?.type).toBe('change');
  });

  test('of what is deleted is deleting, then none', async () => {
    h.fleet.add('hv1', { automatic: false });
    await put('tenants/acme');
    h.fleet.acknowledge('hv1');
    const follower = follow('admin', '?status=changes&path=tenants/acme');
    await follower.synced();
    await h.ask('admin', 'DELETE', 'tenants/acme');
    await follower.until(({ type, status }) => type === 'status' && status?.state === 'deleting');
    h.fleet.acknowledge('hv1');
    await follower.until(({ type, status }) => type === 'status' && status === null);
  });

  test('is not told where nobody asked for it', async () => {
    await put('tenants/acme');
    const follower = follow('admin', '?status=none');
    await follower.synced();
    await put('tenants/globex');
    await follower.until(({ path }) => path === 'tenants/globex');
    expect(follower.messages.filter(({ type }) => type === 'status')).toEqual([]);
  });
});

describe('a tenant', () => {
  test('is told of its own and of what all tenants see, in its own words', async () => {
    await h.ask('admin', 'POST', 'apply', { resources: [...shop('acme'), ...shop('globex')] });
    h.fleet.add('hv1', { connected: false });
    const since = (await h.ask('acme', 'GET', 'offerings')).body.revision;
    const follower = follow('acme', `?since=${since}`);
    const { revision } = await follower.synced();
    expect(revision).toBe(since);
    await put('tenants/globex/networks/shop/groups/theirs');
    await put('hypervisors/hv1', { admission: 'approved' });
    await put('offerings/silver', { services: ['rules'], providers: { rules: 'secret-driver' } });
    await put(`${network}/ports/web2`, { tier: 'web' });
    await follower.until(({ path }) => path === `${network}/ports/web2`);
    expect(follower.changes()).toEqual(['created offerings/silver', `created ${network}/ports/web2`]);
    await follower.until(({ type, path }) => type === 'status' && path === `${network}/ports/web2`);
    const text = JSON.stringify(follower.messages);
    for (const hidden of ['secret-driver', 'ifaceId', 'globex', 'hypervisors/', 'hv1', 'providers', '"key"'])
      expect(text).not.toContain(hidden);
  });

  test('misses nothing while others write more than the log keeps', async () => {
    await stop();
    await start({ changes: 10 });
    await h.ask('admin', 'POST', 'apply', { resources: shop('acme') });
    const listed = (await h.ask('acme', 'GET', `${network}/groups`)).body.revision;
    const follower = follow('acme', `?since=${listed}&status=none`);
    await follower.synced();
    for (let i = 0; i < 40; i++) await put(`tenants/t${i}`);
    // Nothing of its own has come since, however far the others are.
    expect(h.store.oldest).toBeGreaterThan(listed);
    expect((await h.ask('acme', 'GET', `events?since=${listed}`)).body).toEqual({ changes: [], next: listed });
    const later = follow('acme', `?since=${listed}&status=none`);
    expect((await later.synced()).revision).toBe(listed);
    await put(`${network}/groups/own`);
    await Promise.all([follower, later].map((one) => one.until(({ path }) => path === `${network}/groups/own`)));
    expect(later.changes()).toEqual([`created ${network}/groups/own`]);
    // Now it may have missed something, and lists again.
    for (let i = 40; i < 80; i++) await put(`tenants/t${i}`);
    problemOf(await h.ask('acme', 'GET', `events?since=${listed}`), 'events.compacted');
    const again = (await h.ask('acme', 'GET', `${network}/groups`)).body.revision;
    await follow('acme', `?since=${again}`).synced();
  });
});

describe('a stream ends', () => {
  test('at once when its token is revoked', async () => {
    const { token, secret } = (await h.ask('admin', 'POST', 'tokens', { role: 'operator' })).body;
    const follower = new Follower(`${listening.urls[0]!.replace('http', 'ws')}/v1/events`, secret);
    followers.push(follower);
    await follower.synced();
    await h.ask('admin', 'DELETE', `tokens/${token.id}`);
    expect(await follower.closed).toEqual({ code: 4401, reason: 'auth.invalid' });
  });

  test('when its token expires, and with its tenant', async () => {
    await stop();
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'Date'] });
    try {
      await start();
      await put('tenants/initech');
      const theirs = (await h.ask('admin', 'POST', 'tokens', { role: 'tenant', tenant: 'initech' })).body.secret;
      const expiring = (await h.ask('admin', 'POST', 'tokens', { role: 'operator', ttl: 3600 })).body;
      const url = `${listening.urls[0]!.replace('http', 'ws')}/v1/events`;
      const [first, second] = [new Follower(url, expiring.secret), new Follower(url, theirs)];
      followers.push(first, second);
      await Promise.all([first.synced(), second.synced()]);
      await h.ask('admin', 'DELETE', 'tenants/initech');
      expect((await second.closed).code).toBe(4401);
      await until('its socket to be gone', () => h.app.websocketServer.clients.size === 1, patient);
      // An hour later, with the next ping.
      vi.setSystemTime(Date.now() + 3_600_000);
      vi.advanceTimersByTime(usualEventLimits.ping);
      expect((await first.closed).code).toBe(4401);
    } finally {
      vi.useRealTimers();
    }
  });

  test('when the consumer takes nothing for too long; what it is owed stays bounded', async () => {
    await stop();
    // Patience runs out when the test says so: on a busy machine the quick one may be slow too.
    const waited = new Set<() => void>();
    const patience = (expired: () => void) => {
      waited.add(expired);
      return () => waited.delete(expired);
    };
    await start({ events: { highWater: 64 << 10, patience } });
    const slow = follow('admin', '?status=none');
    const quick = follow('admin', '?status=none');
    await Promise.all([slow.synced(), quick.synced()]);
    slow.socket.pause();
    const rounds = 40;
    const description = 'x'.repeat(1000);
    let most = 0;
    for (let i = 1; i <= rounds; i++) {
      const resources = Array.from({ length: 500 }, (_, j) => ({
        path: `tenants/t${j}`,
        spec: { description: `${i} ${description}`.slice(0, 1000) },
      }));
      expect((await h.ask('admin', 'POST', 'apply', { resources })).status).toBe(200);
      for (const { bufferedAmount } of h.app.websocketServer.clients) most = Math.max(most, bufferedAmount);
    }
    expect(most).toBeLessThan(256 << 10);
    await quick.until(
      ({ resource }) => resource?.name === 't499' && String(resource.description).startsWith(`${rounds} `),
    );
    // Everything has been told to the one; so the other alone is waited for.
    expect([waited.size, h.app.websocketServer.clients.size]).toEqual([1, 2]);
    for (const expire of waited) expire();
    await until('the slow one to be let go', () => h.app.websocketServer.clients.size === 1, patient);
    expect(quick.socket.readyState).toBe(quick.socket.OPEN);
    slow.socket.resume();
    const { code, reason } = await slow.closed;
    // The name arrives only if what is buffered before it does.
    if (code !== 1006) expect({ code, reason }).toEqual({ code: 4408, reason: 'events.slow' });
  });

  test('when the consumer answers no ping', async () => {
    await stop();
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    try {
      await start();
      const dead = follow('admin');
      await dead.synced();
      const alive = follow('admin');
      await alive.synced();
      dead.socket.pause();
      const { clients } = h.app.websocketServer;
      const answered = Promise.race(
        [...clients].map((socket) => new Promise((resolve) => socket.once('pong', resolve))),
      );
      vi.advanceTimersByTime(usualEventLimits.ping);
      await answered;
      expect(clients.size).toBe(2);
      vi.advanceTimersByTime(usualEventLimits.ping);
      await until('the dead one to be gone', () => clients.size === 1, patient);
      expect(alive.socket.readyState).toBe(alive.socket.OPEN);
    } finally {
      vi.useRealTimers();
    }
  });

  test('when it says too much', async () => {
    const follower = follow('admin');
    await follower.synced();
    follower.socket.send('hello');
    follower.socket.send('x'.repeat(10_000));
    expect((await follower.closed).code).toBe(1009);
  });

  test('when the controller stops', async () => {
    const follower = follow('admin');
    await follower.synced();
    await listening.close();
    expect((await follower.closed).code).toBe(1001);
  });
});

describe('the list of changes', () => {
  test('goes on where the last one ended, whole revisions at a time', async () => {
    const since = h.store.revision;
    await h.ask('admin', 'POST', 'apply', { resources: shop('acme') });
    for (let i = 0; i < 5; i++) await put(`tenants/t${i}`);
    const sizes: number[] = [];
    const paths: string[] = [];
    let next = since;
    for (;;) {
      const { body } = await h.ask('admin', 'GET', `events?since=${next}&limit=2`);
      if (body.changes.length === 0) {
        expect(body.next).toBe(next);
        break;
      }
      expect(body.next).toBeGreaterThan(next);
      sizes.push(body.changes.length);
      paths.push(...body.changes.map(({ path }: { path: string }) => path));
      next = body.next;
    }
    expect(sizes).toEqual([8, 2, 2, 1]);
    expect(new Set(paths).size).toBe(13);
  });

  test('says the same from the log as from memory', async () => {
    const disk = new MemoryDisk();
    await stop();
    await start({ disk });
    await h.ask('admin', 'POST', 'apply', { resources: shop('acme') });
    await h.ask('admin', 'DELETE', `${network}/rules/web-to-db`);
    await put('tenants/acme', { description: 'new' });
    const ask = async (who: Who) => (await h.ask(who, 'GET', 'events?since=0&limit=10000')).body.changes;
    const { secrets } = h;
    const live = (await h.ask('admin', 'GET', `events?since=${h.intent.get('offerings/basic')!.revision}`)).body;
    const mine = (await h.ask('acme', 'GET', `events?since=${h.intent.get('offerings/basic')!.revision}`)).body;
    await stop();
    await start({ disk, secrets });
    const again = async (who: Who) =>
      (await h.ask(who, 'GET', `events?since=${h.intent.get('offerings/basic')!.revision}`)).body;
    expect(live.changes).toHaveLength(10);
    expect((await again('admin')).changes).toEqual(live.changes);
    expect((await again('acme')).changes).toEqual(mine.changes);
    expect(JSON.stringify(mine)).not.toContain('ifaceId');
    expect((await ask('admin')).length).toBe(13);
  });
});
