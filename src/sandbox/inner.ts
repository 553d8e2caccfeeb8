/**
 * The process inside the sandbox's namespaces. It owns every other process there and does what it is told, one JSON line
 * at a time; when its standard input closes it ends, and with it, as process 1, everything in its process namespace.
 */
import { mkdirSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type Capture, startCapture } from './capture.ts';
import { type ControllerProcess, startControllerProcess } from './controller-process.ts';
import { type Fabric, startFabric } from './fabric.ts';
import { sendFrame } from './frame.ts';
import { createHost } from './host.ts';
import { datapathType, type Hypervisor, startHypervisor } from './hypervisor.ts';
import { createNamespace, type NetworkNamespace, ownNamespace } from './namespace.ts';
import {
  type Answer,
  type Call,
  type OperationName,
  type Parameters,
  type Reply,
  type Setting,
  settingVariable,
} from './operations.ts';
import { makeTools, type Program, startProgram } from './program.ts';
import { attachHypervisor, createUnderlay } from './underlay.ts';
import { createVm, move, plug, serve, unplug, type Vm } from './vm.ts';

type Implementation = { [N in OperationName]: (parameters: Parameters<N>) => Promise<Answer<N>> | Answer<N> };

const setting = JSON.parse(process.env[settingVariable] ?? '') as Setting;
delete process.env[settingVariable];
const { openVswitch } = setting;
const { env } = openVswitch;

const namespaceDirectory = join(setting.directory, 'ns');
mkdirSync(namespaceDirectory, { recursive: true });
const tools = makeTools(setting.directory, openVswitch);
const own = await ownNamespace('controller', env);
await createUnderlay(own);

const hypervisors = new Map<string, Hypervisor>();
const vms = new Map<string, Vm>();
const hosts = new Map<string, NetworkNamespace>();
const programs = new Map<string, Program>();
const captures = new Map<number, Capture>();
let counter = 0;
let controller: ControllerProcess | undefined;
let fabric: Promise<Fabric> | undefined;

function named<T>(map: ReadonlyMap<string, T>, name: string): T {
  const value = map.get(name);
  if (value === undefined) throw new Error(`there is no ${name} here; there are: ${[...map.keys()].join(', ')}`);
  return value;
}

function namespaceOf(name: string): NetworkNamespace {
  if (name === 'controller') return own;
  const host = hosts.get(name);
  return host ?? (hypervisors.get(name) ?? named(vms, name)).namespace;
}

/** Started when the first switch is asked for. */
function theFabric(): Promise<Fabric> {
  fabric ??= (async () => {
    const { directory } = setting;
    const namespace = await createNamespace('fabric', namespaceDirectory, env);
    hosts.set('fabric', namespace);
    return startFabric({ namespace, openVswitch, directory });
  })();
  return fabric;
}

function runningProgram(namespace: string, name: string): Program {
  return named(programs, `${namespace} ${name}`);
}

function runningCapture(number: number): Capture {
  const capture = captures.get(number);
  if (capture === undefined) throw new Error(`capture ${number} is not running`);
  return capture;
}

