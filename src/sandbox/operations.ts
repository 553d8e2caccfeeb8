/** What the process inside the namespaces does for the one outside: one JSON line per call over its standard input and output. */
import type { CapturedFrame } from './capture.ts';
import type { OpenVswitch } from './open-vswitch/find.ts';
import type { DaemonName } from './open-vswitch/instance.ts';
import type { Outcome } from './run.ts';

export type HypervisorFacts = {
  name: string;
  /** external_ids:system-id. */
  systemId: string;
  managementIp: string;
  encapIp: string;
  /** Holds db.sock, BRIDGE.mgmt and logs. */
  directory: string;
};

export type ControllerSettings = {
  dataDir: string;
  /** Unix socket of the REST API. */
  apiSocket: string;
  /** Where OVSDB (port 6640) and OpenFlow (6653) sessions are taken. */
  address: string;
  /** Prefixes from which plain tcp is accepted. */
  trustedNetworks: string[];
  /** Write options:local_ip on tunnels. */
  tunnelLocalIp: boolean;
  /** Root of the tree to start it from, for another version of it; this one unless told. */
  source?: string;
  /** Goes to startController as it is, over what is set here. */
  extra?: Record<string, unknown>;
};

/** What the outer process asks for; whether the datapath takes local_ip only the inner one knows. */
export type ControllerRequest = Omit<ControllerSettings, 'tunnelLocalIp'>;

export type ControllerFacts = { managers: string[]; adminTokenFile: string };

/** Namespaces are named `controller`, or as their hypervisor or VM. */
export type Operations = {
  'hypervisor.add': (p: { name: string; systemId?: string }) => HypervisorFacts;
  'hypervisor.vsctl': (p: { name: string; args: string[] }) => string;
  'hypervisor.ofctl': (p: { name: string; bridge: string; command: string; args: string[] }) => string;
  'hypervisor.appctl': (p: { name: string; args: string[] }) => string;
  'hypervisor.kill': (p: { name: string; daemon: DaemonName; signal?: NodeJS.Signals }) => null;
  'hypervisor.start': (p: { name: string; daemon: DaemonName }) => null;
  'vm.add': (p: {
    name: string;
    hypervisor: string;
    mac: string;
    address: string;
    gateway?: string;
    /** With its length, and its gateway. */
    ipv6?: { address: string; gateway: string };
    /** It passes on what is for others, as a router or an inspecting appliance does. */
    forwards?: boolean;
    ifaceId: string;
  }) => null;
  'vm.plug': (p: { name: string; bridge?: string; ifaceId?: string }) => null;
  'vm.unplug': (p: { name: string }) => null;
  'vm.move': (p: { name: string; hypervisor: string; bridge?: string }) => null;
  'vm.serve': (p: { name: string; port: number; answer: string }) => null;
  exec: (p: { namespace: string; program: string; args: string[]; input?: string; timeout?: number }) => Outcome;
  /** Bytes onto the wire as they are, checksums included. */
  'frame.send': (p: { namespace: string; interface: string; hex: string }) => null;
  'capture.start': (p: { namespace: string; interface: string }) => number;
  'capture.seen': (p: { capture: number }) => readonly CapturedFrame[];
  'capture.stop': (p: { capture: number }) => CapturedFrame[];
  'controller.start': (p: ControllerRequest) => ControllerFacts;
  /** Answers when the controller's process has ended, with how. */
  'controller.ended': (p: Record<string, never>) => string;
  'controller.kill': (p: { signal: NodeJS.Signals }) => null;
};

export type OperationName = keyof Operations;
export type Parameters<N extends OperationName> = globalThis.Parameters<Operations[N]>[0];
export type Answer<N extends OperationName> = ReturnType<Operations[N]>;

export type Call = { id: number; operation: OperationName; parameters: unknown };
export type Reply = { id: number; answer?: unknown; error?: string };

/** Environment variable that holds a Setting as JSON, for the inner process. */
export const settingVariable = 'KEYWAY_SANDBOX_SETTING';

/** What the inner process is started with. */
export type Setting = { directory: string; openVswitch: OpenVswitch };
