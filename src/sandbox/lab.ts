import { dirname, join } from 'node:path';
import { type Enclosure, openEnclosure } from './enclosure.ts';
import { ephemeralDirectory } from './ephemeral.ts';
import type { HostDescription } from './host.ts';
import { type PacketCapture, startCapture } from './lab-capture.ts';
import { createLabController, type LabController } from './lab-controller.ts';
import { createLabHost, type LabHost } from './lab-host.ts';
import { createLabVm, type LabVm, type VmDescription } from './lab-vm.ts';
import type { OpenVswitch } from './open-vswitch/find.ts';
import type { DaemonName } from './open-vswitch/instance.ts';
import type { HypervisorFacts, PhysicalLink } from './operations.ts';
import type { Outcome } from './run.ts';

/** Hypervisors, VMs and a controller in namespaces, driven from outside: what the sandbox shows and end-to-end tests use. */
export type Lab = AsyncDisposable &
  LabController & {
    /** Everything the lab writes; gone with it. */
    directory: string;
    enclosure: Enclosure;
    /** Those there are, by the order in which they were added. */
    hypervisors: readonly LabHypervisor[];
    /** `physical`: bridges of its own to switches, named in its keyway-bridge-mappings. */
    addHypervisor(name: string, options?: { systemId?: string; physical?: PhysicalLink[] }): Promise<LabHypervisor>;
    /** A switch that learns MACs and knows VLANs; `trunkTo` joins it to another by a wire that carries every VLAN. */
    addSegment(name: string, options?: { trunkTo?: string }): Promise<LabSegment>;
    /** A machine on such switches, which no hypervisor has. */
    addHost(description: HostDescription): Promise<LabHost>;
    /** Makes the VM; `plug` it once its hypervisor has an integration bridge. */
    addVm(description: VmDescription): Promise<LabVm>;
    /** Runs a program in the namespace the controller is in. */
    exec(program: string, args: string[], options?: ExecOptions): Promise<Outcome>;
  };

export type LabSegment = {
  name: string;
  /** The MACs it has learnt, as `ovs-appctl fdb/show` prints them. */
  learnt(): Promise<string>;
};

/** A program of Keyway's on a hypervisor. */
export type LabProgram = {
  /** Resolves when it is gone. SIGKILL unless told. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Resolves when it has ended, with how and what it wrote last. */
  ended(): Promise<string>;
  /** What it wrote. */
  log: string;
};

export type ExecOptions = {
  input?: string;
  /** Milliseconds until it is killed; 30,000 unless told. */
  timeout?: number;
};

export type LabHypervisor = HypervisorFacts & {
  vsctl(...args: string[]): Promise<string>;
  /** On br-int: `ofctl('dump-flows', 'table=0')`. */
  ofctl(command: string, ...args: string[]): Promise<string>;
  appctl(...args: string[]): Promise<string>;
  exec(program: string, args: string[], options?: ExecOptions): Promise<Outcome>;
  kill(daemon: DaemonName, signal?: NodeJS.Signals): Promise<void>;
  start(daemon: DaemonName): Promise<void>;
  /** Of `uplink`, which carries the tunnels, unless told. */
  capture(options?: { interface?: string; filter?: string }): Promise<PacketCapture>;
  /** Cuts it off from the controller, or joins it again; the tunnels stay. */
  setManagementLink(state: 'up' | 'down'): Promise<void>;
  /** All of its wires at once, as when it loses power: management, tunnels, physical networks. */
  setLinks(state: 'up' | 'down'): Promise<void>;
  /** `keyway gateway-host --flag …` in its namespace: `startKeyway(['gateway-host', …])`. It ends with the lab. */
  startKeyway(args: string[]): Promise<LabProgram>;
};

function createLabHypervisor(enclosure: Enclosure, openVswitch: OpenVswitch, facts: HypervisorFacts): LabHypervisor {
  const { name } = facts;
  const labDirectory = dirname(facts.directory);
  const exec: LabHypervisor['exec'] = (program, args, options) =>
    enclosure.call('exec', { namespace: name, program, args, ...options });
  return {
    ...facts,
    vsctl: (...args) => enclosure.call('hypervisor.vsctl', { name, args }),
    ofctl: (command, ...args) => enclosure.call('hypervisor.ofctl', { name, bridge: 'br-int', command, args }),
    appctl: (...args) => enclosure.call('hypervisor.appctl', { name, args }),
    exec,
    async kill(daemon, signal) {
      await enclosure.call('hypervisor.kill', { name, daemon, ...(signal === undefined ? {} : { signal }) });
    },
    async start(daemon) {
      await enclosure.call('hypervisor.start', { name, daemon });
    },
    capture: (options = {}) =>
      startCapture(enclosure, openVswitch, { namespace: name, interface: 'uplink', ...options }),
    async setManagementLink(state) {
      const { status, stderr } = await exec('ip', ['link', 'set', 'mgmt0', state]);
      if (status !== 0) throw new Error(stderr);
    },
    async setLinks(state) {
      await enclosure.call('hypervisor.links', { name, state });
    },
    async startKeyway(args) {
      const which = { namespace: name, name: args[0] ?? '' };
      await enclosure.call('program.start', { ...which, args });
      return {
        async kill(signal = 'SIGKILL') {
          await enclosure.call('program.kill', { ...which, signal });
        },
        ended: () => enclosure.call('program.ended', which),
        log: join(labDirectory, `${name}-${which.name}.log`),
      };
    },
  };
}

/** @throws Error when the namespaces cannot be had; namespacesForbidden says why. */
export async function openLab(openVswitch: OpenVswitch): Promise<Lab> {
  const files = ephemeralDirectory('keyway-');
  const directory = files.path;
  try {
    const enclosure = await openEnclosure({ directory, openVswitch });
    const hypervisors: LabHypervisor[] = [];
    return {
      directory,
      enclosure,
      hypervisors,
      ...createLabController(enclosure, directory),
      async addHypervisor(name, options = {}) {
        const facts = await enclosure.call('hypervisor.add', { name, ...options });
        const hypervisor = createLabHypervisor(enclosure, openVswitch, facts);
        hypervisors.push(hypervisor);
        return hypervisor;
      },
      async addSegment(name, options = {}) {
        await enclosure.call('segment.add', { name, ...options });
        return { name, learnt: () => enclosure.call('fabric.appctl', { args: ['fdb/show', name] }) };
      },
      addHost: (description) => createLabHost(enclosure, openVswitch, description),
      addVm: (description) => createLabVm(enclosure, openVswitch, description),
      exec: (program, args, options) => enclosure.call('exec', { namespace: 'controller', program, args, ...options }),
      async [Symbol.asyncDispose]() {
        await enclosure[Symbol.asyncDispose]();
        await files[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await files[Symbol.asyncDispose]();
    throw error;
  }
}
