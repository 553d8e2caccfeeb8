/** When a gateway host tells that nothing leads anywhere there, with the switch played by the test. */
import { expect, test } from 'vitest';
import { PathGuard } from '../../src/gateway-host/path-guard.ts';
import { until } from '../../src/sandbox/ephemeral.ts';

type Answer = boolean | Error | Promise<boolean>;

function guarded(answers: Answer[]): { guard: PathGuard; said: boolean[]; good: () => number; asked: () => number } {
  const said: boolean[] = [];
  let asked = 0;
  let good = 0;
  const guard = new PathGuard({
    database: () => ({ setPathDown: (down) => said.push(down) }),
    packets: () => ({
      programmed: async () => {
        const answer = answers[Math.min(asked++, answers.length - 1)]!;
        if (answer instanceof Error) throw answer;
        return await answer;
      },
    }),
    onGood: () => good++,
    log: { info: () => {}, debug: () => {} },
  });
  return { guard, said, good: () => good, asked: () => asked };
}

test('a switch with flows is good, one that has gone is not, and not before it has flows again', async () => {
  const { guard, said, good, asked } = guarded([true, false, new Error('it is gone'), false, true]);
  guard.connected();
  await until('the first answer', () => said.length === 1);
  expect(said).toEqual([false]);
  expect([guard.isGood, good()]).toEqual([true, 1]);
  guard.disconnected();
  expect(said).toEqual([false, true]);
  expect([guard.isGood, good()]).toEqual([false, 1]);
  guard.connected();
  await until('it to be good', () => said.at(-1) === false);
  expect(said).toEqual([false, true, true, true, true, false]);
  expect([guard.isGood, good()]).toEqual([true, 2]);
  // Once it has flows nobody asks any more.
  const before = asked();
  await new Promise((resolve) => setTimeout(resolve, 250));
  expect(asked()).toBe(before);
  guard.close();
});

test('an answer of a connection that has ended says nothing', async () => {
  let answer: (programmed: boolean) => void = () => {};
  const late = new Promise<boolean>((resolve) => {
    answer = resolve;
  });
  const { guard, said } = guarded([late, false]);
  guard.connected();
  guard.disconnected();
  answer(true);
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(said).toEqual([true]);
  guard.connected();
  await until('two looks', () => said.length >= 3);
  guard.close();
  const ended = said.length;
  await new Promise((resolve) => setTimeout(resolve, 250));
  expect(said).toEqual(Array.from({ length: ended }, () => true));
});
