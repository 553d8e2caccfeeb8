/** What the process inside the namespaces does for the one outside: one JSON line per call over its standard input and output. */
import type { CapturedFrame } from './capture.ts';
import type { HostDescription } from './host.ts';
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
  /** TCP port of the REST API on `address`; none unless told. */
  apiPort?: number;
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

export type ControllerFacts = {
  managers: string[];
  adminTokenFile: string;
  /** As seen from the namespaces of hypervisors: http://192.0.2.1:8080. */
  apiUrl: string | undefined;
};

/** A bridge of a hypervisor to a physical network, with an uplink to a switch. */
export type PhysicalLink = { physicalNetwork: string; bridge: string; segment: string };

/** Namespaces are named `controller`, `fabric`, or as their hypervisor, VM or host. */
export type Operations = {
  'hypervisor.add': (p: { name: string; systemId?: string; physical?: PhysicalLink[] }) => HypervisorFacts;
  'hypervisor.vsctl': (p: { name: string; args: string[] }) => string;
  'hypervisor.ofctl': (p: { name: string; bridge: string; command: string; args: string[] }) => string;
  'hypervisor.appctl': (p: { name: string; args: string[] }) => string;
  'hypervisor.kill': (p: { name: string; daemon: DaemonName; signal?: NodeJS.Signals }) => null;
  'hypervisor.start': (p: { name: string; daemon: DaemonName }) => null;
  /** All of its wires at once: management, tunnels and physical networks. */
  'hypervisor.links': (p: { name: string; state: 'up' | 'down' }) => null;
  /** A switch; `trunkTo` joins it to another by a wire that carries every VLAN. */
  'segment.add': (p: { name: string; trunkTo?: string }) => null;
  'fabric.vsctl': (p: { args: string[] }) => string;
  'fabric.appctl': (p: { args: string[] }) => string;
  'host.add': (p: HostDescription) => null;
  /** `keyway …` there. One program of a name in a namespace. */
  'program.start': (p: { namespace: string; name: string; args: string[] }) => null;
  /** Answers when it has ended, with how. */
  'program.ended': (p: { namespace: string; name: string }) => string;
  'program.kill': (p: { namespace: string; name: string; signal: NodeJS.Signals }) => null;
  'vm.add': (p: {
    name: string;
    hypervisor: string;
    mac: string;
    address?: string;
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
  serve: (p: { namespace: string; port: number; answer: string }) => null;
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
