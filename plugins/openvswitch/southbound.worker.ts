/** The southbound thread: takes messages for `Southbound`, sends events up in one message per turn. */
import { inspect } from 'node:util';
import { parentPort, workerData } from 'node:worker_threads';
import type { SwitchEvents } from '../../src/drivers/switch-plugin.ts';
import { ThreadMeter } from '../../src/drivers/thread-load.ts';
import { Problem } from '../../src/problems.ts';
import { ChassisServer } from './chassis/server.ts';
import { giveBack } from './openflow/bytes.ts';
import type { Log } from './switch/settings.ts';
import { Southbound } from './switch/southbound.ts';
import type {
  Failure,
  FromWorker,
  RequestName,
  Requests,
  SwitchEvent,
  ToWorker,
  WorkerOptions,
} from './switch/thread.ts';

const port = parentPort;
if (port === null) throw new Error('southbound.worker runs as a worker thread only');
const options = workerData as WorkerOptions;

function post(message: FromWorker, transfer: ArrayBuffer[] = []): void {
  port!.postMessage(message, transfer);
}

/**
 * Milliseconds an acknowledgement waits for those of other switches the same pass went to: each message costs two threads
 * a wake-up, and whoever waits for a pass waits for all of them.
 */
const acknowledgementsWait = 2;

let waiting: SwitchEvent[] = [];
let due: NodeJS.Immediate | undefined;
let late: NodeJS.Timeout | undefined;

function emit(event: SwitchEvent): void {
  waiting.push(event);
  if (due !== undefined) return;
  if (event.name === 'acknowledged' && southbound.programming > 0) late ??= setTimeout(flush, acknowledgementsWait);
  else due = setImmediate(flush);
}

function flush(): void {
  clearImmediate(due);
  clearTimeout(late);
  due = undefined;
  late = undefined;
  if (waiting.length === 0) return;
  const events = waiting;
  waiting = [];
  post({ type: 'events', events });
}

const events: SwitchEvents = {
  chassis: (...params) => emit({ name: 'chassis', params }),
  chassisGone: (...params) => emit({ name: 'chassisGone', params }),
  refused: (...params) => emit({ name: 'refused', params }),
  interfaces: (...params) => emit({ name: 'interfaces', params }),
  tunnels: (...params) => emit({ name: 'tunnels', params }),
  patches: (...params) => emit({ name: 'patches', params }),
  connected: (...params) => emit({ name: 'connected', params }),
  disconnected: (...params) => emit({ name: 'disconnected', params }),
  acknowledged: (...params) => emit({ name: 'acknowledged', params }),
  rejected: (...params) => emit({ name: 'rejected', params }),
  accepted: (...params) => emit({ name: 'accepted', params }),
  drifted: (...params) => emit({ name: 'drifted', params }),
  packetIn: (...params) => emit({ name: 'packetIn', params }),
};

const levels = ['debug', 'info', 'warn', 'error'] as const;

function logger(): Log {
  const lowest = options.logLevel === 'silent' ? levels.length : levels.indexOf(options.logLevel);
  const at =
    (level: keyof Log) =>
    (fields: object, message: string): void => {
      if (levels.indexOf(level) < lowest) return;
      try {
        post({ type: 'log', level, fields, message });
      } catch (error) {
        // A field that cannot be copied to another thread must not cost the line, nor the thread.
        post({ type: 'log', level, fields: { fields: inspect(fields), copying: String(error) }, message });
      }
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

const log = logger();

function controllerTarget(localAddress: string | undefined, openflowPort: number): string {
  const address = localAddress === undefined ? '127.0.0.1' : (options.advertise ?? localAddress);
  return `tcp:${address.includes(':') ? `[${address}]` : address}:${openflowPort}`;
}

const meter = new ThreadMeter();

const southbound = new Southbound({
  openflow: options.listenOpenflow,
  trustedNetworks: options.trustedNetworks,
  insecure: options.insecure,
  settings: options.settings,
  makeChassis: (openflowPort) =>
    new ChassisServer({
      listen: options.listenOvsdb,
      trustedNetworks: options.trustedNetworks,
      insecure: options.insecure,
      openflowTarget: (localAddress) => controllerTarget(localAddress, openflowPort),
      encapsulation: 'gre',
      tunnelLocalIp: options.tunnelLocalIp,
      events,
      log,
    }),
  events,
  log,
});

type Handlers = { [Name in RequestName]: (...params: Requests[Name]['params']) => Promise<Requests[Name]['result']> };

const handlers: Handlers = {
  start: () => southbound.start(),
  stop: async () => {
    await southbound.stop();
    return undefined;
  },
  flushZone: async (hypervisor, zone) => {
    await southbound.flushZone(hypervisor, zone);
    return undefined;
  },
  forgetConnections: async (hypervisor, connections) => {
    await southbound.forgetConnections(hypervisor, connections);
    return undefined;
  },
  sendPacket: async (hypervisor, packet) => {
    await southbound.sendPacket(hypervisor, packet);
    return undefined;
  },
  installed: (hypervisor, cookies) => southbound.installed(hypervisor, cookies),
  counted: (hypervisor, cookies) => southbound.counted(hypervisor, cookies),
  portCounters: (hypervisor, ofports) => southbound.portCounters(hypervisor, ofports),
  desired: async (hypervisor) => southbound.desired(hypervisor),
  drift: (hypervisor) => southbound.drift(hypervisor),
  held: (hypervisor) => southbound.held(hypervisor),
  health: (hypervisor) => southbound.health(hypervisor),
  stats: async () => southbound.stats(),
  load: async () => meter.read(),
};

/** The buffers of a result, which is ours alone. */
function buffersOf(result: unknown): ArrayBuffer[] {
  const values = ArrayBuffer.isView(result) ? [result] : Object.values((result as object | undefined) ?? {});
  const buffers = values.filter((value) => ArrayBuffer.isView(value)).map((view) => view.buffer as ArrayBuffer);
  return [...new Set(buffers)];
}

function failureOf(error: unknown): Failure {
  if (error instanceof Problem) return { code: error.code, detail: error.detail, errors: error.errors };
  return { message: error instanceof Error ? error.message : String(error) };
}

async function answer(id: number, name: RequestName, params: readonly unknown[]): Promise<void> {
  try {
    const handler = handlers[name] as (...params: readonly unknown[]) => Promise<unknown>;
    const result = await handler(...params);
    // What happened before the answer is told before it.
    flush();
    post({ type: 'reply', id, result }, buffersOf(result));
  } catch (error) {
    flush();
    post({ type: 'failure', id, failure: failureOf(error) });
  }
}

port.on('message', (message: ToWorker) => {
  switch (message.type) {
    case 'admit':
      southbound.admit(message.admission);
      break;
    case 'dismiss':
      southbound.dismiss(message.hypervisor);
      break;
    case 'setTunnels':
      southbound.setTunnels(message.hypervisor, message.tunnels);
      break;
    case 'setPatches':
      southbound.setPatches(message.hypervisor, message.patches);
      break;
    case 'ready':
      southbound.ready(message.hypervisor);
      break;
    case 'apply':
      southbound.apply(message.pass);
      // The slab has a copy.
      giveBack(message.pass.flows);
      break;
    case 'request':
      void answer(message.id, message.name, message.params);
      break;
  }
});
