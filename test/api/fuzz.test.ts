/** Whatever is asked: an answer of the contract, never a fault of ours, and a change only where it says so. */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { definitions, kinds } from '../../src/intent/resources/index.ts';
import { problems } from '../../src/problems.ts';
import { everyKind, type Harness, harness, type Reply, shop, type Who } from './support.ts';

let h: Harness;
const network = 'tenants/acme/networks/shop';

beforeAll(async () => {
  h = await harness();
  await h.ask('admin', 'POST', 'apply', { resources: [...everyKind('acme'), ...shop('globex')] });
});
afterAll(() => h.close());

const name = fc.constantFrom(
  'acme',
  'globex',
  'shop',
  'web',
  'db',
  'web1',
  'databases',
  'gold',
  'new',
  'BAD',
  'a%2Fb',
  '%',
);
const path = fc.oneof(
  fc.constantFrom(
    'tenants/acme',
    network,
    `${network}/tiers/web`,
    `${network}/ports/web1`,
    `${network}/groups/databases`,
    `${network}/rules/web-to-db`,
    `${network}/routes/branch`,
    `${network}/steering/inspected`,
    `${network}/reservations/printers`,
    `${network}/public-ips/front`,
    `${network}/public-ips/more`,
    `${network}/nat-rules/https`,
    `${network}/nat-rules/more`,
    `${network}/vlan-attachments/storage`,
    `${network}/tiers/appliances`,
    'tenants/acme/peerings/shop-office',
    'provider-networks/internet',
    'ip-pools/public',
    'trunks/racks',
    'policies/no-telnet',
    'offerings/gold',
    'hypervisors/hv1',
    'apply',
    'tokens',
    'audit',
    'events',
    'where',
  ),
  fc
    .array(
      fc.oneof(
        name,
        fc.constantFrom(
          'tenants',
          'networks',
          'tiers',
          'ports',
          'groups',
          'rules',
          'routes',
          'steering',
          'peerings',
          'policies',
          'provider-networks',
          'ip-pools',
          'trunks',
          'public-ips',
          'nat-rules',
          'reservations',
          'vlan-attachments',
        ),
      ),
      {
        maxLength: 7,
      },
    )
    .map((s) => s.join('/')),
);
const scalar = fc.oneof(
  fc.constantFrom<unknown>(
    'web',
    'basic',
    '10.0.9.0/24',
    '10.0.1.10',
    '10.0.0.1/16',
    'tcp',
    'allow',
    '80',
    '0.0.0.0/0',
    '255.255.255.255',
    'fd00:0:0:1::10',
    'fd07::/64',
    '::ffff:10.0.0.1',
    'fe80::1',
    'icmpv6',
    '203.0.113.20',
    '203.0.113.10-203.0.113.11',
    '10.0.1.9-10.0.1.5',
    '100-199',
    '0-70000',
    'source',
    'static',
    'port-forward',
    '169.254.140.0/24',
  ),
  fc.constantFrom<unknown>(null, true, 0, 1, -1, 1.5, 1e300, '', '\u0000', '\ud800', '__proto__'),
  fc.string(),
);
const members = [
  ...new Set(kinds.flatMap((kind) => Object.keys(definitions[kind].spec.properties))),
  ...[
    'labels',
    'name',
    'uid',
    'status',
    'resources',
    'path',
    'spec',
    'dryRun',
    'prune',
    'wait',
    'timeout',
    'role',
    'tenant',
    '__proto__',
    'constructor',
  ],
];
const body = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    scalar,
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fc.constantFrom(...members), tie('value'), { maxKeys: 5 }),
  ),
})).value;
const query = fc.dictionary(
  fc.constantFrom('limit', 'cursor', 'label', 'tier', 'wait', 'timeout', 'since', 'path', 'q', 'status', 'colour'),
  fc.oneof(fc.constantFrom('1', '0', 'a=b', 'programmed', '5ms', 'tenants/acme', 'web', ''), fc.string()),
  { maxKeys: 3 },
);
const header = fc.dictionary(
  fc.constantFrom('if-match', 'if-none-match'),
  fc.constantFrom('*', '"1"', 'W/"1"', '1', '"', '"1", "2"', ',', ''),
  { maxKeys: 1 },
);

