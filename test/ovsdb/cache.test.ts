import { connect } from 'node:net';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DatabaseCache } from '../../plugins/openvswitch/ovsdb/cache.ts';
import { OvsdbConnection } from '../../plugins/openvswitch/ovsdb/client.ts';
import { ProtocolError } from '../../plugins/openvswitch/ovsdb/errors.ts';
import {
  insert,
  is,
  mutate,
  type Operation,
  putKeys,
  remove,
  select,
  update,
  wait,
} from '../../plugins/openvswitch/ovsdb/operations.ts';
import { mapOf, optional, scalar, setOf } from '../../plugins/openvswitch/ovsdb/schema.ts';
import { map, namedUuid, set, uuid } from '../../plugins/openvswitch/ovsdb/types.ts';
import { parseValue } from '../../plugins/openvswitch/ovsdb/value.ts';
import { openVswitchOrSkip, run, startDummySwitch } from '../support/open-vswitch.ts';

const schema = {
  Open_vSwitch: { external_ids: mapOf('string', 'string'), bridges: setOf('uuid'), next_cfg: scalar('integer') },
  Bridge: {
    name: scalar('string'),
    ports: setOf('uuid'),
    protocols: setOf('string'),
    fail_mode: optional('string'),
    stp_enable: scalar('boolean'),
    other_config: mapOf('string', 'string'),
  },
  Port: { name: scalar('string'), interfaces: setOf('uuid'), tag: optional('integer') },
  Interface: { name: scalar('string'), type: scalar('string'), ofport: optional('integer') },
} as const;
type TestCache = DatabaseCache<typeof schema>;

/** Rows as plain values, whoever told them. */
function contents(cache: TestCache): unknown {
  return Object.fromEntries(
    (Object.keys(schema) as (keyof typeof schema)[]).map((table) => [table, new Map(cache.table(table))]),
  );
}

/** The same, asked of the server anew. */
async function selected(connection: OvsdbConnection): Promise<unknown> {
  const tables = Object.entries(schema);
  const results = await connection.transact(
    'Open_vSwitch',
    tables.map(([table, columns]) => select(table, [], ['_uuid', ...Object.keys(columns)])),
  );
  return Object.fromEntries(
    tables.map(([table, columns], index) => {
      const rows = results[index]!.rows!.map((row) => {
        const rowUuid = (row._uuid as [string, string])[1];
        const values = Object.entries(columns).map(([name, column]) => [name, parseValue(column, row[name])]);
        return [rowUuid, { uuid: rowUuid, ...Object.fromEntries(values) }] as const;
      });
      return [table, new Map(rows)];
    }),
  );
}

type Step = { kind: number; pick: number; name: string; value: string };
const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.nat(9),
  pick: fc.nat(20),
  name: fc.constantFrom('a', 'b', 'c', 'd', 'e'),
  value: fc.constantFrom('', 'x', 'y', 'é"\\'),
});

/** Some transaction: it may well be refused. */
function operationsOf(cache: TestCache, { kind, pick, name, value }: Step): Operation[] {
  const root = cache.table('Open_vSwitch').keys().next().value!;
  const any = (table: 'Bridge' | 'Port'): string => {
    const rows = [...cache.table(table).keys()];
    return rows[pick % Math.max(rows.length, 1)] ?? root;
  };
  switch (kind) {
    case 0:
      return [
        insert('Interface', { name: `if-${name}`, type: value }, 'i'),
        insert('Port', { name: `port-${name}`, interfaces: namedUuid('i'), tag: set([]) }, 'p'),
        insert(
          'Bridge',
          { name: `br-${name}`, ports: namedUuid('p'), protocols: set(['OpenFlow15', 'OpenFlow10']) },
          'b',
        ),
        mutate('Open_vSwitch', is(root), [['bridges', 'insert', namedUuid('b')]]),
      ];
    case 1:
      return [
        insert('Interface', { name: `if2-${name}` }, 'i'),
        insert('Port', { name: `port2-${name}`, interfaces: namedUuid('i'), tag: pick }, 'p'),
        mutate('Bridge', is(any('Bridge')), [['ports', 'insert', namedUuid('p')]]),
      ];
    case 2:
      return [mutate('Bridge', [], [['ports', 'delete', uuid(any('Port'))]])];
    case 3:
      return [mutate('Open_vSwitch', is(root), [['bridges', 'delete', uuid(any('Bridge'))]])];
    case 4:
      return [mutate('Open_vSwitch', is(root), [...putKeys('external_ids', { [name]: value }), ['next_cfg', '+=', 1]])];
    case 5:
      return [mutate('Open_vSwitch', is(root), [['external_ids', 'delete', set([name])]])];
    case 6:
      return [
        update('Bridge', is(any('Bridge')), {
          fail_mode: pick % 2 ? 'secure' : set([]),
          protocols: set(pick % 3 ? ['OpenFlow13'] : []),
          stp_enable: pick % 2 === 0,
          other_config: map({ [name]: value }),
        }),
      ];
    case 7:
      return [update('Port', is(any('Port')), { tag: pick % 2 ? pick : set([]) })];
    case 8:
      return [update('Interface', [], { ofport: pick })];
    default:
      return [remove('Bridge', [['name', '==', `br-${name}`]]), wait('Port', [], ['name'], '!=', [{ name: 'nobody' }])];
  }
}

