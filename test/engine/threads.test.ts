import { expect, test } from 'vitest';
import { startTestCore } from '../support/core.ts';

test('metrics tell how late the event loop of each thread is, and its memory', async () => {
  await using core = await startTestCore();
  const metrics = await core.fabric.metrics();
  const of = (name: string) => metrics.find((metric) => metric.name === name)!.values;
  const delays = of('keyway_event_loop_delay_seconds');
  const names = delays.map(({ labels }) => `${labels!.thread} ${labels!.quantile}`);
  expect(names).toEqual(['main 0.5', 'main 0.99', 'main 1', 'southbound 0.5', 'southbound 0.99', 'southbound 1']);
  for (const { value } of delays) {
    expect(value).toBeGreaterThanOrEqual(0);
    expect(value).toBeLessThan(60);
  }
  for (const name of ['keyway_thread_heap_bytes', 'keyway_thread_external_bytes']) {
    expect(of(name).map(({ labels }) => labels!.thread)).toEqual(['main', 'southbound']);
    for (const { value } of of(name)) expect(value).toBeGreaterThan(0);
  }
});
