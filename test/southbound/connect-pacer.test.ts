import { expect, test } from 'vitest';
import { ConnectPacer } from '../../plugins/openvswitch/switch/connect-pacer.ts';

const settle = () => new Promise((resolve) => setImmediate(resolve));

test('so many at once, each once, and the next when one has ended', async () => {
  const pacer = new ConnectPacer({ atOnce: 2, patience: 60_000 });
  const ends: (() => void)[] = [];
  const turns = Array.from({ length: 7 }, () => pacer.turn().then((end) => ends.push(end)));
  await settle();
  expect(ends.length).toBe(2);
  for (let done = 0; done < 7; done++) {
    ends[done]!();
    // Ending twice frees one place only.
    ends[done]!();
    await settle();
    expect(ends.length).toBe(Math.min(7, done + 3));
  }
  await Promise.all(turns);
});

test('one that takes too long gives its place up', async () => {
  const pacer = new ConnectPacer({ atOnce: 1, patience: 20 });
  const slow = await pacer.turn();
  const next = await pacer.turn();
  slow();
  next();
});