const operations: Implementation = {
  async 'hypervisor.add'({ name, systemId = name, physical = [] }) {
    counter += 1;
    const index = counter;
    const namespace = await createNamespace(name, namespaceDirectory, env);
    const addresses = await attachHypervisor(own, namespace, index);
    const { directory } = setting;
    const uplinks = physical.map((link, i) => ({ ...link, device: `phys${i}` }));
    for (const { segment, device } of uplinks) {
      await (await theFabric()).connect(segment, { namespace, device });
      await namespace.ip(`link set ${device} arp off up`);
    }
    const facts = { name, namespace, addresses, openVswitch, directory, systemId, physical: uplinks };
    const hypervisor = await startHypervisor(facts);
    hypervisors.set(name, hypervisor);
    await Promise.all([
      hypervisor.meet(hypervisors.values()),
      ...[...hypervisors.values()].map((other) => other.meet([hypervisor])),
    ]);
    return {
      name,
      systemId,
      managementIp: addresses.management,
      encapIp: addresses.encap,
      directory: hypervisor.vswitch.directory,
    };
  },
  'hypervisor.vsctl': ({ name, args }) => named(hypervisors, name).vswitch.vsctl(...args),
  'hypervisor.ofctl': ({ name, bridge, command, args }) =>
    named(hypervisors, name).vswitch.ofctl(bridge, command, ...args),
  'hypervisor.appctl': ({ name, args }) => named(hypervisors, name).vswitch.appctl(...args),
  async 'hypervisor.kill'({ name, daemon, signal }) {
    await named(hypervisors, name).vswitch.kill(daemon, signal);
    return null;
  },
  async 'hypervisor.start'({ name, daemon }) {
    const hypervisor = named(hypervisors, name);
    await hypervisor.start(daemon);
    await hypervisor.meet(hypervisors.values());
    return null;
  },
  async 'hypervisor.links'({ name, state }) {
    const { namespace, wires } = named(hypervisors, name);
    await namespace.ip(...wires.map((device) => `link set ${device} ${state}`));
    return null;
  },
  async 'segment.add'({ name, trunkTo }) {
    await (await theFabric()).addSegment(name, trunkTo);
    return null;
  },
  'fabric.vsctl': async ({ args }) => (await theFabric()).vswitch.vsctl(...args),
  'fabric.appctl': async ({ args }) => (await theFabric()).vswitch.appctl(...args),
  async 'host.add'(description) {
    const namespace = await createNamespace(description.name, namespaceDirectory, env);
    hosts.set(description.name, namespace);
    await createHost(description, namespace, await theFabric());
    return null;
  },
  'program.start'({ namespace, name, args }) {
    if (programs.get(`${namespace} ${name}`)?.running()) throw new Error(`${name} runs in ${namespace} already`);
    const log = join(setting.directory, `${namespace}-${name}.log`);
    programs.set(`${namespace} ${name}`, startProgram(namespaceOf(namespace), args, { tools, log }));
    return null;
  },
  'program.ended': ({ namespace, name }) => runningProgram(namespace, name).ended,
  async 'program.kill'({ namespace, name, signal }) {
    await runningProgram(namespace, name).stop(signal);
    return null;
  },
  async 'vm.add'({ name, hypervisor, ...rest }) {
    counter += 1;
    const vif = `vif${counter}`;
    const namespace = await createNamespace(name, namespaceDirectory, env);
    vms.set(name, await createVm({ name, namespace, vif, hypervisor: named(hypervisors, hypervisor), ...rest }));
    return null;
  },
  async 'vm.plug'({ name, bridge, ifaceId }) {
    await plug(named(vms, name), bridge, ifaceId);
    return null;
  },
  async 'vm.unplug'({ name }) {
    await unplug(named(vms, name));
    return null;
  },
  async 'vm.move'({ name, hypervisor, bridge }) {
    await move(named(vms, name), named(hypervisors, hypervisor), bridge);
    return null;
  },
  serve({ namespace, port, answer }) {
    serve(namespaceOf(namespace), port, answer, env);
    return null;
  },
  exec: ({ namespace, program, args, ...options }) => namespaceOf(namespace).attempt(program, args, options),
  async 'frame.send'({ namespace, interface: device, hex }) {
    await sendFrame(namespaceOf(namespace), device, hex);
    return null;
  },
  async 'capture.start'({ namespace, interface: device }) {
    const capture = await startCapture(namespaceOf(namespace), device, env);
    counter += 1;
    captures.set(counter, capture);
    return counter;
  },
  'capture.seen': ({ capture }) => runningCapture(capture).seen(),
  'capture.stop'({ capture }) {
    const running = runningCapture(capture);
    captures.delete(capture);
    return running.stop();
  },
  async 'controller.start'(request) {
    if (controller?.running()) throw new Error('the controller runs already');
    const settings = { ...request, tunnelLocalIp: datapathType() === 'netdev' };
    controller = await startControllerProcess(settings, join(setting.directory, 'controller.log'));
    return controller.facts;
  },
  'controller.ended': () => controller?.ended ?? 'it was never started',
  async 'controller.kill'({ signal }) {
    await controller?.stop(signal);
    return null;
  },
};

function answer(reply: Reply): void {
  process.stdout.write(`${JSON.stringify(reply)}\n`);
}

async function perform(call: Call): Promise<void> {
  try {
    const operation = operations[call.operation] as (parameters: unknown) => unknown;
    answer({ id: call.id, answer: await operation(call.parameters) });
  } catch (error) {
    answer({ id: call.id, error: error instanceof Error ? error.message : String(error) });
  }
}

flushCompileCache();
// Ready: what is asked from now on is answered.
answer({ id: 0 });
for await (const line of createInterface({ input: process.stdin })) void perform(JSON.parse(line) as Call);
process.exit(0);
