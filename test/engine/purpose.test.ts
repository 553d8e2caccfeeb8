/** Whom flows serve, in words: also those that several rules share. */
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { startCore } from '../../src/core.ts';
import { tables } from '../../src/pipeline/tables.ts';
import { openMemoryStore } from '../../src/store/memory.ts';
import { FakeSwitches } from '../support/fake-switches.ts';

const network = 'tenants/acme/networks/shop';
/** No two of them are one prefix. */
const hosts = (from: number, count: number) => Array.from({ length: count }, (_, i) => `192.0.2.${from + 2 * i}/32`);

test('a flow that rules share names them, and one that leads to Precedence the rule it is of', async () => {
  const fake = new FakeSwitches();
  const core = await startCore({ store: openMemoryStore(), plugin: fake, log: pino({ level: 'silent' }) });
  const rule = (name: string, from: string[], to: string[], ports: string[]) => ({
    op: 'put' as const,
    path: `${network}/rules/${name}`,
    spec: { action: 'allow', priority: 10, from: { cidrs: from }, to: { cidrs: to }, protocol: 'tcp', ports },
  });
  const partners = hosts(1, 8);
  const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
  await core.intent.transact(
    [
      { op: 'put', path: 'hypervisors/hv1', spec: { admission: 'approved' } },
      { op: 'put', path: 'tenants/acme', spec: {} },
      { op: 'put', path: network, spec: { offering: 'basic', cidr: '10.0.0.0/16' } },
      { op: 'put', path: `${network}/tiers/web`, spec: { cidr: '10.0.1.0/24' } },
      { op: 'put', path: `${network}/ports/p`, spec: { tier: 'web', ifaceId: 'p' } },
      ...names.map((name, i) => rule(name, partners, hosts(20 + 12 * i, 6), ['80', '443'])),
      rule('beside', ['192.0.2.0/24'], ['192.0.2.20/32'], ['80']),
    ],
    { restrictedAllowed: true },
  );
  fake.connect('hv1', '192.0.2.1');
  fake.interfaces(1, [{ ifaceId: 'p', name: 'vif-p', ofport: 5 }]);
  for (let i = 0; i < 4; i++) {
    await core.engine.idle();
    await new Promise((resolve) => setImmediate(resolve));
  }
  const flows = (await core.fabric.flows('hypervisors/hv1', 'desired')).filter(
    ({ flow }) => flow.table === tables.Rules.id,
  );
  const of = (text: RegExp) => {
    const found = flows.filter((f) => text.test(f.text));
    expect(found.length, String(text)).toBeGreaterThan(0);
    return [...new Set(found.map(({ purpose }) => purpose.text))];
  };
  expect(of(/nw_src=192\.0\.2\.\d+ /)).toEqual(['rules a, b, c, d, e and 2 more of network shop of tenant acme']);
  expect(of(/nw_dst=192\.0\.2\.20 actions=conj/)).toEqual(['rule a of network shop of tenant acme']);
  expect(of(/conj_id/)).toEqual(names.map((name) => `rule ${name} of network shop of tenant acme`));
  expect(of(/goto_table:Precedence/)).toEqual(['rule beside of network shop of tenant acme']);
  const shared = flows.find((f) => f.purpose.text.startsWith('rules '))!;
  expect(shared.purpose.path).toBe(network);
  const explained = await core.fabric.explain(fake.format(shared.flow).replace(/table=Rules/, 'table=82'));
  expect(explained.text[0]).toContain('rules a, b, c, d, e and 2 more');
  await core.stop();
});
