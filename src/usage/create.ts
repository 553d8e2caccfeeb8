/** The room as one service. */
import type { Logger } from 'pino';
import type { SwitchPlugin } from '../drivers/switch-plugin.ts';
import type { Commit, Path, Resource, View } from '../intent/model.ts';
import type { Fleet } from '../inventory/fleet.ts';
import type { Placement } from '../inventory/placement.ts';
import type { Metric } from '../reconcile/contract.ts';
import { Ledger } from './ledger.ts';
import { listUsage } from './list.ts';
import { Meter } from './meter.ts';
import { usageMetrics } from './metrics.ts';
import { UsageReader } from './reader.ts';
import { nothing } from './reading.ts';
import type { Usage, UsageService } from './service.ts';
import type { UsageStorage } from './storage.ts';

export type UsageOptions = {
  view: View;
  fleet: Fleet;
  placement: Placement;
  plugin: Pick<SwitchPlugin, 'installed' | 'portCounters'>;
  storage: UsageStorage;
  log: Logger;
  now?(): number;
  /** Milliseconds in which every switch is read once; a minute unless told. */
  interval?: number;
  /** Milliseconds for which the figures of what was deleted are kept; 40 days unless told. */
  retention?: number;
};

export type UsageRoom = {
  service: UsageService;
  /** What was committed; called before anything is told to switches. */
  committed(commit: Commit): void;
  /** The port may have been bound, or be bound elsewhere. */
  bound(port: Path): void;
  /** Reads every switch now, all at once. */
  readAll(): Promise<void>;
};

const day = 86_400_000;

/** @throws Problem store.unavailable */
export async function createUsageRoom({
  interval = 60_000,
  retention = 40 * day,
  now = Date.now,
  plugin,
  storage,
  ...around
}: UsageOptions): Promise<UsageRoom> {
  const ledger = new Ledger({ now, monotonic: () => performance.now() });
  const reader = new UsageReader({ ...around, plugin, ledger });
  const meter = new Meter({ ...around, ledger, reader, storage, now, interval, retention });
  await meter.start();
  return {
    service: {
      of: async (path) => {
        const resource = meteredAt(around.view, path);
        return resource && (await usageOf(ledger, meter, resource));
      },
      list: (query) => listUsage(storage, query, now()),
      metrics: (): Metric[] => usageMetrics(ledger, meter),
      stop: () => meter.stop(),
    },
    committed: (commit) => meter.take(commit),
    bound: (port) => meter.bound(port),
    readAll: () => meter.readAll(),
  };
}

type MeteredResource = Resource<'port'> | Resource<'public-ip'>;

function meteredAt(view: View, path: Path): MeteredResource | undefined {
  return view.getAs('port', path) ?? view.getAs('public-ip', path);
}

async function usageOf(ledger: Ledger, meter: Meter, resource: MeteredResource): Promise<Usage> {
  const complete = await meter.readNow(resource);
  const { received, sent, since, at } = ledger.account(resource.uid) ?? {
    ...nothing(),
    since: resource.createdAt,
    at: resource.createdAt,
  };
  return { received: { ...received }, sent: { ...sent }, since, at, complete };
}
