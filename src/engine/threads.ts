/** How the threads do: the main one, and the one a plugin has of its own. */
import type { SwitchPlugin } from '../drivers/switch-plugin.ts';
import type { ThreadLoad, ThreadMeter } from '../drivers/thread-load.ts';
import type { Metric } from '../reconcile/contract.ts';

/** By name of the thread. */
export async function threadLoads(
  meter: ThreadMeter,
  plugin: Pick<SwitchPlugin, 'load'>,
): Promise<Map<string, ThreadLoad>> {
  const loads = new Map([['main', meter.read()]]);
  const southbound = await plugin.load?.();
  if (southbound !== undefined) loads.set('southbound', southbound);
  return loads;
}

export function threadMetrics(loads: ReadonlyMap<string, ThreadLoad>): Metric[] {
  const each = (name: string, help: string, value: (load: ThreadLoad) => number): Metric => ({
    name,
    help,
    type: 'gauge',
    values: [...loads].map(([thread, load]) => ({ labels: { thread }, value: value(load) })),
  });
  return [
    {
      name: 'keyway_event_loop_delay_seconds',
      help: 'By how much the event loop of each thread was late, over the last one to two minutes',
      type: 'gauge',
      values: [...loads].flatMap(([thread, { delay }]) => [
        { labels: { thread, quantile: '0.5' }, value: delay.p50 },
        { labels: { thread, quantile: '0.99' }, value: delay.p99 },
        { labels: { thread, quantile: '1' }, value: delay.max },
      ]),
    },
    each('keyway_thread_heap_bytes', 'JavaScript heap of each thread', ({ heapUsed }) => heapUsed),
    each('keyway_thread_external_bytes', 'Buffers of each thread beside its heap', ({ external }) => external),
  ];
}