function judge(answer: Reply): void {
  expect(answer.status, answer.text).not.toBe(500);
  if (answer.status < 400) return;
  const { code, status } = answer.body as { code: keyof typeof problems; status: number };
  expect(answer.headers['content-type'], answer.text).toBe('application/problem+json');
  expect(problems[code]?.status, answer.text).toBe(answer.status);
  expect(status).toBe(answer.status);
}

test('any request', async () => {
  const method = fc.constantFrom('GET', 'PUT', 'PUT', 'POST', 'DELETE', 'HEAD', 'PATCH');
  const who = fc.constantFrom<Who | undefined>('admin', 'orchestrator', 'operator', 'acme', 'globex', undefined);
  await fc.assert(
    fc.asyncProperty(
      who,
      method,
      path,
      query,
      header,
      body,
      async (asker, verb, where, parameters, headers, payload) => {
        const before = h.store.revision;
        const search = new URLSearchParams(parameters).toString();
        const sends = verb !== 'GET' && verb !== 'HEAD';
        const answer = await h.ask(asker, verb, `${where}?${search}`, sends ? JSON.stringify(payload) : undefined, {
          ...headers,
          ...(sends && { 'content-type': 'application/json' }),
        });
        if (verb !== 'HEAD') judge(answer);
        // A wait that ran out is the one refusal of something that stands.
        if (answer.status >= 400 && answer.status !== 504) expect(h.store.revision).toBe(before);
        if (asker === undefined && where !== '') expect([400, 401, 404, 405]).toContain(answer.status);
      },
    ),
    { numRuns: 600 },
  );
});

test('any resource of a kind: what is accepted can be put back as it is read', async () => {
  const kind = fc.constantFrom('tier', 'port', 'group', 'rule');
  const end = fc.constantFrom(
    { any: true },
    { tier: 'web' },
    { tier: 'db', any: true },
    { group: 'databases' },
    { cidr: '10.0.0.0/8' },
    {},
  );
  const spec = fc.record(
    {
      tier: fc.constantFrom('web', 'db', 'none'),
      cidr: fc.constantFrom('10.0.9.0/24', '10.0.10.0/30', '10.0.1.0/24', '10.0.11.1/24'),
      ips: fc.uniqueArray(fc.constantFrom('10.0.1.20', '10.0.1.21', '10.0.2.20', '10.0.1.1'), { maxLength: 2 }),
      mac: fc.constantFrom('02:AA:00:00:00:01', '02:00:00:00:00:01', '01:00:00:00:00:00'),
      groups: fc.constantFrom([], ['databases'], ['none']),
      action: fc.constantFrom('allow', 'deny'),
      priority: fc.integer({ min: 0, max: 32_001 }),
      protocol: fc.constantFrom('any', 'tcp', 'icmp'),
      ports: fc.constantFrom(['80'], ['8080-8000'], ['1', '1']),
      from: end,
      to: end,
      description: fc.string({ maxLength: 5 }),
    },
    { requiredKeys: [] },
  );
  let accepted = 0;
  await fc.assert(
    fc.asyncProperty(kind, spec, async (of, whole) => {
      const own = Object.keys(definitions[of as 'tier'].spec.properties);
      const asked = Object.fromEntries(Object.entries(whole).filter(([member]) => own.includes(member)));
      const place = `${network}/${definitions[of as 'tier'].segment}/fuzzed`;
      const put = await h.ask('acme', 'PUT', place, asked);
      judge(put);
      if (put.status >= 300) return;
      accepted++;
      const read = await h.ask('acme', 'GET', place);
      expect(read.body).toEqual(put.body);
      const revision = h.store.revision;
      const again = await h.ask('acme', 'PUT', place, read.body, { 'if-match': String(read.headers.etag) });
      expect(again.body).toEqual(read.body);
      expect(h.store.revision).toBe(revision);
      expect((await h.ask('acme', 'DELETE', place)).status).toBe(204);
    }),
    { numRuns: 300 },
  );
  expect(accepted).toBeGreaterThan(10);
});
