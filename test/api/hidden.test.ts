/** What is the operator's in a tenant's network: transit tiers, their ports, VLAN attachments. The tenant sees nothing of it. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Follower } from './follower.ts';
import { type Harness, harness, problemOf, shop } from './support.ts';

const network = 'tenants/acme/networks/shop';
const hidden: { path: string; spec: object }[] = [
  { path: `${network}/tiers/inner`, spec: { transit: true, cidr: '169.254.140.0/24' } },
  { path: `${network}/ports/appliance`, spec: { tier: 'inner', ips: ['169.254.140.9'], mac: '02:00:00:00:00:77' } },
  { path: `${network}/reservations/inner`, spec: { tier: 'inner', range: '169.254.140.20-169.254.140.30' } },
  { path: `${network}/vlan-attachments/storage`, spec: { trunk: 'racks', tier: 'db' } },
];
const device = `${network}/ports/san`;

let h: Harness;
let start: number;
beforeAll(async () => {
  h = await harness();
  h.fleet.add('hv1');
  await h.ask('admin', 'POST', 'apply', { resources: shop('acme') });
  start = (await h.ask('admin', 'GET', network)).body.revision;
  const ordered = await h.ask('admin', 'POST', 'apply', {
    resources: [
      { path: 'trunks/racks', spec: { physicalNetwork: 'physnet2', vlans: ['100-199'] } },
      ...hidden,
      { path: device, spec: { tier: 'db', attachment: 'storage', mac: '02:00:00:00:00:5a', ips: ['10.0.2.90'] } },
    ],
  });
  expect(ordered.status, ordered.text).toBe(200);
});
afterAll(() => h.close());

const secrets = /169\.254|inner|appliance|storage|racks|physnet2|00:77/;

test('it is in no list and under no name, and in those of the operator', async () => {
  for (const { path } of hidden) {
    const collection = path.slice(0, path.lastIndexOf('/'));
    const own = await h.ask('acme', 'GET', collection);
    if (collection.endsWith('vlan-attachments')) problemOf(own, 'auth.forbidden');
    else expect(own.status).toBe(200);
    expect(own.text).not.toMatch(secrets);
    const one = await h.ask('acme', 'GET', path);
    problemOf(one, collection.endsWith('vlan-attachments') ? 'auth.forbidden' : 'resource.not-found');
    expect((await h.ask('orchestrator', 'GET', path)).status).toBe(200);
    expect((await h.ask('operator', 'GET', collection)).text).toContain(path.slice(path.lastIndexOf('/') + 1));
  }
});

test('a page of a list is full though some is passed over', async () => {
  const { items, next } = (await h.ask('acme', 'GET', `${network}/ports?limit=2`)).body;
  expect(items.map(({ name }: { name: string }) => name)).toEqual(['db1', 'san']);
  const rest = (await h.ask('acme', 'GET', `${network}/ports?limit=2&cursor=${next}`)).body;
  expect(rest.items.map(({ name }: { name: string }) => name)).toEqual(['web1']);
  expect(rest.next).toBeUndefined();
});

test('a device is a port like any other, without the attachment', async () => {
  const own = await h.ask('acme', 'GET', device);
  expect(own.body).toMatchObject({ tier: 'db', ips: ['10.0.2.90'] });
  expect(own.text).not.toMatch(secrets);
  const put = await h.ask('acme', 'PUT', device, { tier: 'db', description: 'SAN' });
  expect(put.status, put.text).toBe(200);
  expect((await h.ask('admin', 'GET', device)).body).toMatchObject({ attachment: 'storage', description: 'SAN' });
});

test('no event tells of it, old or new, nor does a status', async () => {
  const told = async (since: number) => (await h.ask('acme', 'GET', `events?since=${since}`)).text;
  expect(await told(start)).not.toMatch(secrets);
  expect((await h.ask('admin', 'GET', `events?since=${start}`)).text).toMatch(/appliance/);
  const url = await h.app.listen({ host: '127.0.0.1', port: 0 });
  const follower = new Follower(`${url.replace('http', 'ws')}/v1/events?since=${start}`, h.secrets.acme);
  try {
    await follower.opened;
    const extra = `${network}/tiers/inner-too`;
    await h.ask('admin', 'PUT', extra, { transit: true, cidr: '169.254.141.0/24' });
    await h.ask('admin', 'DELETE', extra);
    await h.ask('admin', 'DELETE', `${network}/reservations/inner`);
    await h.ask('admin', 'PUT', `${network}/groups/last`, {});
    await follower.until((message) => message.type === 'status' && String(message.path).endsWith('/groups/last'));
    expect(JSON.stringify(follower.messages)).toContain('groups/last');
    expect(JSON.stringify(follower.messages)).not.toMatch(secrets);
  } finally {
    follower.close();
  }
});

test('whoever asks where an address is finds no port of it', async () => {
  for (const q of ['169.254.140.9', '02:00:00:00:00:77', 'appliance']) {
    expect((await h.ask('acme', 'GET', `where?q=${q}`)).body).toMatchObject({ ports: [] });
    expect((await h.ask('admin', 'GET', `where?q=${q}`)).body.ports).toHaveLength(1);
  }
});

test('what is tried with it is answered as if it were not there', async () => {
  const absent = await h.ask('acme', 'POST', 'apply', {
    resources: [{ path: `${network}/tiers/inner`, delete: true }],
  });
  expect(absent.body.outcomes).toEqual([{ path: `${network}/tiers/inner`, kind: 'tier', outcome: 'unchanged' }]);
  problemOf(await h.ask('acme', 'DELETE', `${network}/ports/appliance`), 'resource.not-found');
  problemOf(await h.ask('acme', 'PUT', `${network}/tiers/inner`, { cidr: '10.0.9.0/24' }), 'auth.forbidden');
  problemOf(await h.ask('acme', 'PUT', `${network}/ports/p`, { tier: 'inner' }), 'reference.dangling');
  const inUse = await h.ask('acme', 'DELETE', network);
  problemOf(inUse, 'resource.in-use');
  expect(inUse.text).not.toMatch(secrets);
  for (const { path } of hidden.slice(0, 2)) expect((await h.ask('admin', 'GET', path)).status).toBe(200);
});

test('pools and provider networks are nothing to tenants; what they have of them is', async () => {
  await h.ask('admin', 'POST', 'apply', {
    resources: [
      { path: 'provider-networks/internet', spec: { physicalNetwork: 'physnet1' } },
      {
        path: 'ip-pools/public',
        spec: { providerNetwork: 'internet', cidr: '203.0.113.0/29', gateway: '203.0.113.1' },
      },
    ],
  });
  for (const path of [
    'provider-networks',
    'ip-pools',
    'trunks',
    'provider-networks/internet',
    'ip-pools/public',
    'trunks/racks',
  ])
    problemOf(await h.ask('acme', 'GET', path), 'auth.forbidden');
  const made = await h.ask('acme', 'PUT', `${network}/public-ips/front`, {});
  expect(made.status, made.text).toBe(201);
  expect(made.body).toMatchObject({ pool: 'public', address: '203.0.113.2' });
  expect((await h.ask('admin', 'GET', 'ip-pools/public')).body).toMatchObject({ used: 1, free: 4 });
  await h.ask('acme', 'DELETE', `${network}/public-ips/front`);
  expect((await h.ask('operator', 'GET', 'ip-pools')).body.items[0]).toMatchObject({ used: 0, free: 5 });
});
