/** How often a port may ask, against the sum over time. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Rates } from '../../src/gateway-host/rates.ts';

test('never more than the burst and the rate together, and everybody on its own', () => {
  const steps = fc.array(fc.tuple(fc.nat(2), fc.nat(300)), { maxLength: 400 });
  fc.assert(
    fc.property(steps, (asked) => {
      let now = 0;
      const rates = new Rates(10, 5, () => now);
      const granted = new Map<number, number>();
      const alone = new Map([0, 1, 2].map((port) => [port, new Rates(10, 5, () => now)]));
      for (const [port, wait] of asked) {
        now += wait;
        const may = rates.take(port);
        expect(may).toBe(alone.get(port)!.take(port));
        if (may) granted.set(port, (granted.get(port) ?? 0) + 1);
        for (const count of granted.values()) expect(count).toBeLessThanOrEqual(5 + now / 100);
      }
    }),
  );
});

test('who asks seldom is never refused, and nobody is remembered for ever', () => {
  let now = 0;
  const rates = new Rates(10, 5, () => now);
  for (let port = 0; port < 1_000; port++) {
    now += 120;
    expect(rates.take(port % 3)).toBe(true);
  }
  for (let port = 0; port < 500; port++) rates.take(1_000 + port);
  now += 20_000;
  rates.take(1);
  expect(rates.size).toBeLessThanOrEqual(2);
});
