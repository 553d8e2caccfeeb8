import { connect } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { OvsdbConnection } from '../../plugins/openvswitch/ovsdb/client.ts';
import {
  insert,
  type Mutation,
  mutate,
  type Operation,
  putKeys,
  select,
  update,
} from '../../plugins/openvswitch/ovsdb/operations.ts';
import { map, namedUuid, parseMap, parseSet, set, uuid } from '../../plugins/openvswitch/ovsdb/types.ts';
import { openVswitchOrSkip, startDummySwitch } from '../support/open-vswitch.ts';
import { admission, Recorder, until } from './recorder.ts';

describe('VM interfaces', () => {
  test('appear, are known by either id, change in place, and go', async (context) => {
    await openVswitchOrSkip(context);
    await using recorder = await Recorder.start();
    recorder.server.admit(admission);
    await using vswitch = await startDummySwitch({ bridge: 'br-int', manager: recorder.manager });
    await until('the first list', () => recorder.interfaces.length > 0);
    const ofport = await vswitch.addPort('vif1', 'vm-1');
    await until('vm-1', () => recorder.bound.join() === 'vm-1@vif1');
    expect(recorder.interfaces.at(-1)).toEqual({
      hypervisor: 1,
      list: [{ ifaceId: 'vm-1', name: 'vif1', ofport, mac: undefined }],
    });
    await vswitch.vsctl('set', 'Interface', 'vif1', 'external_ids:attached-mac="FE:00:00:00:00:01"');
    await until('its MAC', () => recorder.interfaces.at(-1)?.list[0]?.mac === 'fe:00:00:00:00:01');
    await vswitch.addPort('vif0');
    await vswitch.vsctl('set', 'Interface', 'vif0', 'external_ids:xs-vif-uuid=a-xen-vif');
    await until('a sorted list', () => recorder.bound.join() === 'a-xen-vif@vif0,vm-1@vif1');
    await vswitch.vsctl('set', 'Interface', 'vif0', 'external_ids:iface-id=z');
    await until('iface-id before xs-vif-uuid', () => recorder.bound.join() === 'vm-1@vif1,z@vif0');

    const told = recorder.interfaces.length;
    await vswitch.vsctl('set', 'Interface', 'vif1', 'external_ids:iface-id=vm-2');
    await until('the change', () => recorder.bound.join() === 'vm-2@vif1,z@vif0');
    expect(recorder.interfaces.length).toBe(told + 1);
    // Two exchanged in one transaction: one list, and it has neither on its old port.
    await vswitch.vsctl(
      'set',
      'Interface',
      'vif1',
      'external_ids:iface-id=z',
      '--',
      'set',
      'Interface',
      'vif0',
      'external_ids:iface-id=vm-2',
    );
    await until('the exchange', () => recorder.bound.join() === 'vm-2@vif0,z@vif1');
    expect(recorder.interfaces.length).toBe(told + 2);
    await vswitch.vsctl('remove', 'Interface', 'vif1', 'external_ids', 'iface-id');
    await until('one', () => recorder.bound.join() === 'vm-2@vif0');
    await vswitch.vsctl('del-port', 'vif0');
    await until('none', () => recorder.bound.length === 0);
  });

  test('that are not there yet, or on another bridge, do not count', async (context) => {
    await openVswitchOrSkip(context);
    await using recorder = await Recorder.start();
    recorder.server.admit(admission);
    await using vswitch = await startDummySwitch({ bridge: 'br-int', manager: recorder.manager });
    await vswitch.vsctl('add-br', 'br-ex');
    for (const [bridge, name] of [
      ['br-ex', 'vif9'],
      ['br-int', 'nodevice'],
      ['br-int', 'vif1'],
    ] as const) {
      const type = name === 'nodevice' ? 'type=system' : 'type=dummy';
      await vswitch.vsctl(
        '--no-wait',
        'add-port',
        bridge,
        name,
        '--',
        'set',
        'Interface',
        name,
        type,
        `external_ids:iface-id=${name}`,
      );
    }
    await until('vif1', () => recorder.bound.join() === 'vif1@vif1');
    const told = recorder.interfaces.length;
    await vswitch.vsctl('set', 'Interface', 'vif9', 'external_ids:iface-id=other');
    await vswitch.vsctl('set', 'Port', 'vif1', 'external_ids:anything=1');
    await vswitch.vsctl('set', 'Interface', 'vif1', 'external_ids:vm-name=one');
    await vswitch.vsctl('del-port', 'vif9');
    expect(recorder.interfaces.length).toBe(told);
    // A hypervisor may write what it likes; OpenFlow has no such port, or another use for the number.
    for (const number of [70_000, 0xfffffffb]) {
      await vswitch.vsctl('--no-wait', 'set', 'Interface', 'vif1', `ofport=${number}`);
      await until('unbound', () => recorder.bound.length === 0);
      await vswitch.vsctl('--no-wait', 'set', 'Interface', 'vif1', 'ofport=7');
      await until('bound again', () => recorder.interfaces.at(-1)?.list[0]?.ofport === 7);
    }
  });
});

type Step = { kind: number; port: number; other: number; id: number };
const step: fc.Arbitrary<Step> = fc.record({ kind: fc.nat(9), port: fc.nat(3), other: fc.nat(3), id: fc.nat(2) });

/** Two interfaces with an iface-id each, on the integration bridge whichever of the two bridges that was before. */
const twoPorts: Step[] = [
  { kind: 7, port: 0, other: 0, id: 0 },
  { kind: 0, port: 0, other: 1, id: 1 },
  { kind: 0, port: 1, other: 1, id: 2 },
];

