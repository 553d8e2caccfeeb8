import { afterEach, beforeEach, expect, test } from 'vitest';
import { Double } from './double.ts';
import { cli as run } from './support.ts';

let double: Double;
beforeEach(async () => {
  double = await Double.start();
});
afterEach(() => double.stop());

const cli = (argv: readonly string[]) => run(argv, { env: { KEYWAY_URL: double.url } });

const web1 = { stage: 'classifier', path: 'tenants/acme/networks/shop/ports/web1', text: 'a bound port' };
const base = { stage: 'output', text: 'the pipeline itself' };
const flow = (table: number, tableName: string, priority: number, text: string, purpose: object, stats = {}) => ({
  text,
  table,
  tableName,
  priority,
  cookie: '0x1000000000007',
  purpose,
  ...stats,
});

const first = flow(0, 'Classifier', 100, 'cookie=0x7, table=0, priority=100,in_port=5 actions=drop', web1, {
  packets: 3,
  bytes: 180,
  duration: 12.5,
});
const second = flow(0, 'Classifier', 90, 'cookie=0x7, table=0, priority=90,in_port=6 actions=drop', base, {
  packets: 0,
  bytes: 0,
  duration: 1,
});
const third = flow(60, 'Output', 100, 'cookie=0x7, table=60, priority=100,reg1=0x5 actions=output:5', web1);

test('dump groups by table and says whom each flow serves', async () => {
  double.scripted.set('GET /v1/hypervisors/hv1/flows', { status: 200, body: { flows: [third, second, first] } });
  const { status, stdout } = await cli([
    'flows',
    'dump',
    'hv1',
    '--tenant',
    'acme',
    '--table',
    'Classifier',
    '--port',
    'acme/shop/web1',
    '--desired',
  ]);
  expect(status).toBe(0);
  expect(stdout).toBe(`# hv1: 3 desired flows
# table 0 Classifier (2)
# port acme/shop/web1
cookie=0x7, duration=12.5s, table=0, n_packets=3, n_bytes=180, priority=100,in_port=5 actions=drop
# the pipeline itself
cookie=0x7, duration=1s, table=0, n_packets=0, n_bytes=0, priority=90,in_port=6 actions=drop

# table 60 Output (1)
# port acme/shop/web1
cookie=0x7, table=60, priority=100,reg1=0x5 actions=output:5
`);
  expect(double.last('GET').query).toEqual({
    which: 'desired',
    tenant: 'acme',
    table: 'Classifier',
    port: 'tenants/acme/networks/shop/ports/web1',
  });
  expect(JSON.parse((await cli(['flows', 'dump', 'hv1', '-o', 'json'])).stdout).flows).toHaveLength(3);
  expect(double.last('GET').query).toEqual({ which: 'installed' });
});

test('diff exits with 1 when there is a difference', async () => {
  const path = 'GET /v1/hypervisors/hv1/drift';
  double.scripted.set(path, { status: 200, body: { missing: [], extra: [], different: [] } });
  expect(await cli(['flows', 'diff', 'hv1'])).toMatchObject({
    status: 0,
    stdout: 'hv1: installed flows are the desired ones.\n',
  });
  double.scripted.set(path, {
    status: 200,
    body: { missing: [third], extra: [second], different: [{ desired: third, installed: first }] },
  });
  const { status, stdout } = await cli(['flows', 'diff', 'hv1']);
  expect(status).toBe(1);
  expect(
    stdout
      .split('\n')
      .filter((line) => /^[-+] /.test(line))
      .map((line) => line.slice(0, 25)),
  ).toEqual([
    '+ cookie=0x7, table=60, p',
    '- cookie=0x7, duration=1s',
    '- cookie=0x7, duration=12',
    '+ cookie=0x7, table=60, p',
  ]);
  expect(stdout).toContain('hv1: 1 missing, 1 extra, 1 different.\n');
  expect((await cli(['flows', 'diff', 'hv1', '-o', 'json'])).status).toBe(1);
});

test.each([
  [['0x10A7'], { cookie: '0x10a7' }],
  [['cookie=0x10a7'], { cookie: '0x10a7' }],
  [['4263'], { cookie: '0x10a7' }],
  [['table=0,priority=1', 'actions=drop'], { flow: 'table=0,priority=1 actions=drop' }],
])('explain %j', async (words, query) => {
  const explanation = {
    flow: first.text,
    stage: 'classifier',
    path: web1.path,
    text: ['Frames of the port', 'enter here'],
    hypervisors: ['hv1', 'hv2'],
  };
  double.scripted.set('GET /v1/explain', { status: 200, body: explanation });
  const { status, stdout } = await cli(['flows', 'explain', ...words]);
  expect(status).toBe(0);
  expect(double.last('GET').query).toEqual(query);
  expect(stdout).toMatch(/^Serves: +port acme\/shop\/web1$/m);
  expect(stdout).toMatch(/^Means: +Frames of the port\n +enter here$/m);
  expect(stdout).toMatch(/^On: +hv1, hv2$/m);
});

test('what the controller refuses is told', async () => {
  double.refuse('GET /v1/hypervisors/hv1/flows', 'hypervisor.not-connected', 'hv1 is not connected');
  expect(await cli(['flows', 'dump', 'hv1'])).toMatchObject({
    status: 3,
    stderr: expect.stringContaining('ovs-vsctl show'),
  });
  expect(await cli(['flows', 'dump', 'a/b'])).toMatchObject({ status: 2 });
});
