import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { AppliedWatch } from '../../plugins/openvswitch/chassis/applied.ts';
import type { ChassisLog } from '../../plugins/openvswitch/chassis/options.ts';
import type { Plan } from '../../plugins/openvswitch/chassis/plan.ts';
import { Writer } from '../../plugins/openvswitch/chassis/writer.ts';
import { ConnectionClosedError, OvsdbError } from '../../plugins/openvswitch/ovsdb/errors.ts';
import { comment, type Operation } from '../../plugins/openvswitch/ovsdb/operations.ts';
import { until } from './recorder.ts';

/** A database that is one number, and a wish for it. */
class Bench {
  wanted = 0;
  actual = 0;
  /** What the database says to the next transactions; otherwise it takes them. */
  readonly refusals: Error[] = [];
  readonly sent: Operation[][] = [];
  readonly logged: string[] = [];
  underWay = 0;
  mostUnderWay = 0;
  readonly writer: Writer;

  constructor(afterwards: (bench: Bench) => void = () => {}) {
    const level = (name: string) => (_: object, message: string) => this.logged.push(`${name} ${message}`);
    const log = { debug: level('debug'), info: level('info'), warn: level('warn'), error: level('error') };
    this.writer = new Writer({
      plan: () => this.#plan(),
      transact: async (operations) => {
        this.mostUnderWay = Math.max(this.mostUnderWay, ++this.underWay);
        this.sent.push(operations);
        await sleep(1);
        this.underWay--;
        const refusal = this.refusals.shift();
        if (refusal) throw refusal;
        this.actual = Number((operations[1] as { comment: string }).comment);
        afterwards(this);
      },
      log: log as ChassisLog,
    });
  }

  failed = 0;

  #plan(): Plan | undefined {
    if (this.wanted === this.actual) return undefined;
    return { what: 'a number', operations: [comment(String(this.wanted))], failed: () => void this.failed++ };
  }
}

describe('the writer', () => {
  test('has one transaction under way, and gathers what comes meanwhile', async () => {
    const bench = new Bench();
    for (let wish = 1; wish <= 100; wish++) {
      bench.wanted = wish;
      bench.writer.wake();
    }
    await until('the last wish', () => bench.actual === 100);
    expect([bench.sent.length, bench.mostUnderWay]).toEqual([2, 1]);
    bench.writer.wake();
    await sleep(5);
    expect(bench.sent.length).toBe(2);
  });

  test('hears a wake that comes in the turn in which it finds nothing to do', async () => {
    const bench = new Bench();
    for (let wish = 1; wish <= 20; wish++) {
      bench.wanted = wish;
      bench.writer.wake();
      await until('the wish', () => bench.actual === wish, 1000, 0);
    }
    bench.writer.wake();
    bench.wanted = 21;
    bench.writer.wake();
    await until('the wish', () => bench.actual === 21);
  });

  test('plans anew after a refusal, and complains once of one that stays', async () => {
    const bench = new Bench();
    bench.wanted = 7;
    const same = (): Error => new OvsdbError('constraint violation', 'a name twice');
    bench.refusals.push(new OvsdbError('timed out'), same(), same(), same());
    bench.writer.wake();
    await until('the wish', () => bench.actual === 7);
    expect([bench.sent.length, bench.failed]).toEqual([5, 4]);
    expect(bench.logged.filter((line) => line.startsWith('error'))).toHaveLength(1);
  });

  test('sends nothing once stopped or cut off', async () => {
    const bench = new Bench();
    bench.wanted = 1;
    bench.refusals.push(new OvsdbError('timed out'));
    bench.writer.wake();
    await until('a failure', () => bench.failed === 1);
    bench.writer.stop();
    bench.writer.wake();
    await sleep(50);
    expect(bench.sent.length).toBe(1);
    const cut = new Bench();
    cut.wanted = 1;
    cut.refusals.push(new ConnectionClosedError('gone'));
    cut.writer.wake();
    await sleep(50);
    expect([cut.sent.length, cut.failed]).toEqual([1, 1]);
    expect([...bench.logged, ...cut.logged].filter((line) => line.startsWith('error'))).toEqual([]);
  });

  test('slows down when somebody undoes what it writes, not when wishes change', async () => {
    const quarrel = new Bench((bench) => {
      bench.actual = -1;
    });
    quarrel.wanted = 1;
    quarrel.writer.wake();
    await until('a complaint', () => quarrel.logged.some((line) => line.includes('undo')));
    const before = quarrel.sent.length;
    await sleep(100);
    expect(quarrel.sent.length).toBe(before);
    quarrel.writer.stop();

    const wishes = new Bench();
    for (let wish = 1; wish <= 120; wish++) {
      wishes.wanted = wish;
      wishes.writer.renew();
      await until('the wish', () => wishes.actual === wish, 1000, 0);
    }
    expect(wishes.logged.filter((line) => line.includes('undo'))).toEqual([]);
  });
});

test('a configuration that ovs-vswitchd does not take is complained of once, and its recovery told', async () => {
  const logged: string[] = [];
  const note = (_: object, message: string): unknown => logged.push(message);
  const watch = new AppliedWatch({ debug: note, info: note, warn: note, error: note } as ChassisLog, 30);
  watch.see({ next_cfg: 5, cur_cfg: 4 });
  watch.see({ next_cfg: 5, cur_cfg: 5 });
  await sleep(60);
  expect(logged).toEqual([]);
  for (let next_cfg = 6; next_cfg < 9; next_cfg++) watch.see({ next_cfg, cur_cfg: 5 });
  await until('a complaint', () => logged.length === 1);
  watch.see({ next_cfg: 9, cur_cfg: 5 });
  await sleep(60);
  watch.see({ next_cfg: 9, cur_cfg: 9 });
  expect(logged).toEqual([
    expect.stringMatching(/has not taken its configuration/),
    expect.stringMatching(/takes its configuration again/),
  ]);
});
