/** Who may what: every route, every role. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Harness, harness, problemOf, shop, type Who } from './support.ts';

let h: Harness;
beforeAll(async () => {
  h = await harness();
  for (const tenant of ['acme', 'globex']) await h.ask('admin', 'POST', 'apply', { resources: shop(tenant) });
  await h.ask('admin', 'PUT', 'hypervisors/hv1', { admission: 'approved' });
  h.fleet.add('hv1');
});
afterAll(() => h.close());

const network = 'tenants/acme/networks/shop';
const policy = {
  action: 'deny',
  priority: 1,
  from: { any: true },
  to: { any: true },
  protocol: 'any',
  tenants: ['acme'],
};
const group = { description: 'x' };
const columns: readonly (Who | undefined)[] = ['admin', 'operator', 'orchestrator', 'acme', 'globex', undefined];

/** `+` may, `-` may not (403), `?` no token (401); in the order of `columns`. */
const matrix: [method: string, path: string, who: string, body?: unknown][] = [
  ['GET', 'offerings', '+++++?'],
  ['GET', 'offerings/gold', '+++++?'],
  ['PUT', 'offerings/silver', '+----?', { services: ['rules'] }],
  ['DELETE', 'offerings/silver', '+----?'],
  ['GET', 'hypervisors', '+++--?'],
  ['GET', 'hypervisors/hv1', '+++--?'],
  ['PUT', 'hypervisors/hv1', '++---?', { admission: 'approved' }],
  ['DELETE', 'hypervisors/hv9', '++---?'],
  ['GET', 'hypervisors/hv1/flows', '++---?'],
  ['GET', 'hypervisors/hv1/drift', '++---?'],
  ['GET', 'hypervisors/hv1/interfaces', '+++--?'],
  ['GET', 'gateway-hosts/hv1/services', '++---?'],
  ['GET', 'explain?cookie=0x1', '++---?'],
  ['GET', 'where?q=10.0.1.10', '+++++?'],
  ['POST', 'connectivity', '++---?', {}],
  ['POST', 'trace', '++++-?', { from: `${network}/ports/web1`, to: '10.0.1.10' }],
  ['GET', 'usage?tenant=acme', '++++-?'],
  ['GET', `${network}/ports/web1/usage`, '++++-?'],
  ['GET', `${network}/public-ips/none/usage`, '++++-?'],
  ['GET', 'policies', '++---?'],
  ['GET', 'policies/none', '++---?'],
  ['GET', 'policies/none/hits', '++---?'],
  ['PUT', 'policies/p', '++---?', policy],
  ['DELETE', 'policies/none', '++---?'],
  ['GET', 'quotas', '++---?'],
  ['GET', 'quotas/none', '++---?'],
  ['PUT', 'quotas/initech', '+----?', { networks: 3 }],
  ['DELETE', 'quotas/none', '+----?'],
  ['GET', 'provider-networks', '+++--?'],
  ['GET', 'provider-networks/none', '+++--?'],
  ['PUT', 'provider-networks/p', '+----?', { physicalNetwork: 'physnet1' }],
  ['DELETE', 'provider-networks/none', '+----?'],
  ['GET', 'ip-pools', '+++--?'],
  ['GET', 'ip-pools/none', '+++--?'],
  ['PUT', 'ip-pools/p', '+----?', { providerNetwork: 'p', cidr: '203.0.113.0/24', gateway: '203.0.113.1' }],
  ['DELETE', 'ip-pools/none', '+----?'],
  ['GET', 'trunks', '+++--?'],
  ['GET', 'trunks/none', '+++--?'],
  ['PUT', 'trunks/t', '+----?', { physicalNetwork: 'physnet2', vlans: ['100-199'] }],
  ['DELETE', 'trunks/none', '+----?'],
  ['GET', `${network}/vlan-attachments`, '+++--?'],
  ['GET', `${network}/vlan-attachments/none`, '+++--?'],
  ['PUT', `${network}/vlan-attachments/a`, '+-+--?', { trunk: 't', tier: 'db' }],
  ['DELETE', `${network}/vlan-attachments/none`, '+-+--?'],
  ['GET', `${network}/public-ips`, '++++-?'],
  ['PUT', `${network}/public-ips/front`, '+-++-?', {}],
  ['GET', `${network}/nat-rules/none`, '++++-?'],
  ['PUT', `${network}/nat-rules/out`, '+-++-?', { type: 'source', publicIp: 'front' }],
  ['GET', `${network}/reservations`, '++++-?'],
  ['DELETE', `${network}/reservations/none`, '+-++-?'],
  ['GET', 'tenants', '+++--?'],
  ['GET', 'tenants/acme', '++++-?'],
  ['PUT', 'tenants/acme', '+-+--?', { description: 'x' }],
  ['DELETE', 'tenants/none', '+-+--?'],
  ['GET', 'tenants/acme/networks', '++++-?'],
  ['GET', network, '++++-?'],
  ['PUT', network, '+-++-?', { offering: 'basic', cidr: '10.0.0.0/16' }],
  ['DELETE', `${network}x`, '+-++-?'],
  ['GET', `${network}/tiers`, '++++-?'],
  ['PUT', `${network}/tiers/web`, '+-++-?', { cidr: '10.0.1.0/24' }],
  ['GET', `${network}/ports/web1`, '++++-?'],
  ['PUT', `${network}/ports/web1`, '+-++-?', { tier: 'web' }],
  ['GET', `${network}/groups`, '++++-?'],
  ['PUT', `${network}/groups/g`, '+-++-?', group],
  ['DELETE', `${network}/groups/h`, '+-++-?'],
  ['GET', `${network}/rules/web-to-db`, '++++-?'],
  ['GET', `${network}/rules/web-to-db/hits`, '++++-?'],
  ['DELETE', `${network}/rules/none`, '+-++-?'],
  ['PUT', `${network}/routes/r`, '+-++-?', { destination: '192.168.7.0/24', nextHop: '10.0.1.10' }],
  ['GET', `${network}/steering`, '++++-?'],
  ['DELETE', `${network}/steering/none`, '+-++-?'],
  ['GET', 'tenants/acme/peerings', '++++-?'],
  ['GET', 'tenants/acme/peerings/none', '++++-?'],
  ['PUT', 'tenants/acme/peerings/p', '+-++-?', { networks: ['shop', 'none'] }],
  ['DELETE', 'tenants/acme/peerings/none', '+-++-?'],
  ['POST', 'apply', '+-++-?', { resources: [{ path: `${network}/groups/g`, spec: group }] }],
  ['POST', 'apply', '++++-?', { resources: [] }],
  ['GET', 'events?since=1', '+++++?'],
  ['GET', 'events?since=1&path=tenants/acme', '++++-?'],
  ['GET', 'events?since=1&path=hypervisors/hv1', '+++--?'],
  ['POST', 'tokens', '+----?', { role: 'operator' }],
  ['GET', 'tokens', '++---?'],
  ['DELETE', 'tokens/0123456789abcdef', '+----?'],
  ['GET', 'audit', '++---?'],
  ['GET', 'recompute', '++---?'],
  ['POST', 'recompute', '++---?'],
  ['GET', 'doctor?quick=true', '++---?'],
  ['GET', 'backup', '+----?'],
  ['POST', 'compact', '+----?'],
];

