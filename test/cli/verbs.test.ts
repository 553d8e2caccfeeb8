/** Every verb of every kind, against a small controller: what is sent, what is printed. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { kindModel } from '../../src/cli/model.ts';
import { splitLine } from '../../src/cli/shell-words.ts';
import { flagsFor } from '../../src/cli/values.ts';
import { Double, examples } from './double.ts';
import { type RunOptions, cli as run } from './support.ts';

let double: Double;
beforeEach(async () => {
  double = await Double.start();
});
afterEach(() => double.stop());

const cli = (argv: readonly string[], options: RunOptions = {}) =>
  run(argv, { ...options, env: { KEYWAY_URL: double.url, KEYWAY_TOKEN: 'secret', ...options.env } });

describe.each(examples)('$kind', ({ kind, definition, example }) => {
  const model = kindModel(kind);
  const name = [...example.parents, example.name].join('/');
  const path = `${model.parents.map((parent, i) => `${kindModel(parent).segment}/${example.parents[i]}/`).join('')}${definition.segment}/${example.name}`;
  const flags = splitLine(flagsFor(model, example.spec).join(' ')).words;

  test('create sends the spec and takes nothing that is there', async () => {
    const { status, stdout, stderr } = await cli([kind, 'create', name, ...flags, '--label', 'stage=test']);
    expect(stderr).toBe('');
    expect(stdout).toMatch(`created ${kind} ${name} (revision 1, programmed`);
    expect(status).toBe(0);
    const asked = double.last('PUT');
    expect(asked.path).toBe(`/v1/${path}`);
    expect(asked.body).toEqual({ ...example.spec, labels: { stage: 'test' } });
    expect(asked.headers).toMatchObject({ 'if-none-match': '*', authorization: 'Bearer secret' });
    const again = await cli([kind, 'create', name, ...flags]);
    expect(again.status).toBe(3);
    expect(again.stderr).toContain('resource.exists');
    expect(again.stderr).toContain(`Next: Change it: keyway ${kind} set ${name}`);
  });

  test('parents may be flags, environment or part of the name', async () => {
    if (model.parents.length === 0) return;
    const given = model.parents.flatMap((parent, i) => [`--${parent}`, example.parents[i]!]);
    expect(await cli([kind, 'create', example.name, ...given, ...flags])).toMatchObject({ status: 0 });
    const env = Object.fromEntries(
      model.parents.map((parent, i) => [`KEYWAY_${parent.toUpperCase()}`, example.parents[i]]),
    );
    expect(await cli([kind, 'get', example.name, '-o', 'name'], { env })).toMatchObject({
      status: 0,
      stdout: `${name}\n`,
    });
    expect(double.last('PUT').path).toBe(`/v1/${path}`);
    expect(double.last('GET').path).toBe(`/v1/${path}`);
  });

  test('get and list print every format', async () => {
    double.put(path, { ...example.spec, labels: { stage: 'test' } });
    const get = await cli([kind, 'get', name]);
    expect(get.stdout).toMatch(new RegExp(`^Name: +${name}$`, 'm'));
    expect(get.stdout).toMatch(/^Labels: +stage=test$/m);
    expect(get.stdout).toMatch(/^State: +programmed at revision 1$/m);
    expect(JSON.parse((await cli([kind, 'get', name, '-o', 'json'])).stdout)).toMatchObject({
      path,
      name: example.name,
      ...example.spec,
    });
    const parents = example.parents.length > 0 ? [example.parents.join('/')] : [];
    const table = await cli([kind, 'list', ...parents]);
    const titles = definition.columns.filter((column) => !column.wide).map((column) => column.title);
    expect(table.stdout.split('\n')[0]!.split(/\s+/)).toEqual(titles);
    expect(table.stdout.split('\n')[1]).toContain(example.name);
    const wide = await cli([kind, 'list', ...parents, '-o', 'wide']);
    expect(wide.stdout.split('\n')[0]!.split(/\s+/)).toEqual([
      ...definition.columns.map((column) => column.title),
      'LABELS',
    ]);
    expect(JSON.parse((await cli([kind, 'list', ...parents, '-o', 'json'])).stdout)).toMatchObject({
      items: [{ path, ...example.spec }],
      revision: 1,
    });
    expect((await cli([kind, 'list', ...parents, '-o', 'name'])).stdout).toBe(`${name}\n`);
  });

  test('what get and list print as YAML is what apply and plan read', async () => {
    double.put(path, { ...example.spec, labels: { stage: 'test' } });
    const parents = example.parents.length > 0 ? [example.parents.join('/')] : [];
    double.scripted.set('POST /v1/apply', {
      status: 200,
      body: { revision: 1, outcomes: [{ path, kind, outcome: 'unchanged' }] },
    });
    for (const command of [
      [kind, 'get', name, '-o', 'yaml'],
      [kind, 'list', ...parents, '-o', 'yaml'],
      [kind, 'list', ...parents, '-o', 'json'],
    ]) {
      const { stdout } = await cli(command);
      expect(await cli(['apply', '-f', '-'], { stdin: stdout })).toMatchObject({
        status: 0,
        stderr: '',
        stdout: 'Revision 1: 1 unchanged.\n',
      });
      expect(double.last('POST').body).toEqual({
        resources: [{ path, kind, spec: example.spec, labels: { stage: 'test' } }],
      });
    }
  });

  test('set changes what is named, keeps the rest, and tries again when another wrote', async () => {
    double.put(path, { ...example.spec, labels: { old: 'x' } });
    let interfered = false;
    double.scripted.set(`PUT /v1/${path}`, () => {
      if (!interfered) double.put(path, { ...example.spec, labels: { old: 'x', other: 'y' } });
      interfered = true;
      return undefined;
    });
    const { status, stdout, stderr } = await cli([kind, 'set', name, '--label', 'stage=test', '--label', 'old-']);
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(stdout).toContain(`changed ${kind} ${name}`);
    expect(double.resources.get(path)!.body).toMatchObject({ ...example.spec, labels: { other: 'y', stage: 'test' } });
    expect(double.asked.filter((one) => one.method === 'PUT').map((one) => one.headers['if-match'])).toEqual([
      '"1"',
      '"2"',
    ]);
    expect(await cli([kind, 'set', name])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining('Nothing to change'),
    });
  });

  test('delete takes several, and says who depends on it when refused', async () => {
    const other = `${path}-2`;
    double.put(path, example.spec);
    double.put(other, example.spec);
    const { status, stdout } = await cli([kind, 'delete', name, `${name}-2`, '--wait']);
    expect(status).toBe(0);
    expect(stdout).toBe(`deleted ${kind} ${name}\ndeleted ${kind} ${name}-2\n`);
    expect(double.last('DELETE').query).toEqual({ wait: 'programmed', timeout: '30000ms' });
    expect(await cli([kind, 'delete', name])).toMatchObject({
      status: 3,
      stderr: expect.stringContaining('resource.not-found'),
    });
    double.refuse(`DELETE /v1/${path}`, 'resource.in-use', 'Two depend on it', [
      { field: '', code: 'resource.in-use', message: 'port web1' },
    ]);
    expect((await cli([kind, 'delete', name])).stderr).toMatch(
      /Two depend on it\n {2}port web1\nNext: Delete the dependants/,
    );
  });

  test('a rehearsal changes nothing', async () => {
    double.scripted.set('POST /v1/apply', {
      status: 200,
      body: {
        revision: 3,
        outcomes: [{ path, kind, outcome: 'created' }],
        flows: [{ hypervisor: 'hv1', added: 4, changed: 1, removed: 0 }],
      },
    });
    const { status, stdout, stderr } = await cli([kind, 'create', name, ...flags, '--dry-run']);
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(stdout).toBe(
      `+ ${kind} ${name}\n\nHYPERVISOR  ADDED  CHANGED  REMOVED\nhv1             4        1        0\n\nPlan: 1 to create. Nothing was changed.\n`,
    );
    expect(double.last('POST').body).toEqual({ resources: [{ path, kind, spec: example.spec }], dryRun: true });
    expect(double.asked).toHaveLength(1);
  });
});

test('refusals name flags', async () => {
  double.refuse('PUT /v1/tenants/acme/networks/shop/rules/r', 'request.invalid', 'It does not fit', [
    { field: '/from/tier', code: 'request.invalid', message: 'no such tier' },
    { field: '/ports/0', code: 'request.invalid', message: 'not a port' },
    { field: '/labels/a', code: 'request.invalid', message: 'too long' },
    { field: '/elsewhere', code: 'request.invalid', message: 'unknown' },
  ]);
  const { status, stderr } = await cli([
    'rule',
    'create',
    'acme/shop/r',
    '--action',
    'allow',
    '--priority',
    '1',
    '--from',
    'tier=x',
    '--to',
    'any',
    '--protocol',
    'tcp',
    '--port',
    '0',
  ]);
  expect(status).toBe(3);
  expect(stderr.split('\n')).toEqual([
    'Error: The request does not fit the schema (request.invalid)',
    '  It does not fit',
    '  --from tier: no such tier',
    '  --port: not a port',
    '  --label: too long',
    '  /elsewhere: unknown',
    'Next: Mend what is named above; --help shows what each flag takes',
    '',
  ]);
});

test('set adds to and removes from lists, and leaves out what is unset', async () => {
  const path = 'tenants/acme/networks/shop/ports/web1';
  double.put(path, { tier: 'web', groups: ['a', 'b'], ips: ['10.0.0.1'], description: 'old' });
  const line = ['port', 'set', 'acme/shop/web1', '--add-group', 'c,a', '--remove-group', 'b', '--unset', 'description'];
  expect(await cli(line)).toMatchObject({ status: 0, stderr: '' });
  expect(double.resources.get(path)!.body).toMatchObject({ tier: 'web', groups: ['a', 'c'], ips: ['10.0.0.1'] });
  expect(double.resources.get(path)!.body).not.toHaveProperty('description');
  expect(await cli(['port', 'set', 'acme/shop/web1', '--remove-group', 'a,c'])).toMatchObject({ status: 0 });
  expect(double.resources.get(path)!.body).not.toHaveProperty('groups');
  expect(await cli(['port', 'set', 'acme/shop/web1', '--unset', 'tier'])).toMatchObject({ status: 2 });
});

test('a long list is read page by page, and filtered', async () => {
  for (let i = 0; i < 2100; i++)
    double.put(`tenants/t${String(i).padStart(4, '0')}`, {
      description: i % 2 ? 'odd' : 'even',
      labels: { n: String(i) },
    });
  const { stdout } = await cli(['tenant', 'list', '-o', 'name']);
  expect(stdout.split('\n')).toHaveLength(2101);
  expect(double.asked).toHaveLength(3);
  const names = async (...filter: string[]) =>
    (await cli(['tenant', 'list', '-o', 'name', ...filter])).stdout.trim().split('\n').filter(Boolean);
  expect(await names('--filter', 'description=odd')).toHaveLength(1050);
  expect(await names('--filter', 'description!=odd', '--filter', 'name=t00*')).toHaveLength(50);
  expect(await names('--label', 'n=7')).toEqual(['t0007']);
  expect(double.last('GET').query).toMatchObject({ label: 'n=7' });
  expect(await names('--label', 'm')).toEqual([]);
  expect(await names('--filter', 'description=odd', '--filter', 'name=t0001')).toEqual(['t0001']);
  expect(double.last('GET').query).toMatchObject({ description: 'odd' });
  expect(
    await names('--filter', 'label.n=9', '--filter', 'STATE=programmed', '--filter', 'status.state=prog*'),
  ).toEqual(['t0009']);
  expect(await cli(['tenant', 'list', '--filter', 'descripton=x'])).toMatchObject({
    status: 2,
    stderr: expect.stringContaining('Did you mean description?'),
  });
});

test('--all lists in every parent that is not named', async () => {
  for (const [tenant, network] of [
    ['acme', 'a'],
    ['acme', 'b'],
    ['globex', 'a'],
  ] as const) {
    double.put(`tenants/${tenant}`);
    double.put(`tenants/${tenant}/networks/${network}`);
    double.put(`tenants/${tenant}/networks/${network}/tiers/web`, { cidr: '10.0.0.0/24' });
  }
  expect((await cli(['tier', 'list', '--all', '-o', 'name'])).stdout).toBe('acme/a/web\nacme/b/web\nglobex/a/web\n');
  expect(
    (await cli(['tier', 'list', 'acme', '--all'])).stdout
      .split('\n')
      .slice(0, 3)
      .map((line) => line.split(/\s+/).slice(0, 3)),
  ).toEqual([
    ['NETWORK', 'NAME', 'CIDR'],
    ['a', 'web', '10.0.0.0/24'],
    ['b', 'web', '10.0.0.0/24'],
  ]);
  expect(JSON.parse((await cli(['tier', 'list', '--all', '-o', 'json'])).stdout).items[2]).toMatchObject({
    path: 'tenants/globex/networks/a/tiers/web',
  });
});

test.each([
  ['approve', 'approved'],
  ['drain', 'drained'],
  ['lost', 'lost'],
])('hypervisor %s', async (verb, admission) => {
  double.put('hypervisors/hv1', { admission: 'approved', systemId: 'a-b-c' });
  expect(await cli(['hypervisor', verb, 'hv1'])).toMatchObject({ status: 0, stderr: '' });
  expect(double.resources.get('hypervisors/hv1')!.body).toMatchObject({ admission, systemId: 'a-b-c' });
});

test('a hypervisor that waits for approval is brought in under its system-id', async () => {
  const waiting = { name: 'hv2', systemId: 'd-e-f', connected: false, status: { state: 'pending', conditions: [] } };
  double.scripted.set('GET /v1/hypervisors/hv2', { status: 200, body: waiting });
  expect(await cli(['hypervisor', 'approve', 'hv2'])).toMatchObject({ status: 0, stderr: '' });
  expect(double.last('PUT').headers['if-none-match']).toBe('*');
  expect(double.resources.get('hypervisors/hv2')!.body).toMatchObject({ admission: 'approved', systemId: 'd-e-f' });
});

test('a hypervisor that has not called yet can be approved by name', async () => {
  expect(await cli(['hypervisor', 'approve', 'hv3'])).toMatchObject({
    status: 0,
    stdout: expect.stringContaining('created hypervisor hv3'),
  });
  expect(double.last('PUT').body).toEqual({ admission: 'approved' });
});
