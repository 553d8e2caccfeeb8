import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { definitions, kinds } from '../../src/intent/resources/index.ts';
import { everyKind, type Harness, harness, problemOf, shop } from './support.ts';

let h: Harness;
beforeEach(async () => {
  h = await harness();
});
afterEach(() => h.close());

const network = 'tenants/acme/networks/shop';

async function order(): Promise<void> {
  const answer = await h.ask('admin', 'POST', 'apply', { resources: shop('acme') });
  expect(answer.status, answer.text).toBe(200);
}

describe('a resource', () => {
  test('is created, read, replaced and deleted', async () => {
    const created = await h.ask('orchestrator', 'PUT', 'tenants/acme', { description: 'one', labels: { a: 'b' } });
    expect(created.status, created.text).toBe(201);
    expect(created.headers.location).toBe('/v1/tenants/acme');
    expect(created.headers.etag).toBe(`"${created.body.revision}"`);
    expect(created.body).toMatchObject({ name: 'acme', description: 'one', labels: { a: 'b' } });
    expect(created.body.status.state).toBe('programmed');

    const read = await h.ask('orchestrator', 'GET', 'tenants/acme');
    expect(read.body).toEqual(created.body);
    const replaced = await h.ask('orchestrator', 'PUT', 'tenants/acme', { description: 'two' });
    expect(replaced.status).toBe(200);
    expect(replaced.body).toMatchObject({ uid: created.body.uid, labels: {}, description: 'two' });
    expect(replaced.body.revision).toBeGreaterThan(created.body.revision);
    const deleted = await h.ask('orchestrator', 'DELETE', 'tenants/acme');
    expect(deleted.status).toBe(204);
    expect(deleted.text).toBe('');
    problemOf(await h.ask('orchestrator', 'GET', 'tenants/acme'), 'resource.not-found');
    problemOf(await h.ask('orchestrator', 'DELETE', 'tenants/acme'), 'resource.not-found');
  });

  test('answers HEAD as GET, without the body', async () => {
    await order();
    const head = await h.ask('admin', 'HEAD', network);
    const get = await h.ask('admin', 'GET', network);
    expect(head.status).toBe(200);
    expect(head.text).toBe('');
    expect(head.headers.etag).toBe(get.headers.etag);
    expect(head.headers['content-length']).toBe(String(Buffer.byteLength(get.text)));
  });

  test.each(kinds)('of kind %s: what was read can be put back and changes nothing', async (kind) => {
    const ordered = await h.ask('admin', 'POST', 'apply', { resources: everyKind('acme') });
    expect(ordered.status, ordered.text).toBe(200);
    await h.ask('admin', 'PUT', 'hypervisors/hv1', { admission: 'approved' });
    await h.ask('admin', 'PUT', 'quotas/acme', { networks: 5, requestsPerSecond: 100 });
    const paths: Record<string, string> = {
      offering: 'offerings/gold',
      hypervisor: 'hypervisors/hv1',
      tenant: 'tenants/acme',
      network,
      tier: `${network}/tiers/web`,
      port: `${network}/ports/web1`,
      group: `${network}/groups/databases`,
      rule: `${network}/rules/web-to-db`,
      route: `${network}/routes/branch`,
      steering: `${network}/steering/inspected`,
      peering: 'tenants/acme/peerings/shop-office',
      policy: 'policies/no-telnet',
      quota: 'quotas/acme',
      'provider-network': 'provider-networks/campus',
      'ip-pool': 'ip-pools/public',
      trunk: 'trunks/racks',
      reservation: `${network}/reservations/printers`,
      'public-ip': `${network}/public-ips/front`,
      'nat-rule': `${network}/nat-rules/https`,
      'vlan-attachment': `${network}/vlan-attachments/storage`,
    };
    const path = paths[kind]!;
    for (const who of ['admin', 'orchestrator', 'acme'] as const) {
      const read = await h.ask(who, 'GET', path);
      const mayWrite =
        who === 'admin' || (definitions[kind].writers as string[]).includes(who === 'acme' ? 'tenant' : who);
      if (read.status === 403 || !mayWrite) continue;
      const put = await h.ask(who, 'PUT', path, read.body, { 'if-match': String(read.headers.etag) });
      expect(put.status, put.text).toBe(200);
      expect(put.body).toEqual(read.body);
    }
    expect((await h.ask('admin', 'GET', path)).status).toBe(200);
  });

  test('keeps what the server filled when it is left out', async () => {
    await order();
    const path = `${network}/ports/db1`;
    const before = (await h.ask('acme', 'GET', path)).body;
    expect(before.ips).toHaveLength(1);
    const after = await h.ask('acme', 'PUT', path, { tier: 'db', description: 'mine' });
    expect(after.body).toMatchObject({ mac: before.mac, ips: before.ips, description: 'mine' });
  });

  test('keeps what a tenant cannot see when the tenant replaces it', async () => {
    await order();
    const path = `${network}/ports/web1`;
    await h.ask('admin', 'PUT', 'hypervisors/hv1', { admission: 'approved' });
    const seen = (await h.ask('acme', 'GET', path)).body;
    expect(Object.keys(seen)).not.toContain('ifaceId');
    const full = (await h.ask('admin', 'GET', path)).body;
    const pinned = await h.ask('orchestrator', 'PUT', path, { ...full, hypervisors: ['hv1'] });
    expect(pinned.status, pinned.text).toBe(200);
    expect((await h.ask('acme', 'PUT', path, { ...seen, description: 'mine' })).status).toBe(200);
    expect((await h.ask('admin', 'GET', path)).body).toMatchObject({
      ifaceId: full.ifaceId,
      hypervisors: ['hv1'],
      description: 'mine',
    });
  });
});

