/** What the main thread and the southbound thread tell each other. */
import type {
  Admission,
  ConnectionsTo,
  FlowCounters,
  HypervisorNumber,
  PacketOut,
  PatchSpec,
  PortCounters,
  SwitchEvents,
  SwitchHealth,
  TunnelSpec,
} from '../../../src/drivers/switch-plugin.ts';
import type { ThreadLoad } from '../../../src/drivers/thread-load.ts';
import type { ProblemDocument } from '../../../src/problems.ts';
import type { DriftRecords } from './comparison.ts';
import type { Log, SwitchSettings } from './settings.ts';
import type { HeldRecords, InstalledRecords, PackedPass, SouthboundStats } from './southbound.ts';

export type LogLevel = keyof Log | 'silent';

/** Handed to the worker when it starts. */
export type WorkerOptions = {
  listenOvsdb: string[];
  listenOpenflow: { host: string; port: number };
  trustedNetworks: string[];
  insecure: boolean;
  tunnelLocalIp: boolean;
  advertise: string | undefined;
  settings: SwitchSettings;
  logLevel: LogLevel;
};

/** Requests that are answered, and with what. */
export type Requests = {
  start: { params: []; result: { managers: string[] } };
  stop: { params: []; result: undefined };
  flushZone: { params: [hypervisor: HypervisorNumber, zone: number]; result: undefined };
  forgetConnections: {
    params: [hypervisor: HypervisorNumber, connections: readonly ConnectionsTo[]];
    result: undefined;
  };
  sendPacket: { params: [hypervisor: HypervisorNumber, packet: PacketOut]; result: undefined };
  installed: { params: [hypervisor: HypervisorNumber, cookies?: readonly bigint[]]; result: InstalledRecords };
  counted: { params: [hypervisor: HypervisorNumber, cookies: readonly bigint[]]; result: FlowCounters[] };
  portCounters: {
    params: [hypervisor: HypervisorNumber, ofports: readonly number[]];
    result: (PortCounters | undefined)[];
  };
  desired: { params: [hypervisor: HypervisorNumber]; result: Uint8Array };
  drift: { params: [hypervisor: HypervisorNumber]; result: DriftRecords };
  held: { params: [hypervisor: HypervisorNumber]; result: HeldRecords };
  health: { params: [hypervisor: HypervisorNumber]; result: SwitchHealth };
  stats: { params: []; result: SouthboundStats };
  load: { params: []; result: ThreadLoad };
};

export type RequestName = keyof Requests;

export type ToWorker =
  | { type: 'admit'; admission: Admission }
  | { type: 'dismiss'; hypervisor: HypervisorNumber }
  | { type: 'setTunnels'; hypervisor: HypervisorNumber; tunnels: TunnelSpec[] }
  | { type: 'setPatches'; hypervisor: HypervisorNumber; patches: PatchSpec[] }
  | { type: 'ready'; hypervisor: HypervisorNumber }
  | { type: 'apply'; pass: PackedPass }
  | { type: 'request'; id: number; name: RequestName; params: readonly unknown[] };

export type SwitchEvent = {
  [Name in keyof SwitchEvents]: { name: Name; params: Parameters<SwitchEvents[Name]> };
}[keyof SwitchEvents];

/** Problems keep their code on the way; other errors their message. */
export type Failure = Pick<ProblemDocument, 'code' | 'detail' | 'errors'> | { message: string };

export type FromWorker =
  | { type: 'events'; events: SwitchEvent[] }
  | { type: 'log'; level: keyof Log; fields: object; message: string }
  | { type: 'reply'; id: number; result: unknown }
  | { type: 'failure'; id: number; failure: Failure };
