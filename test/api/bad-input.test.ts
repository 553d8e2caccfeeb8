/** Everything "Bad input" names: each its own problem code, and nothing has changed. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Harness, harness, problemOf, shop, type Who } from './support.ts';

let h: Harness;
let revision: number;
const network = 'tenants/acme/networks/shop';

beforeAll(async () => {
  h = await harness();
  for (const tenant of ['acme', 'globex']) {
    const answer = await h.ask('admin', 'POST', 'apply', { resources: shop(tenant) });
    expect(answer.status, answer.text).toBe(200);
  }
  revision = h.store.revision;
});
afterAll(() => h.close());

const rule = {
  action: 'allow',
  priority: 5,
  from: { tier: 'web' },
  to: { any: true },
  protocol: 'tcp',
};

type Case = [name: string, code: string, method: string, path: string, body: unknown, fields: string[], who?: Who];

const cases: Case[] = [
  ['a wrong type', 'request.invalid', 'PUT', 'tenants/x', { description: 7 }, ['/description']],
  ['a number as text', 'request.invalid', 'PUT', `${network}/rules/r`, { ...rule, priority: '5' }, ['/priority']],
  ['a null', 'request.invalid', 'PUT', 'tenants/x', { description: null }, ['/description']],
  ['an unknown field', 'request.invalid', 'PUT', 'tenants/x', { colour: 'red' }, ['/colour']],
  [
    'an unknown field deep down',
    'request.invalid',
    'PUT',
    `${network}/rules/r`,
    { ...rule, to: { any: true, host: 'x' } },
    ['/to/host', '/to'],
  ],
  [
    'labels of the wrong form',
    'request.invalid',
    'PUT',
    'tenants/x',
    { labels: { _a: 'x', b: 1 } },
    ['/labels/_a', '/labels/b'],
  ],
  ['labels that are a list', 'request.invalid', 'PUT', 'tenants/x', { labels: [] }, ['/labels']],
  ['a missing field', 'request.invalid', 'PUT', 'tenants/acme/networks/n', { cidr: '10.9.0.0/16' }, ['/offering']],
  [
    'several faults at once',
    'request.invalid',
    'PUT',
    `${network}/rules/r`,
    { action: 'maybe', priority: 0, from: {}, to: { any: true } },
    ['/protocol', '/action', '/priority', '/from'],
  ],
  ['a body that is a list', 'request.invalid', 'PUT', 'tenants/x', [], []],
  ['a body that is a text', 'request.invalid', 'PUT', 'tenants/x', '"x"', []],
  ['no body', 'request.malformed', 'PUT', 'tenants/x', undefined, []],
  ['another name than that of the path', 'request.invalid', 'PUT', 'tenants/x', { name: 'y' }, ['/name']],
  ['a name in capitals', 'name.invalid', 'PUT', 'tenants/ACME', {}, []],
  ['a name of 64 letters', 'name.invalid', 'PUT', `tenants/${'a'.repeat(64)}`, {}, []],
  ['a name of 300 letters', 'name.invalid', 'PUT', `tenants/${'a'.repeat(300)}`, {}, []],
  ['a name with a slash in it', 'name.invalid', 'GET', 'tenants/a%2Fb', undefined, []],
  [
    'host bits in a network',
    'address.invalid',
    'PUT',
    'tenants/acme/networks/n',
    { offering: 'basic', cidr: '10.9.0.1/16' },
    ['/cidr'],
  ],
  [
    'an octet above 255',
    'address.invalid',
    'PUT',
    'tenants/acme/networks/n',
    { offering: 'basic', cidr: '10.999.0.0/16' },
    ['/cidr'],
  ],
  ['a tier outside its network', 'address.outside', 'PUT', `${network}/tiers/t`, { cidr: '192.168.0.0/24' }, ['/cidr']],
  ['tiers that overlap', 'address.overlap', 'PUT', `${network}/tiers/t`, { cidr: '10.0.1.128/25' }, ['/cidr']],
  [
    'a gateway outside its tier',
    'address.outside',
    'PUT',
    `${network}/tiers/t`,
    { cidr: '10.0.3.0/24', gateway: '10.0.4.1' },
    ['/gateway'],
  ],
  [
    'a MAC that the tenant has',
    'mac.in-use',
    'PUT',
    `${network}/ports/p`,
    { tier: 'web', mac: '02:00:00:00:00:01' },
    ['/mac'],
  ],
  [
    'an IP that the network has',
    'address.in-use',
    'PUT',
    `${network}/ports/p`,
    { tier: 'web', ips: ['10.0.1.10'] },
    ['/ips/0'],
  ],
  [
    'an IP outside the tier',
    'address.outside',
    'PUT',
    `${network}/ports/p`,
    { tier: 'web', ips: ['10.0.2.10'] },
    ['/ips/0'],
  ],
  [
    'an ifaceId that somebody has',
    'iface-id.in-use',
    'PUT',
    `${network}/ports/p`,
    { tier: 'web', ifaceId: 'TAKEN' },
    ['/ifaceId'],
  ],
  ['a reference to nothing', 'reference.dangling', 'PUT', `${network}/ports/p`, { tier: 'nowhere' }, ['/tier']],
  [
    'a reference into another network',
    'reference.dangling',
    'PUT',
    `${network}/rules/r`,
    { ...rule, from: { group: 'elsewhere' } },
    ['/from/group'],
  ],
  [
    'an offering that is not',
    'reference.dangling',
    'PUT',
    'tenants/acme/networks/n',
    { offering: 'lead', cidr: '10.9.0.0/16' },
    ['/offering'],
  ],
  [
    'a parent that is not',
    'resource.not-found',
    'PUT',
    'tenants/nobody/networks/n',
    { offering: 'basic', cidr: '10.9.0.0/16' },
    [''],
  ],
  [
    'a field that never changes',
    'resource.immutable',
    'PUT',
    `${network}/tiers/web`,
    { cidr: '10.0.8.0/24' },
    ['/cidr'],
  ],
  ['deletion of what has children', 'resource.in-use', 'DELETE', 'tenants/acme', undefined, ['']],
  ['deletion of what is named', 'resource.in-use', 'DELETE', `${network}/groups/databases`, undefined, ['', '']],
  ['deletion of what is built in', 'resource.built-in', 'DELETE', 'offerings/gold', undefined, ['']],
  ["another tenant's token, reading", 'auth.forbidden', 'GET', network, undefined, [], 'globex'],
  [
    "another tenant's token, writing",
    'auth.forbidden',
    'PUT',
    network,
    { offering: 'basic', cidr: '10.0.0.0/16' },
    [],
    'globex',
  ],
  [
    "another tenant's token, where there is nothing",
    'auth.forbidden',
    'GET',
    'tenants/acme/networks/none',
    undefined,
    [],
    'globex',
  ],
  [
    "another tenant's token, with a name that is none",
    'auth.forbidden',
    'GET',
    'tenants/acme/networks/NONE',
    undefined,
    [],
    'globex',
  ],
  [
    'a restricted field set by a tenant',
    'auth.forbidden',
    'PUT',
    `${network}/ports/p`,
    { tier: 'web', ifaceId: 'mine' },
    ['/ifaceId'],
    'acme',
  ],
  ['a query that means nothing', 'request.invalid', 'GET', 'tenants/acme?limit=5', undefined, ['?limit']],
  ['a path that is none', 'route.not-found', 'GET', 'planets', undefined, []],
  ['a path with a broken escape', 'route.not-found', 'GET', 'tenants/%zz', undefined, []],
];

test.each(cases)('%s: %s', async (_name, code, method, path, body, fields, who = 'admin') => {
  if (path.endsWith('/p') && (body as { ifaceId?: string })?.ifaceId === 'TAKEN') {
    const taken = (await h.ask('admin', 'GET', `${network}/ports/web1`)).body.ifaceId;
    body = { ...(body as object), ifaceId: taken };
  }
  const answer = await h.ask(
    who,
    method,
    path,
    body,
    typeof body === 'string' ? { 'content-type': 'application/json' } : {},
  );
  const problem = problemOf(answer, code);
  expect(problem.errors.map((e) => e.field)).toEqual(fields);
  expect(problem.advice).not.toBe('');
  expect(problem.detail).not.toBe('');
  expect(h.store.revision).toBe(revision);
});

describe('what is no JSON', () => {
  const put = (payload: string | Buffer, headers: Record<string, string> = {}) =>
    h.ask('admin', 'PUT', 'tenants/x', payload, { 'content-type': 'application/json', ...headers });

  test.each([
    ['half a document', '{"description":'],
    ['two documents', '{}{}'],
    ['a comma too many', '{"a":1,}'],
    ['a text without quotes', 'hello'],
    ['bytes that are no UTF-8', Buffer.from('{"description":"\xff"}', 'latin1')],
  ])('%s', async (_name, payload) => {
    const problem = problemOf(await put(payload), 'request.malformed');
    expect(problem.detail).toMatch(/JSON/);
    expect(h.store.revision).toBe(revision);
  });

  test('a prototype is a field like any other', async () => {
    for (const payload of ['{"__proto__":{"description":"x"}}', '{"labels":{"__proto__":"x"}}', '{"constructor":{}}']) {
      problemOf(await put(payload), 'request.invalid');
    }
    expect(({} as Record<string, unknown>).description).toBeUndefined();
    expect(h.store.revision).toBe(revision);
  });

  test('another content type, or none', async () => {
    problemOf(await put('{}', { 'content-type': 'text/plain' }), 'request.unsupported-media-type');
    problemOf(
      await put('a=b', { 'content-type': 'application/x-www-form-urlencoded' }),
      'request.unsupported-media-type',
    );
    const charset = await h.ask('admin', 'PUT', 'tenants/acme', '{"description":"Sells things"}', {
      'content-type': 'Application/JSON; charset=utf-8',
    });
    expect(charset.status, charset.text).toBe(200);
    expect(h.store.revision).toBe(revision);
  });

  test('a DELETE may announce JSON and send none', async () => {
    problemOf(
      await h.ask('admin', 'DELETE', 'tenants/nobody', undefined, { 'content-type': 'application/json' }),
      'resource.not-found',
    );
  });
});

describe('a body of 5 MB', () => {
  const large = { description: 'x'.repeat(5_000_000) };

  test('is refused everywhere but at apply', async () => {
    const problem = problemOf(await h.ask('admin', 'PUT', 'tenants/x', large), 'request.too-large');
    expect(problem.detail).toContain('4 MiB');
    problemOf(await h.ask('admin', 'POST', 'tokens', large), 'request.too-large');
    expect(h.store.revision).toBe(revision);
  });

  test('is read by apply, up to 16 MiB', async () => {
    const resources = [{ path: 'tenants/x', spec: large }];
    const problem = problemOf(await h.ask('admin', 'POST', 'apply', { resources }), 'request.invalid');
    expect(problem.errors[0]?.field).toBe('/resources/0/spec/description');
    const larger = { resources: [{ path: 'tenants/x', spec: { description: 'x'.repeat(17 << 20) } }] };
    expect(problemOf(await h.ask('admin', 'POST', 'apply', larger), 'request.too-large').detail).toContain('16 MiB');
    expect(h.store.revision).toBe(revision);
  });
});

test('a method the path does not take names those it does', async () => {
  const posted = await h.ask('admin', 'POST', 'tenants/acme', {});
  problemOf(posted, 'method.not-allowed');
  expect(posted.headers.allow).toBe('DELETE, GET, HEAD, PUT');
  const patched = await h.ask('admin', 'PATCH', `${network}/ports/web1`, {});
  problemOf(patched, 'method.not-allowed');
  expect((await h.ask(undefined, 'DELETE', '/openapi.json')).headers.allow).toBe('GET, HEAD');
});

describe('a token', () => {
  const get = (headers: Record<string, string>) => h.ask(undefined, 'GET', 'tenants/acme', undefined, headers);

  test('must be there', async () => {
    for (const headers of [{}, { authorization: '' }, { authorization: 'Basic YTpi' }, { authorization: 'Bearer' }]) {
      const answer = await get(headers as Record<string, string>);
      problemOf(answer, 'auth.missing');
      expect(answer.headers['www-authenticate']).toBe('Bearer realm="keyway"');
    }
  });

  test('must be one of ours', async () => {
    const last = h.secrets.admin.at(-1) === 'a' ? 'b' : 'a';
    for (const secret of ['x', 'x'.repeat(10_000), h.secrets.admin.slice(0, -1) + last, `${h.secrets.admin}x`]) {
      const answer = await get({ authorization: `Bearer ${secret}` });
      problemOf(answer, 'auth.invalid');
      expect(answer.headers['www-authenticate']).toBeDefined();
    }
    expect((await get({ authorization: `bEARER  ${h.secrets.admin} ` })).status).toBe(200);
  });

  test('is asked for before the body is read', async () => {
    problemOf(await h.ask(undefined, 'PUT', 'tenants/x', '{', { 'content-type': 'application/json' }), 'auth.missing');
    problemOf(await h.ask('globex', 'PUT', network, '{', { 'content-type': 'application/json' }), 'auth.forbidden');
  });
});

describe('what nobody foresaw', () => {
  test('is answered without a word of it; the log has it under the id', async () => {
    h.fleet.status = () => {
      throw new Error('something private');
    };
    try {
      const answer = await h.ask('admin', 'GET', 'tenants/acme');
      const problem = problemOf(answer, 'internal');
      expect(answer.text).not.toContain('private');
      const { instance } = problem as unknown as { instance: string };
      const line = h.log.find(({ request }) => instance === `urn:uuid:${String(request)}`);
      expect(JSON.stringify(line)).toContain('something private');
    } finally {
      // The instance's own member hides the one of its class.
      delete (h.fleet as { status?: unknown }).status;
    }
    expect((await h.ask('admin', 'GET', 'tenants/acme')).status).toBe(200);
  });
});

test('a disk that refuses is told, and nothing has changed', async () => {
  const { MemoryDisk } = await import('../../src/store/memory.ts');
  const disk = new MemoryDisk();
  const own = await harness({ disk });
  try {
    disk.refusal = new Error('no space left on device');
    problemOf(await own.ask('admin', 'PUT', 'tenants/acme', {}), 'store.unavailable');
    disk.refusal = undefined;
    problemOf(await own.ask('admin', 'GET', 'tenants/acme'), 'resource.not-found');
  } finally {
    disk.refusal = undefined;
    await own.close();
  }
});
