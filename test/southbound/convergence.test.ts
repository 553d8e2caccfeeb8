/** Whatever is asked for, and whatever goes wrong on the way: the switch ends with exactly what was asked for last. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodeFlows } from '../../plugins/openvswitch/openflow/record.ts';
import type { Flow } from '../../src/pipeline/flow.ts';
import { until } from '../../src/sandbox/ephemeral.ts';
import { contents, entryOf, type FakeSwitch, OFPT, type Received } from './fake-switch.ts';
import { flow } from './flows.ts';
import { SouthboundUnderTest } from './southbound-under-test.ts';

const faults = {
  'cut off': (_received: Received, fake: FakeSwitch) => fake.drop(),
  'carried out, then cut off': (received: Received, fake: FakeSwitch) => {
    fake.handle(received);
    fake.drop();
  },
  'refused as a whole': (received: Received, fake: FakeSwitch) => fake.error(received.xid, [17, 0]),
  'edited by hand, then cut off': (_received: Received, fake: FakeSwitch) => {
    fake.flows.delete([...fake.flows.keys()][0] ?? '');
    fake.add(entryOf(encodeFlows([flow(9, 9_999, { cookie: 9n })])));
    fake.drop();
  },
  // Of an add this would be a lie: a switch that did not take it says so.
  'swallowed, but for adds': (received: Received, fake: FakeSwitch) => {
    if (received.type === OFPT.bundleAdd) fake.handle(received);
  },
};

const faultArbitrary = fc.constantFrom(...(Object.keys(faults) as (keyof typeof faults)[]));
/** Faults by the number of the bundle message they strike. */
const scheduleArbitrary = fc.array(fc.tuple(fc.integer({ min: 1, max: 60 }), faultArbitrary), { maxLength: 6 });

const unitArbitrary = fc.option(
  fc.uniqueArray(fc.record({ port: fc.nat(9), goto: fc.constantFrom(12, 14) }), {
    selector: ({ port }) => port,
    maxLength: 6,
  }),
  { nil: undefined },
);
const passArbitrary = fc.record({
  units: fc.dictionary(fc.constantFrom('a', 'b', 'c'), unitArbitrary, { minKeys: 1 }),
  wait: fc.boolean(),
});

test('random changes on a switch that fails at random', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(passArbitrary, { minLength: 1, maxLength: 12 }),
      scheduleArbitrary,
      async (passes, schedule) => {
        await using under = await new SouthboundUnderTest({ bundleTimeout: 60, replyTimeout: 60 }).start();
        under.admit(1);
        let messages = 0;
        let over = false;
        const fake = under.fake(1, {
          intercept: (received, self) => {
            if (received.type !== OFPT.bundleAdd && received.type !== OFPT.bundleControl) return false;
            messages++;
            const struck = schedule.find(([number]) => number === messages);
            if (struck === undefined || over) return false;
            faults[struck[1]](received, self);
            return true;
          },
        });
        const comeBack = async (): Promise<void> => {
          if (over) return;
          await fake.connect();
          void fake.closed.then(comeBack);
        };
        await comeBack();
        const state = new Map<string, Flow[]>();
        let sequence = 0;
        for (const { units, wait } of passes) {
          const flows: Record<string, Flow[] | undefined> = {};
          for (const [unit, list] of Object.entries(units)) {
            const first = unit.charCodeAt(0) * 100;
            flows[unit] = list?.map(({ port, goto }) => flow(unit.charCodeAt(0), first + port, { goto }));
            if (flows[unit] === undefined) state.delete(unit);
            else state.set(unit, flows[unit]);
          }
          sequence = under.apply(flows);
          if (wait) await under.acknowledged(sequence);
        }
        await under.acknowledged(sequence);
        const wanted = contents(encodeFlows([...state.values()].flat())).join();
        await until('the final state', () => fake.contents().join() === wanted);
        over = true;
        expect(under.all('rejected')).toEqual([]);
        const told = under.all('acknowledged').map(([, number]) => number);
        expect(told).toEqual(told.toSorted((one, other) => one - other));
      },
    ),
    { numRuns: 100 },
  );
});
