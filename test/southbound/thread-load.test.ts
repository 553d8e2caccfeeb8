import { expect, test } from 'vitest';
import { ThreadMeter } from '../../src/drivers/thread-load.ts';

test('a blocked event loop shows, an idle one does not', async () => {
  const meter = new ThreadMeter();
  try {
    await new Promise((resolve) => setTimeout(resolve, 100));
    const blockedFrom = performance.now();
    while (performance.now() - blockedFrom < 300);
    await new Promise((resolve) => setTimeout(resolve, 50));
    const { delay } = meter.read();
    expect(delay.max).toBeGreaterThan(0.25);
    expect(delay.max).toBeLessThan(10);
    expect(delay.p50).toBeLessThan(0.1);
    expect(delay.p50).toBeLessThanOrEqual(delay.p99);
  } finally {
    meter.stop();
  }
});