describe.each(matrix)('%s %s', (method, path, expected, body) => {
  test(expected, async () => {
    for (const [i, who] of columns.entries()) {
      // An empty apply is nobody's business in particular.
      if (
        method === 'POST' &&
        path === 'apply' &&
        who === 'globex' &&
        (body as { resources: [] }).resources.length === 0
      )
        continue;
      const answer = await h.ask(who, method, path, body);
      const may = expected[i];
      if (may === '-') problemOf(answer, 'auth.forbidden');
      else if (may === '?') problemOf(answer, 'auth.missing');
      else if (answer.status === 401 || answer.status === 403 || answer.status >= 500)
        throw new Error(`${who} ${method} ${path}: ${answer.status} ${answer.text}`);
    }
  });
});

test('every route under /v1 is in the matrix', async () => {
  const { paths } = (await h.ask(undefined, 'GET', '/openapi.json')).body as { paths: Record<string, object> };
  const routes = Object.entries(paths)
    .filter(([path]) => path.startsWith('/v1/'))
    .flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => [method.toUpperCase(), path.replace('/v1/', '')] as const),
    );
  expect(routes.length).toBeGreaterThan(30);
  /** `GET tenants/networks/{}`: names stand for nothing but that they are there. */
  const shape = (method: string, path: string) => {
    const steps = path.split('/');
    if (steps.length === 1) return `${method} ${path}`;
    return `${method} ${steps.filter((_, i) => i % 2 === 0).join('/')}${steps.length % 2 === 0 ? '/{}' : ''}`;
  };
  const asked = new Set(matrix.map(([method, path]) => shape(method, path.split('?')[0]!)));
  // What is asked for one kind of a network holds for the others: their definitions say the same.
  const children = /networks\/(tiers|ports|groups|rules|routes|steering|reservations|public-ips|nat-rules)/;
  const missing = routes
    .map(([method, path]) => shape(method, path))
    .filter((route) => !asked.has(route) && !children.test(route));
  expect(missing).toEqual([]);
});

