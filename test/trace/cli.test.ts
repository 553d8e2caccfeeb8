/** `keyway trace` and `keyway connectivity check` against a scripted controller: what is asked, and how it reads. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Double } from '../cli/double.ts';
import { cli as run } from '../cli/support.ts';

let double: Double;
beforeEach(async () => {
  double = await Double.start();
});
afterEach(() => double.stop());

const cli = (line: string) => run(line.split(' '), { env: { KEYWAY_URL: double.url } });

const way = (from: string, to: string, probes: string, arrived: number[]) => ({
  from,
  to,
  probes,
  sizes: [60, 1294, 1472].map((size) => ({ size, arrived: arrived.includes(size) })),
  bfd: 'up',
});

test('connectivity: a table, worst first as it comes, exit status 1 when something is broken', async () => {
  const broken = {
    a: 'hv1',
    b: 'hv3',
    state: 'fail',
    ways: [way('hv1', 'hv3', 'partly', [60, 1294]), way('hv3', 'hv1', 'all', [60, 1294, 1472])],
    found: 'Too big is lost',
    advice: 'Raise the MTU',
  };
  const whole = {
    a: 'hv1',
    b: 'hv2',
    state: 'ok',
    ways: [way('hv1', 'hv2', 'all', [60, 1294, 1472]), way('hv2', 'hv1', 'all', [60, 1294, 1472])],
    found: 'Every probe arrives',
    advice: '',
  };
  double.scripted.set('POST /v1/connectivity', { status: 200, body: { at: 1, worst: 'fail', pairs: [broken, whole] } });
  const { status, stdout } = await cli('connectivity check --hypervisors hv1,hv2');
  expect(status).toBe(1);
  expect(double.last('POST').body).toEqual({ hypervisors: ['hv1', 'hv2'] });
  expect(stdout.split('\n')).toEqual([
    'STATE  BETWEEN   THERE   BACK  SIZES       BFD     FOUND                WHAT TO DO',
    'fail   hv1, hv3  partly  all   1294, 1472  up, up  Too big is lost      Raise the MTU',
    'ok     hv1, hv2  all     all   1472, 1472  up, up  Every probe arrives  -',
    '',
  ]);
  double.scripted.set('POST /v1/connectivity', { status: 200, body: { at: 1, worst: 'ok', pairs: [] } });
  expect(await cli('connectivity check')).toMatchObject({
    status: 0,
    stdout: '',
    stderr: expect.stringMatching(/no tunnel/),
  });
  expect(double.last('POST').body).toEqual({});
});

test('trace: what is asked of the controller', async () => {
  const answer = {
    asked: { from: 'x', source: '10.0.0.1', destination: '10.0.0.2', protocol: 'tcp', state: 'new', length: 98 },
    hops: [],
    verdict: {
      outcome: 'refused',
      reason: 'rules',
      text: 'No rule',
      decisions: [],
      needs: ['an allow rule \u001b[31m'],
    },
    live: { sent: true, arrived: false, text: 'sent' },
  };
  double.scripted.set('POST /v1/trace', { status: 200, body: answer });
  const all = '--proto udp --dport 53 --sport 5 --state reply --source 10.0.0.9 --ttl 3 --length 200 --live';
  const { status, stdout } = await cli(`trace --from acme/shop/a --to fd00::1 ${all}`);
  expect(status).toBe(1);
  expect(double.last('POST').body).toEqual({
    from: 'tenants/acme/networks/shop/ports/a',
    to: 'fd00::1',
    protocol: 'udp',
    ports: { source: 5, destination: 53 },
    state: 'reply',
    source: '10.0.0.9',
    ttl: 3,
    length: 200,
    live: true,
  });
  expect(stdout).toMatch(/^REFUSED {2}No rule\.$/m);
  expect(stdout).toMatch(/^ {2}needs {2}an allow rule \\u001b\[31m$/m);
  await cli('trace --from b --to c --tenant acme --network shop --icmp 3/1');
  expect(double.last('POST').body).toEqual({
    from: 'tenants/acme/networks/shop/ports/b',
    to: 'tenants/acme/networks/shop/ports/c',
    protocol: 'icmp',
    icmp: { type: 3, code: 1 },
  });
});

test.each([
  ['trace --to 10.0.0.1', /--from/],
  ['trace --from a/b/c', /--to/],
  ['trace --from a --to 10.0.0.1', /Which tenant and network/],
  ['trace --from a/b/c --to 10.0.0.1 --dport http', /--dport http: not a number/],
  ['trace --from a/b/c --to 10.0.0.1 --icmp ping', /neither TYPE nor TYPE\/CODE/],
])('%s is a mistake', async (line, told) => {
  const { status, stderr } = await cli(line);
  expect(status).toBe(2);
  expect(stderr).toMatch(told);
});
