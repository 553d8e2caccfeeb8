/** A controller without its API, on a memory store, with dummy switches that connect to it. */
import { type Logger, pino } from 'pino';
import { type OpenVswitchOptions, OpenVswitchPlugin } from '../../plugins/openvswitch/plugin.ts';
import { type Core, startCore } from '../../src/core.ts';
import { tableName } from '../../src/pipeline/tables.ts';
import { openMemoryStore } from '../../src/store/memory.ts';
import type { Store } from '../../src/store/store.ts';
import type { UsageStorage } from '../../src/usage/storage.ts';
import { type DummySwitch, startDummySwitch } from './open-vswitch.ts';

export type TestCore = Core & AsyncDisposable & { store: Store; plugin: OpenVswitchPlugin };

export async function startTestCore(
  options: {
    store?: Store;
    plugin?: Partial<OpenVswitchOptions>;
    log?: Logger;
    usage?: UsageStorage;
    checkMtu?: boolean;
  } = {},
): Promise<TestCore> {
  const store = options.store ?? openMemoryStore();
  const log = options.log ?? pino({ level: process.env.KEYWAY_TEST_LOG ?? 'silent' });
  const plugin = new OpenVswitchPlugin({
    listenOvsdb: ['ptcp:0:127.0.0.1'],
    listenOpenflow: { host: '127.0.0.1', port: 0 },
    // The dummy datapath has no routes to a local address.
    tunnelLocalIp: false,
    tableName,
    log,
    onFatal: (error) => {
      throw error;
    },
    ...options.plugin,
  });
  const { usage, checkMtu = true } = options;
  const core = await startCore({ store, plugin, log, checkMtu, ...(usage && { usage }) });
  return { ...core, store, plugin, [Symbol.asyncDispose]: () => core.stop() };
}

/** A switch that is connected, approved and in sync. */
export async function joinSwitch(
  core: TestCore,
  name: string,
  encapIp: string,
  { prepare, gateway = false }: { prepare?(dummy: DummySwitch): Promise<void>; gateway?: boolean } = {},
): Promise<DummySwitch> {
  const dummy = await startDummySwitch({ systemId: name, manager: core.managers[0]!, encapIp });
  await prepare?.(dummy);
  const spec = { admission: 'approved', ...(gateway ? { gateway } : {}) };
  await core.intent.transact([{ op: 'put', path: `hypervisors/${name}`, spec }], { restrictedAllowed: true });
  const path = `hypervisors/${name}`;
  const deadline = performance.now() + 10_000;
  while (!core.fabric.connected(path)) {
    if (performance.now() > deadline) throw new Error(`${name} did not connect`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return dummy;
}

/** Until every switch has acknowledged everything there is. */
export async function settled(core: TestCore, timeout = 10_000): Promise<void> {
  const deadline = performance.now() + timeout;
  for (;;) {
    await core.engine.idle();
    const open = [...core.progress.all()].filter(
      ([, s]) => s.connected && (s.acknowledged < s.sent || s.missingTunnels > 0),
    );
    if (core.progress.observed >= core.intent.revision && open.length === 0) return;
    if (performance.now() > deadline) throw new Error(`not settled: ${JSON.stringify(open)}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Full recompute must find nothing to change. */
export function differences(core: TestCore): string[] {
  return core.engine.compiler.recompute().different;
}
