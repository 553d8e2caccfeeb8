/**
 * What Keyway asks of a plugin that programs switches, and what such a plugin tells back. `reconcile` knows switches
 * only through this page. Every switch is named by its hypervisor number (HypervisorNumber), small, unique and stable.
 */
import type { Action, Flow, Match, Meter, PacketInReason } from '../pipeline/flow.ts';
import type { ThreadLoad } from './thread-load.ts';

export type HypervisorNumber = number;

/** A unit is a list of flows that is installed, replaced and removed as a whole. Its key is unique per switch. */
export type UnitKey = string;

/** One step of desired state. Passes are numbered in sequence; a switch that a pass does not touch acknowledges nothing for it. */
export type Pass = {
  /** Strictly increasing within a run of the controller. */
  sequence: number;
  /** `flows`: bytes made by `encode`; the same bytes may go to many switches. The buffer belongs to the plugin afterwards. */
  set: { unit: UnitKey; on: HypervisorNumber[]; flows: Uint8Array }[];
  remove: { unit: UnitKey; on: HypervisorNumber[] }[];
};

/** What a hypervisor says of itself over OVSDB, also before it is approved. */
export type ChassisFacts = {
  systemId: string;
  hostname: string;
  /** `tcp:ADDRESS` or `unix` of the OVSDB session. */
  peer: string;
  ovsVersion: string;
  encapIp: string | undefined;
  bridgeMappings: Record<string, string>;
  datapathType: 'system' | 'netdev' | string;
};

/** A VM interface on the integration bridge that carries an iface-id (or xs-vif-uuid). */
export type InterfaceFacts = { ifaceId: string; name: string; ofport: number; mac: string | undefined };

/** From here on the plugin may write to this hypervisor. */
export type Admission = {
  hypervisor: HypervisorNumber;
  systemId: string;
  /** 64-bit datapath id we set on its integration bridge; OpenFlow sessions are recognised by it. */
  datapathId: bigint;
};

export type TunnelSpec = {
  peer: HypervisorNumber;
  remoteIp: string;
  /** Its end is noticed within 0.3 s (BFD every 100 ms), else within 3 s. Both ends have to say so. */
  fast?: boolean;
};

/** What the integration bridge is to be joined with. */
export type PatchSpec = {
  /** Unique on a hypervisor; `patches` tells the OpenFlow port under it. */
  key: string;
  /** The other bridge. While there is none of that name, nothing is made. */
  bridge: string;
  /** VLAN over there, 1 to 4094; undefined: frames without a tag. Within the integration bridge they have no tag. */
  vlan: number | undefined;
};

/** Key under which `patches` tells the port of a gateway host's services (external_ids:keyway-service of its interface). */
export const servicesPatch = 'services';

/** Why a switch refused a flow. */
export type Rejection = {
  hypervisor: HypervisorNumber;
  unit: UnitKey;
  /** Cookie of the refused flow: the object it serves is set aside on that switch. */
  cookie: bigint;
  /** Notation of ovs-ofctl. */
  flow: string;
  /** Name of the OpenFlow error, e.g. OFPBAC_BAD_OUT_GROUP. */
  error: string;
};

export type InstalledFlow = Flow & { packets: bigint; bytes: bigint /** Seconds. */; duration: number };

/** Since the port was made, or the switch was started. */
export type PortCounters = {
  received: { packets: number; bytes: number };
  sent: { packets: number; bytes: number };
  /** Seconds since then; undefined where that is not told. */
  duration?: number;
};

export type FlowCounters = { flows: number; packets: number; bytes: number };

export type Drift = {
  /** Desired but not installed. */
  missing: Flow[];
  /** Installed but not desired. */
  extra: Flow[];
  /** Same match, other cookie or actions: [desired, installed]. */
  different: [Flow, Flow][];
};

/** What a plugin holds as desired for a switch, to be held against what was applied: the units, and hashBytes of each in that order. */
export type HeldUnits = { units: Iterable<UnitKey>; hashes: Float64Array };

/** A tunnel that Keyway made, as the hypervisor's database tells of it. */
export type TunnelHealth = {
  peer: HypervisorNumber;
  interface: string;
  /** Why Open vSwitch could not set it up. */
  error: string | undefined;
  /** Bidirectional Forwarding Detection (RFC 5880 section 6.8.1); undefined while Open vSwitch tells nothing of it. */
  bfd:
    | {
        state: string;
        remoteState: string;
        diagnostic: string;
        /** Whether the switch takes the tunnel to be alive, which is what bundles go by; missing where it is not told. */
        forwarding?: boolean;
      }
    | undefined;
};

