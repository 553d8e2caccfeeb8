/** The controller without its API: store, intent, engine and switch plugin, joined. */
import type { Logger } from 'pino';
import type { GatewayServices } from './drivers/gateway-services.ts';
import type { SwitchPlugin } from './drivers/switch-plugin.ts';
import { ThreadMeter } from './drivers/thread-load.ts';
import { DecisionLog } from './engine/decision-log.ts';
import { Engine } from './engine/engine.ts';
import { createFabric } from './engine/fabric.ts';
import { type Counters, engineMetrics } from './engine/metrics.ts';
import { namingOf } from './engine/naming.ts';
import { inWords, purposeOfFlow } from './engine/purpose.ts';
import { unprovidedServices } from './engine/services.ts';
import { ServicesConfig } from './engine/services-config.ts';
import { StatusBoard } from './engine/status.ts';
import { type PacketTakers, switchEvents } from './engine/switch-events.ts';
import { threadLoads, threadMetrics } from './engine/threads.ts';
import { createUpkeep } from './engine/upkeep.ts';
import { Intent } from './intent/intent.ts';
import type { Fabric, Metric } from './reconcile/contract.ts';
import { Progress } from './reconcile/progress.ts';
import type { Upkeep } from './reconcile/upkeep.ts';
import type { Store } from './store/store.ts';
import { createTraceRoom } from './trace/create.ts';
import type { TraceService } from './trace/service.ts';
import { createUsageRoom } from './usage/create.ts';
import type { UsageService } from './usage/service.ts';
import { MemoryStorage, type UsageStorage } from './usage/storage.ts';

export type Core = {
  intent: Intent;
  engine: Engine;
  progress: Progress;
  status: StatusBoard;
  fabric: Fabric;
  upkeep: Upkeep;
  trace: TraceService;
  usage: UsageService;
  gatewayServices: GatewayServices;
  /** Where hypervisors connect, as ovs-vsctl set-manager takes it. */
  managers: string[];
  stop(): Promise<void>;
};

export type CoreOptions = {
  store: Store;
  plugin: SwitchPlugin;
  log: Logger;
  /** Bytes; 1500 unless told. */
  underlayMtu?: number;
  /** Whether routers tell senders of packets that are too big; they do unless told. */
  checkMtu?: boolean;
  /** Names of the drivers there are. */
  providers?: ReadonlySet<string>;
  /** Where usage lies; in memory unless told. */
  usage?: UsageStorage;
  /** Further figures for /metrics, of the plugin. */
  pluginMetrics?(nameOf: (hypervisor: number) => string): Promise<Metric[]>;
};

/** Loads intent, compiles it once, and only then lets switches in. */
export async function startCore({
  store,
  plugin,
  log,
  underlayMtu = 1500,
  checkMtu = true,
  providers = new Set(),
  usage: usageStorage = new MemoryStorage(),
  pluginMetrics = () => Promise.resolve([]),
}: CoreOptions): Promise<Core> {
  const progress = new Progress();
  const intent = await Intent.open(store, {
    releasable: (freedAt) => progress.passed(freedAt),
    largestMtu: underlayMtu - plugin.overhead,
    onError: (error) => log.error({ err: error }, 'a listener of intent failed'),
  });
  const engine = new Engine({ view: intent, store, plugin, progress, log, checkMtu });
  const status = new StatusBoard({
    view: intent,
    engine,
    progress,
    servicesOf: (n) => unprovidedServices(intent, n, providers),
  });
  const decisions = new DecisionLog({
    view: intent,
    log,
    nameOf: (h) => engine.fleet.name(h),
    portOf: (h, zone) => engine.bindings.placement.portInZone(h, zone),
  });
  const traceRoom = createTraceRoom(
    {
      view: intent,
      fleet: engine.fleet,
      placement: engine.bindings.placement,
      plugin,
      nextHopMac: (pool) => engine.state.nextHopMac(pool),
      purposeOf: (flow) => purposeOfFlow(intent, flow),
      inWords,
    },
    Date.now,
  );
  const takers: PacketTakers = new Map([...decisions.takers, ...traceRoom.takers, ...engine.nextHops.takers]);
  const counters: Counters = { drift: new Map(), refusedSessions: 0, decisions: decisions.counts };
  let ready = false;
  const { managers } = await plugin.start(
    switchEvents(intent, engine, progress, status, counters, log, takers),
    namingOf(intent, engine.fleet),
  );
  const gatewayServices = new ServicesConfig(engine.state, (error) =>
    log.error({ err: error }, 'what a gateway host is to serve could not be told'),
  );
  engine.compiler.onCompiled = (subjects) => gatewayServices.compiled(subjects);
  await engine.load(intent.revision);
  const usageRoom = await createUsageRoom({
    view: intent,
    fleet: engine.fleet,
    placement: engine.bindings.placement,
    plugin,
    storage: usageStorage,
    log,
  });
  intent.onCommit((commit) => usageRoom.committed(commit));
  status.onStatus((path) => usageRoom.bound(path));
  intent.onCommit((commit) => engine.push({ type: 'commit', commit }));
  intent.onCommit((commit) => gatewayServices.committed(commit));
  ready = true;
  const meter = new ThreadMeter();
  const readiness = () =>
    ready ? { ready, reason: 'intent is loaded and switches may connect' } : { ready, reason: 'stopping' };
  const fabric = createFabric({
    view: intent,
    engine,
    progress,
    plugin,
    metrics: async () => [
      ...engineMetrics(engine, progress, status, counters),
      ...threadMetrics(await threadLoads(meter, plugin)),
      ...usageRoom.service.metrics(),
      ...(await pluginMetrics((h) => engine.fleet.name(h))),
    ],
    ready: readiness,
  });
  const upkeep = createUpkeep({
    view: intent,
    engine,
    progress,
    status,
    plugin,
    store,
    gatewayServices,
    meter,
    ready: readiness,
    now: Date.now,
  });
  return {
    intent,
    engine,
    progress,
    status,
    fabric,
    upkeep,
    trace: traceRoom.service,
    usage: usageRoom.service,
    gatewayServices,
    managers,
    async stop() {
      ready = false;
      meter.stop();
      await usageRoom.service.stop();
      await engine.stop();
      await plugin.stop();
    },
  };
}
