/** Bundles in one write: only of shapes the switch has taken in this session, and read back should it refuse one after all. */
import { beforeEach, describe, expect, test } from 'vitest';
import { encodeFlows } from '../../plugins/openvswitch/openflow/record.ts';
import { noShape, recordShape } from '../../plugins/openvswitch/openflow/shape.ts';
import { cookie } from '../../src/pipeline/cookie.ts';
import type { Action, Flow } from '../../src/pipeline/flow.ts';
import { contents, OFPT } from './fake-switch.ts';
import { flow } from './flows.ts';
import { SouthboundUnderTest } from './southbound-under-test.ts';

const badOutput: [number, number] = [2, 4];

const shapeOf = (one: Partial<Flow>): number => recordShape(encodeFlows([flow(1, 80, one)]), 0);
const actions = (...list: Action[]): Partial<Flow> => ({ actions: list, goto: undefined });
const zone = { field: 'reg6', offset: 0, bits: 16 } as const;

describe('shapes', () => {
  const mark = { type: 'setField', field: 'ct_mark', value: 1, mask: 1 } as const;
  const same: [what: string, one: Partial<Flow>, other: Partial<Flow>][] = [
    ['cookie and priority', { priority: 7 }, { priority: 8, cookie: cookie(10, 9) }],
    ['a matched value', { match: { reg0: 7, tun_id: 5n } }, { match: { reg0: 8, tun_id: 6n } }],
    ['a port to output to', actions({ type: 'output', port: 4 }), actions({ type: 'output', port: 5 })],
    [
      'a value set',
      actions({ type: 'setField', field: 'metadata', value: 5n }),
      actions({ type: 'setField', field: 'metadata', value: 6n }),
    ],
    ['a zone', actions({ type: 'ct', zone: 4, table: 9 }), actions({ type: 'ct', zone: 5, table: 9 })],
    [
      'what is written in ct',
      actions({ type: 'ct', zone, commit: true, exec: [mark] }),
      actions({ type: 'ct', zone, commit: true, exec: [{ ...mark, value: 0 }] }),
    ],
    [
      'the id of a conjunction',
      actions({ type: 'conjunction', id: 1, clause: 1, clauses: 2 }),
      actions({ type: 'conjunction', id: 2, clause: 1, clauses: 2 }),
    ],
  ];
  test.for(same)('%s is none of it', ([, one, other]) => {
    expect(shapeOf(one)).toBe(shapeOf(other));
    expect(shapeOf(one)).not.toBe(noShape);
  });

  const different: [what: string, one: Partial<Flow>, other: Partial<Flow>][] = [
    ['table', { table: 10 }, { table: 11 }],
    ['table to go on in', { goto: 12 }, { goto: 13 }],
    ['matched fields', { match: { reg0: 1 } }, { match: { reg0: 1, pkt_mark: 1 } }],
    ['masks', { match: { reg0: { value: 1, mask: 1 } } }, { match: { reg0: { value: 1, mask: 3 } } }],
    ['protocol', { match: { eth_type: 0x0800, ip_proto: 6 } }, { match: { eth_type: 0x0800, ip_proto: 17 } }],
    ['a reserved port', actions({ type: 'output', port: 4 }), actions({ type: 'output', port: 0xfffffff8 })],
    [
      'the field that is set',
      actions({ type: 'setField', field: 'reg1', value: 5 }),
      actions({ type: 'setField', field: 'reg2', value: 5 }),
    ],
    ['flags of ct', actions({ type: 'ct', zone: 4 }), actions({ type: 'ct', zone: 4, commit: true })],
    [
      'where ct has the zone from',
      actions({ type: 'ct', zone }),
      actions({ type: 'ct', zone: { ...zone, offset: 16 } }),
    ],
    [
      'the table of a resubmit within a clone',
      actions({ type: 'clone', actions: [{ type: 'resubmit', table: 80 }] }),
      actions({ type: 'clone', actions: [{ type: 'resubmit', table: 81 }] }),
    ],
    ['actions within a clone', actions({ type: 'clone', actions: [] }), actions({ type: 'clone', actions: [mark2()] })],
  ];
  test.for(different)('%s is some of it', ([, one, other]) => {
    const ip = { eth_type: 0x0800 };
    const match = (of: Partial<Flow>): Partial<Flow> => ({ match: ip, ...of });
    expect(shapeOf(match(one))).not.toBe(shapeOf(match(other)));
  });

  test('what names something the switch must have is never one to rely on', () => {
    for (const action of [
      { type: 'meter', meter: 4 },
      { type: 'group', group: 4 },
      { type: 'clone', actions: [{ type: 'group', group: 4 }] },
    ] as const)
      expect(shapeOf(actions(action as Action))).toBe(noShape);
  });
});