/** The same as ChassisServer tells, worked out from scratch. */
async function expected(database: OvsdbConnection): Promise<string[]> {
  const [root, bridges, ports, interfaces] = await database.transact('Open_vSwitch', [
    select('Open_vSwitch', []),
    select('Bridge', []),
    select('Port', []),
    select('Interface', []),
  ]);
  const ids = (row: Record<string, unknown>): Map<unknown, unknown> =>
    new Map(parseMap('string', 'string', row.external_ids));
  const integration = ids(root!.rows![0]!).get('keyway-bridge') ?? 'br-int';
  const bridge = bridges!.rows!.find((row) => row.name === integration);
  const members = new Set(bridge ? parseSet('uuid', bridge.ports) : []);
  const found: { key: string; text: string }[] = [];
  for (const port of ports!.rows!) {
    if (!members.has((port._uuid as string[])[1]!) || ids(port).get('owner') === 'keyway') continue;
    for (const rowUuid of parseSet('uuid', port.interfaces)) {
      const row = interfaces!.rows!.find((one) => (one._uuid as string[])[1] === rowUuid)!;
      const id = ids(row).get('iface-id') ?? ids(row).get('xs-vif-uuid');
      const [ofport = 0] = parseSet('integer', row.ofport);
      if (id !== undefined && Number(ofport) > 0) found.push({ key: `${id} ${row.name}`, text: `${id}@${row.name}` });
    }
  }
  return found.sort((a, b) => (a.key < b.key ? -1 : 1)).map(({ text }) => text);
}

/** Some transaction on ports vif0 to vif3 of br-int and br-ex; it may well be refused. */
function operationsOf({ kind, port, other, id }: Step): Operation[] {
  const [name, second] = [`vif${port}`, `vif${other}`];
  const interfaceIs = (which: string, mutations: Mutation[]): Operation =>
    mutate('Interface', [['name', '==', which]], mutations);
  const bind = (which: string, value: string): Operation =>
    interfaceIs(which, putKeys('external_ids', { 'iface-id': value }));
  const bridge = other % 2 ? 'br-int' : 'br-ex';
  switch (kind) {
    case 0:
    case 1:
      return [
        insert('Interface', { name, ofport: id, external_ids: map(id ? { 'iface-id': `vm-${id}` } : {}) }, 'i'),
        insert(
          'Port',
          { name, interfaces: namedUuid('i'), external_ids: map(port === 3 && id === 2 ? { owner: 'keyway' } : {}) },
          'p',
        ),
        mutate('Bridge', [['name', '==', bridge]], [['ports', 'insert', namedUuid('p')]]),
      ];
    case 2:
      return [bind(name, `vm-${id}`), bind(second, `vm-${2 - id}`)];
    case 3:
      return [bind(name, `vm-${id}`)];
    case 4:
      return [interfaceIs(name, [['external_ids', 'delete', set(['iface-id'])]])];
    case 5:
      return [interfaceIs(name, putKeys('external_ids', { 'xs-vif-uuid': `xen-${id}` }))];
    case 6:
      return [
        update('Interface', [['name', '==', name]], { ofport: other === 0 ? set([]) : other === 1 ? -1 : other }),
      ];
    case 7:
      return [
        mutate(
          'Open_vSwitch',
          [],
          id
            ? putKeys('external_ids', { 'keyway-bridge': bridge })
            : [['external_ids', 'delete', set(['keyway-bridge'])]],
        ),
      ];
    default:
      return [select('Port', [['name', '==', name]], ['_uuid'])];
  }
}

test('the list is what it would be if worked out from scratch, whatever is done', {
  timeout: 60_000,
}, async (context) => {
  await openVswitchOrSkip(context);
  await using recorder = await Recorder.start();
  recorder.server.admit(admission);
  await using vswitch = await startDummySwitch({ bridge: 'br-int' });
  await vswitch.vsctl('add-br', 'br-ex');
  // From here on the database is the test's alone: ofport says what the test says.
  await vswitch.kill('ovs-vswitchd');
  await vswitch.vsctl('--no-wait', 'set-manager', recorder.manager);
  await until('the first list', () => recorder.interfaces.length > 0);
  const database = new OvsdbConnection(connect(vswitch.databasePath));
  let longest = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 10 }), async (steps) => {
      for (const one of steps) {
        // Refused where a name is there already, for instance; that is another case to be right in.
        const answer = await database.transact('Open_vSwitch', operationsOf(one)).catch(() => []);
        const rowUuid = (answer[0]?.rows?.[0]?._uuid as string[] | undefined)?.[1];
        if (rowUuid !== undefined) {
          // To the other bridge in one transaction, or away.
          const away = mutate('Bridge', [], [['ports', 'delete', uuid(rowUuid)]]);
          const bridge = one.other % 2 ? 'br-int' : 'br-ex';
          const back = mutate('Bridge', [['name', '==', bridge]], [['ports', 'insert', uuid(rowUuid)]]);
          await database.transact('Open_vSwitch', one.kind === 8 ? [away] : [away, back]);
        }
        const list = await expected(database);
        longest = Math.max(longest, list.length);
        await until(list.join() || 'none', () => recorder.bound.join() === list.join(), 30_000, 1);
      }
    }),
    // Whatever chance brings, one list is longer than one.
    { numRuns: 40, examples: [[twoPorts]] },
  );
  expect(longest).toBeGreaterThan(1);
  expect(recorder.gone).toEqual([]);
  database.close('done');
});
