import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { DumpedFlow } from '../../src/api/context.ts';
import { type Harness, harness, problemOf, shop } from './support.ts';

let h: Harness;
const network = 'tenants/acme/networks/shop';

function flow(table: number, tableName: string, cookie: bigint, path: string | undefined): DumpedFlow {
  return {
    flow: { table, priority: 100, cookie, match: {}, actions: [] },
    text: `cookie=0x${cookie.toString(16)}, table=${table}, priority=100 actions=drop`,
    tableName,
    purpose: { stage: 'stage', path, text: path ?? 'the base of the pipeline' },
    stats: { packets: 2n ** 40n, bytes: 7n, duration: 1.5 },
  };
}

beforeAll(async () => {
  h = await harness();
  for (const tenant of ['acme', 'globex']) await h.ask('admin', 'POST', 'apply', { resources: shop(tenant) });
  for (const name of ['hv1', 'hv2']) await h.ask('admin', 'PUT', `hypervisors/${name}`, { admission: 'approved' });
  h.fleet.add('hv1');
  h.fleet.add('hv2', { connected: false });
  h.fleet.installed.push(
    flow(0, 'classify', 0n, undefined),
    flow(10, 'ingress', 1n, `${network}/ports/web1`),
    flow(10, 'ingress', 2n, `${network}/ports/db1`),
    flow(20, 'rules', 3n, `${network}/rules/web-to-db`),
    flow(10, 'ingress', 4n, 'tenants/globex/networks/shop/ports/web1'),
  );
});
afterAll(() => h.close());

describe('flows', () => {
  const cookies = async (query: string) => {
    const answer = await h.ask('operator', 'GET', `hypervisors/hv1/flows${query}`);
    expect(answer.status, answer.text).toBe(200);
    return answer.body.flows.map(({ cookie }: { cookie: string }) => cookie);
  };

  test('come with counters and what they serve', async () => {
    const { flows } = (await h.ask('operator', 'GET', 'hypervisors/hv1/flows?port=db1')).body;
    expect(flows).toEqual([
      {
        text: 'cookie=0x2, table=10, priority=100 actions=drop',
        table: 10,
        tableName: 'ingress',
        priority: 100,
        cookie: '0x2',
        packets: 2 ** 40,
        bytes: 7,
        duration: 1.5,
        purpose: { stage: 'stage', path: `${network}/ports/db1`, text: `${network}/ports/db1` },
      },
    ]);
    const [base] = (await h.ask('operator', 'GET', 'hypervisors/hv1/flows?table=classify')).body.flows;
    expect(base.purpose).toEqual({ stage: 'stage', text: 'the base of the pipeline' });
  });

  test('are filtered by tenant, table and port', async () => {
    expect(await cookies('')).toEqual(['0x0', '0x1', '0x2', '0x3', '0x4']);
    expect(await cookies('?tenant=acme')).toEqual(['0x1', '0x2', '0x3']);
    expect(await cookies('?table=10')).toEqual(['0x1', '0x2', '0x4']);
    expect(await cookies('?table=ingress&tenant=globex')).toEqual(['0x4']);
    expect(await cookies('?port=web1')).toEqual(['0x1', '0x4']);
    expect(await cookies(`?port=${network}/ports/web1`)).toEqual(['0x1']);
  });

  test('desired ones have no counters, and need no session', async () => {
    const answer = await h.ask('operator', 'GET', 'hypervisors/hv2/flows?which=desired');
    expect(answer.body.flows[0]).not.toHaveProperty('packets');
    problemOf(await h.ask('operator', 'GET', 'hypervisors/hv2/flows'), 'hypervisor.not-connected');
    problemOf(await h.ask('operator', 'GET', 'hypervisors/hv2/drift'), 'hypervisor.not-connected');
    problemOf(await h.ask('operator', 'GET', 'hypervisors/hv9/flows'), 'resource.not-found');
    problemOf(await h.ask('operator', 'GET', 'hypervisors/hv1/flows?which=both'), 'request.invalid');
  });

  test('that differ are drift', async () => {
    const { missing, extra, different } = (await h.ask('operator', 'GET', 'hypervisors/hv1/drift')).body;
    expect([missing, different]).toEqual([[], []]);
    expect(extra).toMatchObject([{ cookie: '0x0', tableName: 'classify' }]);
  });

  test('are explained by cookie or by themselves', async () => {
    expect((await h.ask('operator', 'GET', 'explain?cookie=0x3')).body).toMatchObject({
      path: `${network}/rules/web-to-db`,
      hypervisors: ['hv1'],
    });
    problemOf(await h.ask('operator', 'GET', 'explain?cookie=0x99'), 'resource.not-found');
    problemOf(await h.ask('operator', 'GET', 'explain'), 'request.invalid');
    problemOf(await h.ask('operator', 'GET', 'explain?cookie=0x3&flow=x'), 'request.invalid');
    problemOf(await h.ask('operator', 'GET', 'explain?cookie=3'), 'request.invalid');
  });
});

describe('the process', () => {
  test('is alive, and ready when it is', async () => {
    expect((await h.ask(undefined, 'GET', '/healthz')).body).toEqual({ status: 'ok' });
    expect((await h.ask(undefined, 'GET', '/readyz')).body).toMatchObject({ ready: true });
    h.fleet.isReady = false;
    const problem = problemOf(await h.ask(undefined, 'GET', '/readyz'), 'controller.not-ready');
    expect(problem.detail).toBe('the southbound does not listen');
    h.fleet.isReady = true;
  });

  test('has metrics, by route and not by name', async () => {
    await h.ask('acme', 'GET', `${network}/ports/web1`);
    const answer = await h.ask(undefined, 'GET', '/metrics');
    expect(answer.status).toBe(200);
    expect(answer.headers['content-type']).toMatch(/^text\/plain; version=0\.0\.4/);
    expect(answer.text).toMatch(
      /keyway_http_request_duration_seconds_count\{method="GET",route="\/v1\/tenants\/:tenant\/networks\/:network\/ports\/:port",status="200"\} 1/,
    );
    expect(answer.text).toMatch(/^keyway_switches\{hypervisor="hv1"\} 1$/m);
    expect(answer.text).toMatch(/^keyway_switches\{hypervisor="hv2"\} 0$/m);
    expect(answer.text).toMatch(/^nodejs_eventloop_lag_p99_seconds /m);
    expect(answer.text).not.toContain('web1');
  });

  test('shows metrics beyond loopback to admin and operator only', async () => {
    const ask = async (remoteAddress: string, headers: Record<string, string> = {}) =>
      (await h.app.inject({ url: '/metrics', remoteAddress, headers })).statusCode;
    const token = (who: 'operator' | 'orchestrator') => ({ authorization: `Bearer ${h.secrets[who]}` });
    expect(await ask('192.0.2.1')).toBe(401);
    expect(await ask('192.0.2.1', token('orchestrator'))).toBe(403);
    expect(await ask('192.0.2.1', token('operator'))).toBe(200);
    expect(await ask('::1')).toBe(200);
    // A proxy on this machine is not this machine asking.
    expect(await ask('127.0.0.1', { 'x-forwarded-for': '192.0.2.1' })).toBe(401);
  });
});