function mark2(): Action {
  return { type: 'setField', field: 'pkt_mark', value: 1 };
}

describe('a switch', () => {
  let barriers: () => number;
  let under: SouthboundUnderTest;
  beforeEach(() => {
    barriers = () => 0;
  });

  async function connected(options: Parameters<SouthboundUnderTest['fake']>[1] = {}) {
    under = await new SouthboundUnderTest().start();
    under.admit(1);
    const fake = await under.fake(1, options).connect();
    await under.seen('connected');
    barriers = () => {
      const count = fake.log.filter((type) => type === OFPT.barrierRequest).length;
      fake.log.length = 0;
      return count;
    };
    barriers();
    return fake;
  }

  test('a shape it has taken goes at once; a new one, and what is many, does not', async () => {
    const fake = await connected();
    await using _ = under;
    await under.program({ a: [flow(1, 80)] });
    expect(barriers()).toBe(2);
    await under.program({ b: [flow(2, 81), flow(2, 82)] });
    expect(barriers()).toBe(1);
    await under.program({ a: undefined });
    expect(barriers()).toBe(1);
    await under.program({ c: [flow(3, 83, { table: 11 })] });
    expect(barriers()).toBe(2);
    const many = Array.from({ length: 41 }, (__, port) => flow(4, 1000 + port));
    await under.program({ d: many });
    expect(barriers()).toBe(2);
    const wanted = [flow(2, 81), flow(2, 82), flow(3, 83, { table: 11 }), ...many];
    expect(fake.contents()).toEqual(contents(encodeFlows(wanted)));
    expect(under.stats()).toMatchObject({ bundles: 5, bundlesAtOnce: 2, indeterminate: 0, reads: 1 });
  });

  test('a new session knows nothing', async () => {
    const fake = await connected();
    await using _ = under;
    await under.program({ a: [flow(1, 80)] });
    fake.drop();
    await under.seen('disconnected');
    await fake.connect();
    await under.seen('connected', 2);
    barriers();
    await under.program({ b: [flow(2, 81)] });
    expect(barriers()).toBe(2);
  });

  test('what it refuses after all when it is added costs its own object; the rest is there, and nothing is told as done before', async () => {
    const fake = await connected({ refuseAdd: (entry) => (entry.cookie === cookie(10, 3) ? badOutput : undefined) });
    await using _ = under;
    await under.program({ a: [flow(1, 80)] });
    await under.program({ b: [flow(2, 81)], c: [flow(3, 82), flow(3, 83)] });
    expect(under.all('rejected').map(([{ cookie: of, error }]) => [of, error])).toEqual([
      [cookie(10, 3), 'OFPBAC_BAD_OUT_PORT'],
    ]);
    expect(fake.contents()).toEqual(contents(encodeFlows([flow(1, 80), flow(2, 81)])));
    expect(under.stats()).toMatchObject({ bundlesAtOnce: 1, indeterminate: 1 });
    expect(under.all('acknowledged').at(-1)).toEqual([1, 2]);
    // With something set aside every bundle is asked for first.
    barriers();
    await under.program({ d: [flow(4, 84)] });
    expect(barriers()).toBe(2);
  });

  test('what it refuses when it commits changes nothing, and costs its own object', async () => {
    const refuseCommit = (entry: { cookie: bigint }) => (entry.cookie === cookie(10, 3) ? badOutput : undefined);
    const fake = await connected({ refuseCommit });
    await using _ = under;
    await under.program({ a: [flow(1, 80)] });
    await under.program({ b: [flow(2, 81)], c: [flow(3, 82)] });
    expect(under.all('rejected').map(([{ cookie: of }]) => of)).toEqual([cookie(10, 3)]);
    expect(fake.contents()).toEqual(contents(encodeFlows([flow(1, 80), flow(2, 81)])));
    expect(under.stats()).toMatchObject({ indeterminate: 0, reads: 1 });
  });
});
