/** A simulated hypervisor beside a real one, with the same controller: what it keeps and tells must be the same. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Database } from '../../bench/simulator/database.ts';
import { FlowTable } from '../../bench/simulator/flow-table.ts';
import { Hypervisor } from '../../bench/simulator/hypervisor.ts';
import { decodeFlow, encodeFlows } from '../../plugins/openvswitch/openflow/record.ts';
import type { Flow } from '../../src/pipeline/flow.ts';
import { joinSwitch, settled, startTestCore, type TestCore } from '../support/core.ts';
import { openVswitchOrSkip } from '../support/open-vswitch.ts';

const network = 'tenants/acme/networks/shop';

const order = async (core: TestCore, resources: Record<string, Record<string, unknown> | undefined>): Promise<void> => {
  const operations = Object.entries(resources).map(([path, spec]) =>
    spec === undefined ? { op: 'delete' as const, path } : { op: 'put' as const, path, spec },
  );
  await core.intent.transact(operations, { restrictedAllowed: true });
  await settled(core);
};

async function perTable(core: TestCore, hypervisor: string): Promise<Record<string, number>> {
  const count: Record<string, number> = {};
  for (const { tableName } of await core.fabric.flows(`hypervisors/${hypervisor}`, 'installed'))
    count[tableName] = (count[tableName] ?? 0) + 1;
  return count;
}

const differences = async (core: TestCore, hypervisor: string): Promise<number> => {
  const { missing, extra, different } = await core.fabric.drift(`hypervisors/${hypervisor}`);
  return missing.length + extra.length + different.length;
};

test('it takes, keeps and reports what Open vSwitch does', async (context) => {
  await openVswitchOrSkip(context);
  await using core = await startTestCore();
  await using real = await joinSwitch(core, 'hv1', '192.0.2.1');
  const physical = { outside: 'br-ex' };
  const simulated = new Hypervisor({ systemId: 'hv2', encapIp: '192.0.2.2', manager: core.managers[0]!, physical });
  try {
    simulated.plug(['b']);
    simulated.start();
    await order(core, { 'hypervisors/hv2': { admission: 'approved' } });
    await expect.poll(() => core.fabric.connected('hypervisors/hv2'), { timeout: 10_000 }).toBe(true);
    await real.addPort('a', 'a');
    await order(core, {
      'tenants/acme': {},
      [network]: { offering: 'basic', cidr: '10.0.0.0/16' },
      [`${network}/tiers/web`]: { cidr: '10.0.1.0/24' },
      [`${network}/rules/r`]: {
        action: 'allow',
        priority: 1,
        from: { tier: 'web' },
        to: { tier: 'web' },
        protocol: 'tcp',
        ports: ['80', '8000-8100'],
      },
      [`${network}/ports/a`]: { tier: 'web', ifaceId: 'a' },
      [`${network}/ports/b`]: { tier: 'web', ifaceId: 'b' },
    });
    // One port of the network on each, and a tunnel from each to the other.
    await expect.poll(() => perTable(core, 'hv2'), { timeout: 10_000 }).toEqual(await perTable(core, 'hv1'));
    expect(simulated.switch.flows.count).toBeGreaterThan(20);
    expect(await differences(core, 'hv1')).toBe(0);
    expect(await differences(core, 'hv2')).toBe(0);

    await order(core, { [`${network}/rules/r`]: undefined, [`${network}/ports/a`]: undefined });
    await expect
      .poll(() => core.fabric.flows('hypervisors/hv2', 'desired').then((flows) => flows.length))
      .toBe(simulated.switch.flows.count);
    expect(await differences(core, 'hv2')).toBe(0);

    core.plugin.setPatches(2, [
      { key: 'provider:7', bridge: 'br-ex', vlan: 5 },
      { key: 'provider:8', bridge: 'br-none', vlan: 5 },
    ]);
    const patches = () => [...(core.engine.fleet.get(2)?.patches.keys() ?? [])];
    await expect.poll(patches).toEqual(['provider:7']);
    const port = core.engine.fleet.get(2)!.patches.get('provider:7')!;
    const none = { packets: 0, bytes: 0 };
    expect(await core.plugin.portCounters!(2, [port, 60_000])).toMatchObject([
      { received: none, sent: none },
      undefined,
    ]);
    const [some] = await core.plugin.installed(2);
    const alike = await core.plugin.installed(2, [some!.cookie]);
    expect(alike.length).toBeGreaterThan(0);
    expect(alike.every(({ cookie }) => cookie === some!.cookie)).toBe(true);
    expect(simulated.switch.counters.refused).toBe(0);
  } finally {
    simulated.stop();
  }
});

test('a transaction that fails leaves its database as it was; rows nobody refers to go', () => {
  const database = new Database();
  const root = database.make('Open_vSwitch', {});
  const told: number[] = [];
  database.edit(() => {});
  database.listeners.add((changes) => told.push(changes.length));
  const mutateRoot = (mutator: string, value: unknown) => ({
    op: 'mutate',
    table: 'Open_vSwitch',
    where: [['_uuid', '==', ['uuid', root]]],
    mutations: [['manager_options', mutator, value]],
  });
  const insert = { op: 'insert', table: 'Manager', row: { target: 'tcp:192.0.2.1:6640' }, 'uuid-name': 'm' };
  const failed = database.transact([insert, mutateRoot('insert', ['named-uuid', 'm']), { op: 'abort' }]);
  expect(failed.at(-1)).toMatchObject({ error: expect.any(String) });
  expect(database.rows('Manager').size).toBe(0);
  expect(database.row('Open_vSwitch', root)!.cells.manager_options).toEqual(new Set());
  // Nothing refers to it: gone before anybody could see it.
  database.transact([insert]);
  expect([database.rows('Manager').size, told]).toEqual([0, []]);

  const [made] = database.transact([insert, mutateRoot('insert', ['named-uuid', 'm'])]) as [{ uuid: unknown }];
  expect(database.rows('Manager').size).toBe(1);
  database.transact([mutateRoot('delete', made.uuid)]);
  expect(database.rows('Manager').size).toBe(0);
  expect(told).toEqual([2, 2]);
});

test('its flow table is a map by table, priority and match', () => {
  const step = fc.record({
    remove: fc.boolean(),
    table: fc.integer({ min: 0, max: 3 }),
    port: fc.integer({ min: 1, max: 40 }),
    outputs: fc.integer({ min: 0, max: 3 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
      const table = new FlowTable();
      const expected = new Map<string, Flow>();
      for (const [i, { remove, table: id, port, outputs }] of steps.entries()) {
        const actions = Array.from({ length: outputs }, (_, n) => ({ type: 'output' as const, port: n + 1 }));
        const flow: Flow = { table: id, priority: 100, cookie: BigInt(i), match: { in_port: port }, actions };
        if (remove) table.delete(encodeFlows([flow]), 0);
        else table.add(encodeFlows([flow]), 0);
        if (remove) expected.delete(`${id} ${port}`);
        else expected.set(`${id} ${port}`, flow);
      }
      const found = new Map<string, Flow>();
      table.forEach((bytes, at) => {
        const flow = decodeFlow(bytes, at);
        found.set(`${flow.table} ${String(flow.match.in_port)}`, flow);
      });
      expect(found).toEqual(expected);
      expect(table.count).toBe(expected.size);
    }),
    { numRuns: 50 },
  );
});
