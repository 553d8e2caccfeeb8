/** What the room tells of itself, for /metrics. Who used what is in /v1/usage: names would be labels without end. */
import type { Metric } from '../reconcile/contract.ts';
import type { Ledger } from './ledger.ts';
import type { Meter } from './meter.ts';

export function usageMetrics(ledger: Ledger, { counts }: Meter): Metric[] {
  const { received, sent } = ledger.total;
  const both = (key: 'packets' | 'bytes'): Metric['values'] => [
    { labels: { direction: 'received' }, value: received[key] },
    { labels: { direction: 'sent' }, value: sent[key] },
  ];
  return [
    {
      name: 'keyway_usage_accounts',
      help: 'Ports and public addresses whose use is counted',
      type: 'gauge',
      values: [{ value: ledger.size }],
    },
    {
      name: 'keyway_usage_bytes_total',
      help: 'Bytes counted for ports and public addresses since the start; what passes both is counted for both',
      type: 'counter',
      values: both('bytes'),
    },
    {
      name: 'keyway_usage_packets_total',
      help: 'Packets counted alike',
      type: 'counter',
      values: both('packets'),
    },
    {
      name: 'keyway_usage_readings_total',
      help: 'Times counters were asked of a switch: read, not connected then, or failed',
      type: 'counter',
      values: (['read', 'unreachable', 'failed'] as const).map((outcome) => ({
        labels: { outcome },
        value: counts[outcome],
      })),
    },
    {
      name: 'keyway_usage_writes_failed_total',
      help: 'Times usage could not be made durable; what was counted is kept and written later',
      type: 'counter',
      values: [{ value: counts.unwritten }],
    },
  ];
}