describe('conditional requests', () => {
  test('If-None-Match answers 304 while the intent is the one that was read', async () => {
    await order();
    const { headers } = await h.ask('acme', 'GET', network);
    const again = await h.ask('acme', 'GET', network, undefined, { 'if-none-match': `"1", W/${headers.etag}` });
    expect(again.status).toBe(304);
    expect(again.text).toBe('');
    expect(again.headers.etag).toBe(headers.etag);
    await h.ask('acme', 'PUT', network, { offering: 'basic', cidr: '10.0.0.0/16', description: 'new' });
    const changed = await h.ask('acme', 'GET', network, undefined, { 'if-none-match': String(headers.etag) });
    expect(changed.status).toBe(200);
  });

  test('If-None-Match: * creates only', async () => {
    const only = { 'if-none-match': '*' };
    expect((await h.ask('admin', 'PUT', 'tenants/acme', {}, only)).status).toBe(201);
    problemOf(await h.ask('admin', 'PUT', 'tenants/acme', { description: 'x' }, only), 'resource.exists');
  });

  test('two writers with one ETag: the second is refused', async () => {
    await order();
    const etag = String((await h.ask('acme', 'GET', network)).headers.etag);
    const write = (description: string) =>
      h.ask('acme', 'PUT', network, { offering: 'basic', cidr: '10.0.0.0/16', description }, { 'if-match': etag });
    const both = await Promise.all([write('one'), write('two')]);
    expect(both.map(({ status }) => status).sort()).toEqual([200, 412]);
    const refused = problemOf(both.find(({ status }) => status === 412)!, 'resource.changed');
    expect(refused.detail).toContain(network);
    const winner = both.find(({ status }) => status === 200)!.body.description;
    expect((await h.ask('acme', 'GET', network)).body.description).toBe(winner);
    problemOf(await write('three'), 'resource.changed');
  });

  test('If-Match guards deletion, needs something to match, and takes no weak tags', async () => {
    await h.ask('admin', 'PUT', 'tenants/acme', {});
    const etag = String((await h.ask('admin', 'GET', 'tenants/acme')).headers.etag);
    const put = (match: string) => h.ask('admin', 'PUT', 'tenants/acme', { description: 'x' }, { 'if-match': match });
    problemOf(await put(`W/${etag}`), 'resource.changed');
    problemOf(await h.ask('admin', 'DELETE', 'tenants/acme', undefined, { 'if-match': '"1"' }), 'resource.changed');
    problemOf(await h.ask('admin', 'PUT', 'tenants/globex', {}, { 'if-match': '*' }), 'resource.changed');
    expect((await put('*')).status).toBe(200);
    problemOf(await put('17'), 'request.invalid');
    const now = String((await h.ask('admin', 'GET', 'tenants/acme')).headers.etag);
    expect((await h.ask('admin', 'DELETE', 'tenants/acme', undefined, { 'if-match': now })).status).toBe(204);
  });
});

