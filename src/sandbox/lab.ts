import { type Enclosure, openEnclosure } from './enclosure.ts';
import { ephemeralDirectory } from './ephemeral.ts';
import { type PacketCapture, startCapture } from './lab-capture.ts';
import { createLabController, type LabController } from './lab-controller.ts';
import { createLabVm, type LabVm, type VmDescription } from './lab-vm.ts';
import type { OpenVswitch } from './open-vswitch/find.ts';
import type { DaemonName } from './open-vswitch/instance.ts';
import type { HypervisorFacts } from './operations.ts';
import type { Outcome } from './run.ts';

/** Hypervisors, VMs and a controller in namespaces, driven from outside: what the sandbox shows and end-to-end tests use. */
export type Lab = AsyncDisposable &
  LabController & {
    /** Everything the lab writes; gone with it. */
    directory: string;
    enclosure: Enclosure;
    addHypervisor(name: string, options?: { systemId?: string }): Promise<LabHypervisor>;
    /** Makes the VM; `plug` it once its hypervisor has an integration bridge. */
    addVm(description: VmDescription): Promise<LabVm>;
    /** Runs a program in the namespace the controller is in. */
    exec(program: string, args: string[], options?: ExecOptions): Promise<Outcome>;
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
};

function createLabHypervisor(enclosure: Enclosure, openVswitch: OpenVswitch, facts: HypervisorFacts): LabHypervisor {
  const { name } = facts;
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
  };
}

/** @throws Error when the namespaces cannot be had; namespacesForbidden says why. */
export async function openLab(openVswitch: OpenVswitch): Promise<Lab> {
  const files = ephemeralDirectory('keyway-');
  const directory = files.path;
  try {
    const enclosure = await openEnclosure({ directory, openVswitch });
    return {
      directory,
      enclosure,
      ...createLabController(enclosure, directory),
      async addHypervisor(name, options = {}) {
        return createLabHypervisor(
          enclosure,
          openVswitch,
          await enclosure.call('hypervisor.add', { name, ...options }),
        );
      },
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