/** Where a physical network is to be found on a hypervisor, as it says itself. */
export type MappingHealth = {
  physicalNetwork: string;
  bridge: string;
  /** Why that bridge cannot be joined with the integration bridge; undefined where it can. */
  hindrance: string | undefined;
};

/** What a hypervisor's own database tells of it, read when asked. */
export type SwitchHealth = {
  tunnels: TunnelHealth[];
  /** Errors that Open vSwitch reports of other interfaces of the integration bridge. */
  errors: { interface: string; error: string }[];
  /** Whether ovs-vswitchd has taken everything that stands in the database. */
  configured: boolean;
  /** Largest MTU of a VM's interface: bytes of an IP packet. Undefined where none is told. */
  vmMtu: number | undefined;
  /** Interfaces by which tunnels leave; MTU undefined where the database does not tell it. */
  underlay: { interface: string; mtu: number | undefined }[];
  /** Bytes of the underlay's MTU that the encapsulation takes. */
  overhead: number;
  mappings: MappingHealth[];
};

/** For the log: what numbers mean. Undefined: nothing any more. */
export type Naming = {
  hypervisor(hypervisor: HypervisorNumber): { name: string; path: string; revision: number } | undefined;
  /** Resource number of a cookie. */
  resource(number: number): { path: string; revision: number } | undefined;
};

/** A packet that a flow sent to the controller. */
export type PacketIn = {
  /** What the flow's controller action gives with it, see src/pipeline/packet-in.ts. */
  userdata: Uint8Array;
  /** Of that flow, and its table. */
  cookie: bigint;
  table: number;
  reason: PacketInReason | undefined;
  /** The frame as it was there, or its beginning. */
  bytes: Uint8Array;
  /** Of the whole frame, bytes. */
  length: number;
  /** in_port, metadata, registers and connection state as they were there; what was zero is left out. */
  fields: Match;
};

/** A packet for a switch to act upon. */
export type PacketOut = {
  /** OpenFlow port it is taken to have come in by; reservedPort.controller where none is meant. */
  inPort: number;
  /** `resubmit` sends it through the pipeline from that table on. */
  actions: readonly Action[];
  /** From the Ethernet header on. */
  bytes: Uint8Array;
};

/** Connections in a conntrack zone, by where one of their directions goes to. */
export type ConnectionsTo = {
  zone: number;
  direction: 'original' | 'reply';
  /** IPv4, 32 bits. */
  address: number;
  /** IP protocol; any when left out. */
  protocol?: number;
  /** Of TCP and UDP; with `protocol` only. */
  port?: number;
};

export interface SwitchEvents {
  /** An OVSDB session is up or its facts changed; called for unapproved hypervisors too. */
  chassis(facts: ChassisFacts): void;
  /** The OVSDB session ended. */
  chassisGone(systemId: string, reason: string): void;
  /** A session was refused, with why (duplicate system-id, plain tcp from afar, garbage …). */
  refused(peer: string, reason: string): void;
  /** All VM interfaces of the integration bridge of an admitted hypervisor, whenever one changes. */
  interfaces(hypervisor: HypervisorNumber, interfaces: InterfaceFacts[]): void;
  /** OpenFlow ports of the tunnels that exist now, by peer, whenever one changes. */
  tunnels(hypervisor: HypervisorNumber, ofports: Map<HypervisorNumber, number>): void;
  /** OpenFlow ports of the patches that exist now, by key, and of services, whenever one changes. */
  patches(hypervisor: HypervisorNumber, ofports: ReadonlyMap<string, number>): void;
  /** The OpenFlow session is up, read back, and in sync with everything applied so far. */
  connected(hypervisor: HypervisorNumber): void;
  disconnected(hypervisor: HypervisorNumber, reason: string): void;
  /** The switch has confirmed (by barrier) everything of all passes up to this one; what it rejected is told before. */
  acknowledged(hypervisor: HypervisorNumber, sequence: number): void;
  rejected(rejection: Rejection): void;
  /** The switch now takes what it refused before (cookie as in `rejected`). */
  accepted(hypervisor: HypervisorNumber, cookie: bigint): void;
  /** Drift found (and mended, unless told to report only). */
  drifted(hypervisor: HypervisorNumber, counts: { missing: number; extra: number; different: number }): void;
  /** Limited in rate for each switch; what is beyond that is not told. ICMP errors are the plugin's own affair. */
  packetIn(hypervisor: HypervisorNumber, packet: PacketIn): void;
}