describe('lists', () => {
  async function groups(...names: string[]): Promise<void> {
    const resources = names.map((name) => ({ path: `${network}/groups/${name}`, spec: {} }));
    expect((await h.ask('admin', 'POST', 'apply', { resources })).status).toBe(200);
  }

  test('are sorted by name and come in pages', async () => {
    await order();
    await groups('zz', 'a', 'm', 'b', 'c1', 'c-2');
    const names: string[] = [];
    let next = '';
    let pages = 0;
    do {
      const page = await h.ask('acme', 'GET', `${network}/groups?limit=2${next && `&cursor=${next}`}`);
      expect(page.status, page.text).toBe(200);
      expect(page.body.items.length).toBeLessThanOrEqual(2);
      names.push(...page.body.items.map(({ name }: { name: string }) => name));
      next = page.body.next ?? '';
      pages++;
    } while (next);
    expect(names).toEqual(['a', 'b', 'c-2', 'c1', 'databases', 'm', 'zz']);
    expect(pages).toBe(4);
  });

  test('go on from a name while things change, and name the revision of the first page', async () => {
    await order();
    await groups('a', 'b', 'd', 'e');
    const first = (await h.ask('orchestrator', 'GET', `${network}/groups?limit=2`)).body;
    expect(first.items.map(({ name }: { name: string }) => name)).toEqual(['a', 'b']);
    await h.ask('acme', 'DELETE', `${network}/groups/b`);
    await groups('aa', 'c');
    const second = (await h.ask('orchestrator', 'GET', `${network}/groups?limit=10&cursor=${first.next}`)).body;
    // What lies behind the place is as it is now; what was created before it is not.
    expect(second.items.map(({ name }: { name: string }) => name)).toEqual(['c', 'd', 'databases', 'e']);
    expect(second.revision).toBe(first.revision);
    const missed = (await h.ask('orchestrator', 'GET', `events?since=${first.revision}`)).body.changes;
    expect(
      missed.map(({ path, change }: { path: string; change: string }) => `${change} ${path.split('/').at(-1)}`),
    ).toEqual(['deleted b', 'created aa', 'created c']);
  });

  test('are filtered by labels and by what was asked for', async () => {
    await order();
    const names = async (query: string) =>
      (await h.ask('acme', 'GET', `${network}/${query}`)).body.items.map(({ name }: { name: string }) => name);
    await h.ask('acme', 'PUT', `${network}/ports/web2`, { tier: 'web', labels: { app: 'x=y', env: 'prod' } });
    await h.ask('acme', 'PUT', `${network}/ports/web3`, { tier: 'web', labels: { app: 'x=y' } });
    expect(await names('ports?tier=web')).toEqual(['web1', 'web2', 'web3']);
    expect(await names('ports?tier=web&label=app=x%3Dy')).toEqual(['web2', 'web3']);
    expect(await names('ports?label=app=x=y&label=env=prod')).toEqual(['web2']);
    expect(await names('ports?label=env=')).toEqual([]);
    expect(await names('ports?mac=02:00:00:00:00:01')).toEqual(['web1']);
    expect(await names('rules?priority=100')).toEqual(['web-to-db']);
    expect(await names('rules?priority=101')).toEqual([]);
    expect(await names('rules?action=deny')).toEqual([]);
  });

  test('refuse what means nothing', async () => {
    await order();
    const refused = async (query: string, code: string, field?: string) => {
      const problem = problemOf(await h.ask('admin', 'GET', `${network}/ports?${query}`), code);
      if (field) expect(problem.errors.map((e) => e.field)).toEqual([field]);
    };
    await refused('limit=0', 'request.invalid', '?limit');
    await refused('limit=1001', 'request.invalid', '?limit');
    await refused('limit=ten', 'request.invalid', '?limit');
    await refused('limit=1.5', 'request.invalid', '?limit');
    await refused('limit=5&limit=6', 'request.invalid', '?limit');
    await refused('colour=red', 'request.invalid', '?colour');
    await refused('ips=10.0.1.10', 'request.invalid', '?ips');
    await refused('label=nothing', 'request.invalid', '?label/0');
    await refused('cursor=x', 'cursor.invalid');
    await refused(`cursor=${Buffer.from('["a"]').toString('base64url')}`, 'cursor.invalid');
    problemOf(await h.ask('admin', 'GET', 'tenants/nobody/networks'), 'resource.not-found');
    problemOf(await h.ask('acme', 'GET', `${network}/ports?ifaceId=x`), 'auth.forbidden');
  });

  test('have no page behind the last', async () => {
    await order();
    const page = (await h.ask('admin', 'GET', `${network}/tiers?limit=2`)).body;
    expect(page.items).toHaveLength(2);
    expect(page).not.toHaveProperty('next');
  });
});

