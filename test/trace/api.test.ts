/** POST /v1/trace: what it takes, what it refuses, and what a tenant is not shown. */
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Answer } from '../../src/trace/service.ts';
import { type Harness, harness, shop } from '../api/support.ts';

const network = 'tenants/acme/networks/shop';
let h: Harness;
let ruleRevision: number;
beforeAll(async () => {
  h = await harness();
  for (const tenant of ['acme', 'globex']) await h.ask('admin', 'POST', 'apply', { resources: shop(tenant) });
  const written = await h.ask('acme', 'PUT', `${network}/rules/mine`, {
    action: 'allow',
    priority: 7,
    from: { any: true },
    to: { any: true },
    protocol: 'tcp',
  });
  ruleRevision = written.body.revision;
  h.fleet.answer = answer();
});
afterAll(() => h.close());
beforeEach(() => {
  h.fleet.traced.length = 0;
});

function answer(): Answer {
  return {
    asked: {
      from: `${network}/ports/web1`,
      source: '10.0.1.10',
      destination: '10.0.1.11',
      protocol: 'tcp',
      state: 'new',
      length: 98,
    },
    hops: [
      {
        hypervisor: 'hv-secret',
        arrives: 'from port web1',
        inPort: 4,
        steps: [
          { kind: 'table', table: 0, name: 'Classifier', depth: 0, flow: 'in_port=4 actions=secret', packets: 1 },
        ],
      },
    ],
    verdict: {
      outcome: 'refused',
      reason: 'receiver-not-programmed',
      text: "The receiver's switch does not know it",
      decisions: [
        {
          side: 'sender',
          by: 'rule',
          action: 'allow',
          path: `${network}/rules/mine`,
          revision: ruleRevision,
          text: 'allow tcp',
        },
        { side: 'receiver', by: 'policy', action: 'deny', path: 'policies/secret', revision: 1, text: 'deny secret' },
      ],
      needs: ['keyway doctor'],
    },
    live: { sent: true, arrived: false, seen: 3, of: 9, text: 'sent' },
  };
}

const from = `${network}/ports/web1`;
const post = (who: 'admin' | 'acme' | 'globex', body: unknown) => h.ask(who, 'POST', 'trace', body);

test('ports by path or by names, an address or a port to go to', async () => {
  const names = { tenant: 'acme', network: 'shop', port: 'web1' };
  expect((await post('admin', { from: names, to: names, protocol: 'tcp', ports: { destination: 443 } })).status).toBe(
    200,
  );
  expect((await post('acme', { from: `/v1/${from}`, to: 'fd00::1', state: 'established', ttl: 3 })).status).toBe(200);
  expect(h.fleet.traced).toMatchObject([
    { from, to: { port: from }, protocol: 'tcp', destinationPort: 443, state: 'new' },
    { from, to: { ip: 'fd00::1' }, protocol: 'icmp', state: 'established', ttl: 3 },
  ]);
});

test.each([
  [{ from }, 400, 'request.invalid', '/to'],
  [{ from, to: 'nowhere' }, 400, 'request.invalid', '/to'],
  [{ from, to: '10.0.0.256' }, 400, 'address.invalid', '/to'],
  [{ from: network, to: '10.0.0.1' }, 400, 'request.invalid', '/from'],
  [{ from: `${network}/ports/WEB`, to: '10.0.0.1' }, 400, 'name.invalid', '/from'],
  [{ from, to: '10.0.0.1', ports: { destination: 70_000 } }, 400, 'request.invalid', '/ports/destination'],
  [{ from, to: '10.0.0.1', state: 'old' }, 400, 'request.invalid', '/state'],
  [{ from, to: '10.0.0.1', colour: 'red' }, 400, 'request.invalid', '/colour'],
])('%j is refused, with the field', async (body, status, code, field) => {
  const refused = await post('admin', body);
  expect({ status: refused.status, code: refused.body.code }).toEqual({ status, code });
  expect(refused.body.errors.map((e: { field: string }) => e.field)).toContain(field);
  expect(h.fleet.traced).toEqual([]);
});

test('a tenant traces its own ports only, judged before anything is looked up', async () => {
  expect((await post('globex', { from, to: '10.0.0.1' })).body.code).toBe('auth.forbidden');
  const theirs = 'tenants/globex/networks/nowhere/ports/none';
  expect((await post('acme', { from, to: theirs })).body.code).toBe('auth.forbidden');
  expect(h.fleet.traced).toEqual([]);
});

test('an operator sees flows, hypervisors, and who wrote the rule', async () => {
  const { body } = await post('admin', { from, to: '10.0.0.1' });
  expect(body.hops[0].hypervisor).toBe('hv-secret');
  const [rule] = body.verdict.decisions;
  expect(rule.author).toMatchObject({ role: 'tenant', tenant: 'acme', at: expect.any(Number) });
  expect(typeof rule.author.token).toBe('string');
});

test('what is really sent is in the audit, what is only worked out is not', async () => {
  const sent = async (): Promise<unknown[]> => {
    const { body } = await h.ask('admin', 'GET', 'audit?limit=5');
    return body.items.map((r: { action: string; target: string; tenant?: string }) => [r.action, r.target, r.tenant]);
  };
  await post('admin', { from, to: '10.0.0.1' });
  expect((await sent())[0]).not.toEqual(['trace-live', from, 'acme']);
  await post('acme', { from, to: '10.0.0.1', live: true });
  expect((await sent())[0]).toEqual(['trace-live', from, 'acme']);
  expect((await h.ask('operator', 'POST', 'connectivity', { hypervisors: ['hv1'] })).status).toBe(200);
  expect((await sent())[0]).toEqual(['check-connectivity', 'connectivity', undefined]);
  expect(h.fleet.probed).toEqual([['hv1']]);
});

test('a tenant sees what decided among its own, and neither where its VMs are nor what policies are called', async () => {
  const { body, text } = await post('acme', { from, to: '10.0.0.1' });
  expect(text).not.toMatch(/secret|doctor|in_port/);
  expect(body.hops).toEqual([]);
  expect(body.verdict.reason).toBe('not-programmed');
  expect(body.verdict.decisions).toMatchObject([
    { path: `${network}/rules/mine`, author: { role: 'tenant', tenant: 'acme' } },
    { by: 'policy', action: 'deny', text: 'a policy of the operator' },
  ]);
  expect(body.live).toEqual({ sent: true, arrived: false, text: 'sent' });
});