export interface SwitchPlugin {
  /** Bytes of the underlay's MTU that the encapsulation takes, over IPv4. */
  readonly overhead: number;
  /**
   * Canonical bytes of the flows, and of meters they use, as the plugin keeps and compares them. A meter is set before
   * the flows, and goes after them.
   */
  encode(flows: readonly Flow[], meters?: readonly Meter[]): Uint8Array;
  /** The flows of what `encode` made. */
  decode(flows: Uint8Array): Flow[];
  /** Notation of ovs-ofctl, table and field names included. */
  format(flow: Flow): string;
  /** The inverse of `format`, for `flows explain`. @throws Problem request.invalid naming the place. */
  parse(text: string): Flow;
  start(
    events: SwitchEvents,
    naming?: Naming,
  ): Promise<{ /** Where hypervisors connect, as ovs-vsctl set-manager takes it. */ managers: string[] }>;
  admit(admission: Admission): void;
  /** No more writes; sessions end. */
  dismiss(hypervisor: HypervisorNumber): void;
  /** The whole set of tunnels of a hypervisor; those made by us and not named go. */
  setTunnels(hypervisor: HypervisorNumber, tunnels: TunnelSpec[]): void;
  /**
   * The whole set of patches of a hypervisor; those made by us and not named go. Until the first call those found there are
   * left as they are.
   */
  setPatches(hypervisor: HypervisorNumber, patches: PatchSpec[]): void;
  /** Until this is called for a hypervisor nothing is pushed to its switch: its desired flows have been compiled once. */
  ready(hypervisor: HypervisorNumber): void;
  apply(pass: Pass): void;
  /** Forget every connection of the conntrack zone; resolves when the switch has confirmed. */
  flushZone(hypervisor: HypervisorNumber, zone: number): Promise<void>;
  /**
   * Forget these connections alone. @throws Problem hypervisor.not-connected; Error when the switch refuses it, as Open vSwitch
   * before 3.1 does
   */
  forgetConnections?(hypervisor: HypervisorNumber, connections: readonly ConnectionsTo[]): Promise<void>;
  /**
   * Read from the switch now.
   * @param cookies only flows with one of these, which costs what they are
   * @throws Problem hypervisor.not-connected
   */
  installed(hypervisor: HypervisorNumber, cookies?: readonly bigint[]): Promise<InstalledFlow[]>;
  /**
   * What the flows with each cookie have counted, read from the switch now. Costs what these flows are.
   * @throws Problem hypervisor.not-connected
   */
  counted?(hypervisor: HypervisorNumber, cookies: readonly bigint[]): Promise<FlowCounters[]>;
  /**
   * What OpenFlow ports have counted, read from the switch now; undefined: there is no such port.
   * @throws Problem hypervisor.not-connected
   */
  portCounters?(hypervisor: HypervisorNumber, ofports: readonly number[]): Promise<(PortCounters | undefined)[]>;
  /** Desired flows as the plugin holds them. */
  desired(hypervisor: HypervisorNumber): Promise<Flow[]>;
  /** Read from the switch now and compare. @throws Problem hypervisor.not-connected */
  drift(hypervisor: HypervisorNumber): Promise<Drift>;
  /** The units of `desired`, with every pass applied before the call and none after it. */
  held?(hypervisor: HypervisorNumber): Promise<HeldUnits>;
  /** Resolves when the switch has acted. @throws Problem hypervisor.not-connected; Error when the switch refuses it */
  sendPacket?(hypervisor: HypervisorNumber, packet: PacketOut): Promise<void>;
  /** @throws Problem hypervisor.not-connected; Error when the database answers otherwise than it should */
  health?(hypervisor: HypervisorNumber): Promise<SwitchHealth>;
  /** Of the thread the plugin has of its own. */
  load?(): Promise<ThreadLoad>;
  stop(): Promise<void>;
}