describe('waiting', () => {
  test('answers once the switches have acknowledged', async () => {
    h.fleet.add('hv1', { automatic: false });
    let answered = false;
    const asked = h.ask('admin', 'PUT', 'tenants/acme?wait=programmed&timeout=10s', {}).then((answer) => {
      answered = true;
      return answer;
    });
    while (h.intent.get('tenants/acme') === undefined) await new Promise(setImmediate);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(answered).toBe(false);
    expect((await h.ask('admin', 'GET', 'tenants/acme')).body.status.state).toBe('pending');
    h.fleet.acknowledge('hv1');
    const answer = await asked;
    expect(answer.status).toBe(201);
    expect(answer.body.status).toMatchObject({ state: 'programmed', programmedRevision: answer.body.revision });
  });

  test('ends after the time-out, and the write stands', async () => {
    h.fleet.add('hv1', { automatic: false });
    const problem = problemOf(
      await h.ask('admin', 'PUT', 'tenants/acme?wait=programmed&timeout=20ms', { description: 'stands' }),
      'wait.timeout',
    );
    const { body } = await h.ask('admin', 'GET', 'tenants/acme');
    expect(body.description).toBe('stands');
    expect(problem.detail).toContain(String(body.revision));
  });

  test('for all waits for those out of reach, for programmed it does not', async () => {
    h.fleet.add('hv1');
    h.fleet.add('hv2', { connected: false });
    expect((await h.ask('admin', 'PUT', 'tenants/acme?wait=programmed', {})).body.status.state).toBe('degraded');
    problemOf(await h.ask('admin', 'PUT', 'tenants/globex?wait=all&timeout=20ms', {}), 'wait.timeout');
  });

  test('a deletion shows as deleting until every switch has confirmed it', async () => {
    await h.ask('admin', 'PUT', 'tenants/acme', {});
    h.fleet.add('hv1');
    h.fleet.add('hv2', { connected: false });
    const deleted = await h.ask('admin', 'DELETE', 'tenants/acme?wait=programmed');
    expect(deleted.status).toBe(200);
    expect(deleted.body).toMatchObject({ name: 'acme', status: { state: 'deleting' } });
    expect((await h.ask('admin', 'GET', 'tenants/acme')).body.status.state).toBe('deleting');
    h.fleet.acknowledge('hv2');
    problemOf(await h.ask('admin', 'GET', 'tenants/acme'), 'resource.not-found');
    await h.ask('admin', 'PUT', 'tenants/globex', {});
    h.fleet.switches.get('hv2')!.acknowledged = Number.MAX_SAFE_INTEGER;
    expect((await h.ask('admin', 'DELETE', 'tenants/globex?wait=all')).status).toBe(204);
  });

  test('refuses times that mean nothing before anything is written', async () => {
    for (const timeout of ['0s', '6m', '10', 'soon', '1h'])
      problemOf(await h.ask('admin', 'PUT', `tenants/acme?wait=all&timeout=${timeout}`, {}), 'request.invalid');
    problemOf(await h.ask('admin', 'PUT', 'tenants/acme?wait=maybe', {}), 'request.invalid');
    expect(h.intent.get('tenants/acme')).toBeUndefined();
  });
});

