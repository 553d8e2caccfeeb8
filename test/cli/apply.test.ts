/** Files: what is sent, what is told of it, and where in them a refusal points. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Double } from './double.ts';
import { cli as run } from './support.ts';

let double: Double;
let folder: string;
beforeEach(async () => {
  double = await Double.start();
  folder = await mkdtemp(join(tmpdir(), 'keyway-cli-'));
});
afterEach(async () => {
  await double.stop();
  await rm(folder, { recursive: true });
});

const cli = (argv: readonly string[], stdin?: string) => run(argv, { env: { KEYWAY_URL: double.url }, stdin });

const intent = `# A shop
resources:
  - path: tenants/acme
    spec: {}
  - path: tenants/acme/networks/shop
    spec:
      offering: basic
      cidr: 10.0.0.0/16
---
kind: rule
path: acme/shop/web-to-db
spec:
  action: allow
  priority: high
  from: {tier: web}
  to: {tier: db}
  protocol: tcp
`;

const outcomes = [
  { path: 'tenants/acme', kind: 'tenant', outcome: 'unchanged' },
  {
    path: 'tenants/acme/networks/shop',
    kind: 'network',
    outcome: 'replaced',
    changed: ['offering', 'description', 'labels'],
  },
  { path: 'tenants/acme/networks/shop/rules/web-to-db', kind: 'rule', outcome: 'created' },
  { path: 'tenants/old', kind: 'tenant', outcome: 'deleted' },
];

async function file(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
}

test('apply sends everything as one transaction, and waits when told', async () => {
  double.scripted.set('POST /v1/apply', { status: 200, body: { revision: 9, outcomes } });
  const path = await file('intent.yaml', intent);
  const { status, stdout, stderr } = await cli([
    'apply',
    '-f',
    path,
    '--prune',
    'label=app=shop',
    '--wait=all',
    '--timeout',
    '2m',
  ]);
  expect(stderr).toBe('');
  expect(status).toBe(0);
  expect(stdout).toBe(
    '~ network acme/shop\n+ rule acme/shop/web-to-db\n- tenant old\nRevision 9: 1 created, 1 replaced, 1 deleted, 1 unchanged.\n',
  );
  expect(double.last('POST').body).toEqual({
    resources: [
      { path: 'tenants/acme', kind: 'tenant', spec: {} },
      { path: 'tenants/acme/networks/shop', kind: 'network', spec: { offering: 'basic', cidr: '10.0.0.0/16' } },
      {
        path: 'tenants/acme/networks/shop/rules/web-to-db',
        kind: 'rule',
        spec: { action: 'allow', priority: 'high', from: { tier: 'web' }, to: { tier: 'db' }, protocol: 'tcp' },
      },
    ],
    prune: { label: 'app=shop' },
    wait: 'all',
    timeout: '120000ms',
  });
});

test('plan shows members that would change, and flows per switch; it changes nothing', async () => {
  double.put('tenants/acme/networks/shop', {
    offering: 'gold',
    cidr: '10.0.0.0/16',
    description: 'old',
    labels: { a: 'b' },
  });
  double.scripted.set('POST /v1/apply', {
    status: 200,
    body: { revision: 9, outcomes, flows: [{ hypervisor: 'hv1', added: 12, changed: 0, removed: 3 }] },
  });
  const path = await file('intent.yaml', intent);
  const { status, stdout, stderr } = await cli(['plan', '-f', path]);
  expect(stderr).toBe('');
  expect(status).toBe(0);
  expect(stdout).toBe(`~ network acme/shop
    offering: gold -> basic
    description: old -> -
    labels: a=b -> -
+ rule acme/shop/web-to-db
- tenant old

HYPERVISOR  ADDED  CHANGED  REMOVED
hv1            12        0        3

Plan: 1 to create, 1 to change, 1 to delete, 1 to leave as it is. Nothing was changed.
`);
  expect(double.last('POST').body).toMatchObject({ dryRun: true });
  expect((await cli(['plan', '-f', path, '--exit-code'])).status).toBe(1);
  expect((await cli(['apply', '-f', path, '--dry-run'])).stdout).toBe(stdout);
  expect(JSON.parse((await cli(['plan', '-f', path, '-o', 'json'])).stdout)).toMatchObject({ revision: 9, outcomes });
});

test('a refusal names file, line and document', async () => {
  double.refuse('POST /v1/apply', 'request.invalid', 'The resources do not fit', [
    { field: '/resources/2/spec/priority', code: 'request.invalid', message: 'must be integer' },
    { field: '/resources/1/spec/cidr', code: 'address.invalid', message: 'has host bits' },
    { field: '/resources/0', code: 'resource.changed', message: 'has changed' },
    { field: '/prune', code: 'request.invalid', message: 'no such label' },
  ]);
  const path = await file('intent.yaml', intent);
  const { status, stderr } = await cli(['apply', '-f', path]);
  expect(status).toBe(3);
  expect(stderr.split('\n').slice(1, 6)).toEqual([
    '  The resources do not fit',
    `  ${path}:14:13 (document 2): priority: must be integer`,
    `  ${path}:8:13 (document 1): cidr: has host bits`,
    `  ${path}:3:5 (document 1): has changed`,
    '  --prune: no such label',
  ]);
});

test('several files and standard input count on', async () => {
  double.refuse('POST /v1/apply', 'request.invalid', 'No', [
    { field: '/resources/1/spec/description', code: 'request.invalid', message: 'too long' },
  ]);
  const path = await file('a.json', '{"path": "tenants/acme", "spec": {}}');
  const { stderr } = await cli(['apply', '-f', path, '-f', '-'], 'path: tenants/globex\nspec:\n  description: x\n');
  expect(stderr).toContain('  standard input:3:16: description: too long');
});

test('what cannot be read is refused before anything is sent', async () => {
  const broken = await file('broken.yaml', 'path: tenants/acme\nspec: {description: "open}\n');
  const refused = await cli(['apply', '-f', broken]);
  expect(refused.status).toBe(2);
  expect(refused.stderr).toMatch(new RegExp(`^ {2}${broken}:\\d+:\\d+: `, 'm'));
  expect(await cli(['plan', '-f', join(folder, 'none.yaml')])).toMatchObject({
    status: 2,
    stderr: expect.stringContaining('cannot be read'),
  });
  expect(await cli(['plan', '-f', '-'], '# nothing\n')).toMatchObject({
    status: 2,
    stderr: expect.stringContaining('There is no resource'),
  });
  const twice = await file('twice.yaml', 'path: tenants/acme\n---\npath: tenants/acme\n');
  expect((await cli(['apply', '-f', twice])).stderr).toContain(`${twice}:3:1 (document 2)`);
  expect(await cli(['apply', '-f', twice, '--prune', 'shop'])).toMatchObject({ status: 2 });
  expect(await cli(['apply'])).toMatchObject({ status: 2, stderr: expect.stringContaining('needs --file FILE') });
  expect(double.asked).toEqual([]);
});

test('a time-out of the wait is no refusal: the write stands', async () => {
  double.refuse('POST /v1/apply', 'wait.timeout', 'Revision 9 is written and stands');
  const path = await file('a.json', '{"path": "tenants/acme"}');
  const { status, stderr } = await cli(['apply', '-f', path, '--wait']);
  expect(status).toBe(1);
  expect(stderr).toContain('The write stands');
});