describe('what a tenant is shown', () => {
  test('is nothing of keys, providers, bindings and ids', async () => {
    h.fleet.bindings.set(`${network}/ports/web1`, { hypervisor: 'hv1', interface: 'vif1', ofport: 7, zone: 3 });
    const shown = async (path: string) => Object.keys((await h.ask('acme', 'GET', path)).body);
    expect(await shown('tenants/acme')).not.toContain('key');
    expect(await shown('offerings/gold')).not.toContain('providers');
    const port = await shown(`${network}/ports/web1`);
    for (const hidden of ['ifaceId', 'hypervisors', 'binding']) expect(port).not.toContain(hidden);
    for (const path of ['offerings', `${network}/ports`])
      expect((await h.ask('acme', 'GET', path)).text).not.toMatch(/providers|ifaceId|binding|juniper|hv1|vif1/);
    const full = (await h.ask('orchestrator', 'GET', `${network}/ports/web1`)).body;
    expect(full).toMatchObject({ ifaceId: expect.any(String), binding: { hypervisor: 'hv1' } });
    expect((await h.ask('operator', 'GET', 'tenants/acme')).body.key).toBeGreaterThan(0);
  });

  test('names no hypervisor in a status, and no revision of others', async () => {
    h.fleet.add('hv2', { connected: false });
    await h.ask('globex', 'PUT', 'tenants/globex/networks/shop/groups/later', {});
    const mine = (await h.ask('acme', 'GET', network)).body;
    const full = (await h.ask('admin', 'GET', network)).body;
    expect(full.status.observedRevision).toBeGreaterThan(full.revision);
    expect(full.status.conditions[0].message).toContain('hv2');
    expect(mine.status).toMatchObject({
      state: 'degraded',
      observedRevision: mine.revision,
      programmedRevision: mine.revision,
    });
    expect(JSON.stringify(mine.status)).not.toMatch(/hv2|192\.0\.2/);
    expect(mine.status.conditions).toMatchObject([{ type: 'HypervisorUnreachable', status: 'True' }]);
    h.fleet.switches.delete('hv2');
  });

  test('is, of lists, events and apply, the revision of its own last change', async () => {
    const own = (await h.ask('acme', 'PUT', `${network}/groups/own`, {})).body.revision;
    await h.ask('globex', 'PUT', 'tenants/globex/networks/shop/groups/more', {});
    await h.ask('admin', 'PUT', 'hypervisors/hv7', { admission: 'approved' });
    expect((await h.ask('acme', 'GET', `${network}/groups`)).body.revision).toBe(own);
    expect((await h.ask('acme', 'GET', 'offerings')).body.revision).toBe(own);
    expect((await h.ask('acme', 'GET', `events?since=${own}`)).body).toEqual({ changes: [], next: own });
    const nothing = await h.ask('acme', 'POST', 'apply', { resources: [{ path: `${network}/groups/own`, spec: {} }] });
    expect(nothing.body).toEqual({
      revision: own,
      outcomes: [{ path: `${network}/groups/own`, kind: 'group', outcome: 'unchanged' }],
    });
    const cursor = (await h.ask('acme', 'GET', `${network}/groups?limit=1`)).body.next;
    expect(Buffer.from(cursor, 'base64url').toString()).not.toContain(String(h.intent.revision));
    expect((await h.ask('admin', 'GET', `${network}/groups`)).body.revision).toBe(h.store.revision);
  });

  test('is its own ports when it asks where an address is', async () => {
    const everywhere = (await h.ask('admin', 'GET', 'where?q=10.0.1.10')).body.ports;
    expect(everywhere.map(({ path }: { path: string }) => path).sort()).toEqual([
      `${network}/ports/web1`,
      'tenants/globex/networks/shop/ports/web1',
    ]);
    const own = await h.ask('globex', 'GET', 'where?q=10.0.1.10');
    expect(own.body.ports.map(({ path }: { path: string }) => path)).toEqual([
      'tenants/globex/networks/shop/ports/web1',
    ]);
    expect(own.text).not.toMatch(/binding|ifaceId/);
    const { ifaceId } = (await h.ask('admin', 'GET', `${network}/ports/web1`)).body;
    expect((await h.ask('admin', 'GET', `where?q=${ifaceId}`)).body.ports).toHaveLength(1);
    expect((await h.ask('acme', 'GET', `where?q=${ifaceId}`)).body.ports).toHaveLength(0);
  });
});