describe('hypervisors', () => {
  const facts = (systemId: string) => ({
    systemId,
    hostname: `${systemId}.example`,
    peer: 'tcp:127.0.0.1',
    ovsVersion: '3.1.0',
    encapIp: undefined,
    bridgeMappings: {},
    datapathType: 'system',
  });

  test('that wait for approval are listed among the others, with what to do', async () => {
    h.fleet.waiting.push({ name: 'hv-b', facts: facts('8F3A-B') }, { name: 'hv-d', facts: facts('d') });
    for (const name of ['hv-a', 'hv-c', 'hv-e'])
      await h.ask('operator', 'PUT', `hypervisors/${name}`, { admission: 'approved' });
    const names: string[] = [];
    let cursor = '';
    do {
      const page = (await h.ask('operator', 'GET', `hypervisors?limit=2${cursor && `&cursor=${cursor}`}`)).body;
      names.push(...page.items.map(({ name }: { name: string }) => name));
      cursor = page.next ?? '';
    } while (cursor);
    expect(names).toEqual(['hv-a', 'hv-b', 'hv-c', 'hv-d', 'hv-e']);

    const pending = (await h.ask('operator', 'GET', 'hypervisors/hv-b')).body;
    expect(pending).toMatchObject({ systemId: '8F3A-B', connected: false, status: { state: 'pending' } });
    expect(pending.chassis).toMatchObject({ hostname: '8F3A-B.example', encapIp: null });
    expect(pending.status.conditions).toMatchObject([{ type: 'Approved', status: 'False' }]);
    expect(pending.status.conditions[0].message).toContain('keyway hypervisor approve hv-b');
  });

  test('are approved by the name they wait under', async () => {
    h.fleet.waiting.push({ name: 'hv-b', facts: facts('8F3A-B') });
    h.fleet.add('hv-b');
    const approved = await h.ask('operator', 'PUT', 'hypervisors/hv-b', { admission: 'approved' });
    expect(approved.status, approved.text).toBe(201);
    expect(approved.body).toMatchObject({ systemId: '8F3A-B', connected: true, ports: 0, number: expect.any(Number) });
    expect(approved.body.datapathId).toMatch(/^[0-9a-f]{16}$/);
    expect(approved.body.chassis.hostname).toBe('8F3A-B.example');
    expect((await h.ask('operator', 'GET', 'hypervisors')).body.items).toHaveLength(1);
  });

  test('are declared lost by an admin only', async () => {
    await h.ask('operator', 'PUT', 'hypervisors/hv1', { admission: 'approved' });
    const refused = problemOf(
      await h.ask('operator', 'PUT', 'hypervisors/hv1', { admission: 'lost' }),
      'auth.forbidden',
    );
    expect(refused.errors[0]?.field).toBe('/admission');
    const apply = { resources: [{ path: 'hypervisors/hv1', spec: { admission: 'lost' } }] };
    expect(problemOf(await h.ask('operator', 'POST', 'apply', apply), 'auth.forbidden').errors[0]?.field).toBe(
      '/resources/0/spec/admission',
    );
    // To delete it gives its ids away just as well.
    problemOf(await h.ask('operator', 'DELETE', 'hypervisors/hv1'), 'auth.forbidden');
    expect((await h.ask('admin', 'PUT', 'hypervisors/hv1', { admission: 'lost' })).status).toBe(200);
    // What is lost already may be put again, as read, by whoever may write it.
    const read = await h.ask('operator', 'GET', 'hypervisors/hv1');
    expect((await h.ask('operator', 'PUT', 'hypervisors/hv1', read.body)).status).toBe(200);
    expect((await h.ask('operator', 'DELETE', 'hypervisors/hv1')).status).toBe(204);
    problemOf(await h.ask('operator', 'DELETE', 'hypervisors/hv1'), 'resource.not-found');
  });
});

test('a binding is part of what the orchestrator reads of a port', async () => {
  await order();
  const path = `${network}/ports/web1`;
  expect((await h.ask('orchestrator', 'GET', path)).body.binding).toBeNull();
  h.fleet.bindings.set(path, { hypervisor: 'hv1', interface: 'vif1', ofport: 7, zone: 3 });
  expect((await h.ask('orchestrator', 'GET', path)).body.binding).toEqual({
    hypervisor: 'hv1',
    interface: 'vif1',
    ofport: 7,
    zone: 3,
  });
  expect(await h.ask('acme', 'GET', path).then(({ body }) => Object.keys(body))).not.toContain('binding');
});

test('opting out of port security is for admin and orchestrator, and every change of it is in the audit', async () => {
  await order();
  const port = `${network}/ports/web1`;
  const own = await h.ask('acme', 'PUT', port, { tier: 'web', portSecurity: false });
  expect(problemOf(own, 'auth.forbidden').errors).toMatchObject([{ field: '/portSecurity' }]);
  expect((await h.ask('orchestrator', 'PUT', port, { tier: 'web', portSecurity: false })).status).toBe(200);
  // Who cannot see it keeps it.
  const kept = await h.ask('acme', 'PUT', port, { tier: 'web', description: 'x' });
  expect(kept.body).toMatchObject({ description: 'x' });
  expect(kept.body).not.toHaveProperty('portSecurity');
  expect((await h.ask('admin', 'GET', port)).body.portSecurity).toBe(false);
  await h.ask('admin', 'POST', 'apply', { resources: [{ path: port, spec: { tier: 'web' } }] });
  const { items } = (await h.ask('admin', 'GET', 'audit?limit=3')).body;
  expect(items.map((one: { action: string; members?: object[] }) => [one.action, one.members])).toEqual([
    ['apply', [{ path: port, member: 'portSecurity', from: false }]],
    ['put', undefined],
    ['put', [{ path: port, member: 'portSecurity', to: false }]],
  ]);
});