describe('a cache holds what the server selects, whatever is done', () => {
  for (const method of ['update2', 'update'] as const) {
    test(`fed by ${method}`, { timeout: 60_000 }, async (context) => {
      const { programs, env } = await openVswitchOrSkip(context);
      await using vswitch = await startDummySwitch();
      await vswitch.kill('ovs-vswitchd');
      if (method === 'update') {
        const control = join(vswitch.directory, 'ovsdb-server.ctl');
        await run(programs['ovs-appctl']!, ['-t', control, 'ovsdb-server/disable-monitor-cond'], { env });
      }
      const connection = new OvsdbConnection(connect(vswitch.databasePath));
      const cache: TestCache = new DatabaseCache(schema);
      const methods = new Set<string>();
      await connection.monitor('Open_vSwitch', cache.watched, (tables, version) => {
        methods.add(version);
        cache.apply(tables, version);
      });
      let taken = 0;
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 12 }), async (steps) => {
          for (const each of steps) {
            // A refusal (a name twice, say) is a fine answer: then nothing must change.
            const done = connection.transact('Open_vSwitch', operationsOf(cache, each));
            taken += await done.then(
              () => 1,
              () => 0,
            );
          }
          // Updates are sent before the answer to whatever is asked next on the same session.
          expect(contents(cache)).toEqual(await selected(connection));
        }),
        { numRuns: 40 },
      );
      expect(taken).toBeGreaterThan(50);
      expect([...methods]).toEqual([method]);
      connection.close('done');
    });
  }
});

describe('the cache', () => {
  const rowUuid = '5d1ae5a4-8a0c-4a4b-9c53-0d3e7d0a5e11';
  const portUuid = '0a3be5a4-8a0c-4a4b-9c53-0d3e7d0a5e22';

  test('tells what came into a set and what left it', () => {
    const cache: TestCache = new DatabaseCache(schema);
    const first = cache.apply(
      { Bridge: { [rowUuid]: { initial: { name: 'b', ports: ['uuid', portUuid] } } } },
      'update2',
    );
    expect(first[0]!.membership('ports' as never)).toEqual({ added: [portUuid], removed: [] });
    const [second] = cache.apply(
      {
        Bridge: {
          [rowUuid]: {
            modify: {
              ports: [
                'set',
                [
                  ['uuid', portUuid],
                  ['uuid', rowUuid],
                ],
              ],
            },
          },
        },
      },
      'update2',
    );
    expect(second!.membership('ports' as never)).toEqual({ added: [rowUuid], removed: [portUuid] });
    expect([...second!.columns]).toEqual(['ports']);
  });

  const misfits: Record<string, [Record<string, unknown>, 'update' | 'update2']> = {
    'a change of an unknown row': [{ Bridge: { [portUuid]: { modify: {} } } }, 'update2'],
    'the deletion of an unknown row': [{ Bridge: { [portUuid]: { delete: null } } }, 'update2'],
    'a second insertion': [{ Bridge: { [rowUuid]: { insert: {} } } }, 'update2'],
    'a change of an unknown row (RFC 7047)': [{ Bridge: { [portUuid]: { old: {}, new: {} } } }, 'update'],
    'the deletion of an unknown row (RFC 7047)': [{ Bridge: { [portUuid]: { old: {} } } }, 'update'],
    'a second insertion (RFC 7047)': [{ Bridge: { [rowUuid]: { new: {} } } }, 'update'],
    'an unknown table': [{ __proto__x: {} }, 'update2'],
    'a table named like a property of every object': [{ constructor: {} }, 'update2'],
    'an unknown column': [{ Bridge: { [rowUuid]: { modify: { colour: 'red' } } } }, 'update2'],
    'an atom of another kind': [{ Bridge: { [rowUuid]: { modify: { name: 7 } } } }, 'update2'],
    'two values where one may be': [
      { Bridge: { [rowUuid]: { modify: { fail_mode: ['set', ['a', 'b']] } } } },
      'update2',
    ],
    'a map that is none': [{ Bridge: { [rowUuid]: { modify: { other_config: ['map', [['a']]] } } } }, 'update2'],
    'a key that is no UUID': [{ Bridge: { 'row-1': { modify: {} } } }, 'update2'],
    'no kind of update': [{ Bridge: { [rowUuid]: { upsert: {} } } }, 'update2'],
  };
  for (const [what, [tables, version]] of Object.entries(misfits)) {
    test(`throws at ${what}`, () => {
      const cache: TestCache = new DatabaseCache(schema);
      cache.apply({ Bridge: { [rowUuid]: { initial: { name: 'b' } } } }, 'update2');
      expect(() => cache.apply(tables, version)).toThrow(ProtocolError);
    });
  }

  test('takes as many rows as it is told to, and no more', () => {
    const cache: TestCache = new DatabaseCache(schema, 2);
    cache.apply({ Port: { [rowUuid]: { insert: {} }, [portUuid]: { insert: {} } } }, 'update2');
    cache.apply({ Port: { [rowUuid]: { delete: null } }, Interface: { [rowUuid]: { insert: {} } } }, 'update2');
    expect(() => cache.apply({ Port: { [rowUuid]: { insert: {} } } }, 'update2')).toThrow(/more than 2 rows/);
  });
});
