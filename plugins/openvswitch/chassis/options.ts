/** What the chassis room is told when it is made, and what it offers: the whole of its outside. */
import type {
  Admission,
  HypervisorNumber,
  PatchSpec,
  SwitchEvents,
  SwitchHealth,
  TunnelSpec,
} from '../../../src/drivers/switch-plugin.ts';
import type { Log } from '../log.ts';

export type { Log as ChassisLog } from '../log.ts';

export type ChassisEvents = Pick<
  SwitchEvents,
  'chassis' | 'chassisGone' | 'refused' | 'interfaces' | 'tunnels' | 'patches'
>;

export type ChassisOptions = {
  /** Passive connection methods in Open vSwitch's notation: `ptcp:PORT[:ADDRESS]`, `punix:PATH`. */
  listen: string[];
  /** CIDR prefixes from which plain tcp is accepted, beside loopback. */
  trustedNetworks: string[];
  /** Accept plain tcp from anywhere. */
  insecure: boolean;
  /**
   * The OpenFlow controller target to write, e.g. `tcp:10.0.0.1:6653`.
   * @param localAddress our address as this hypervisor reached it; undefined when it came over a unix socket.
   */
  openflowTarget(localAddress: string | undefined): string;
  /** How tenants' packets travel between hypervisors. */
  encapsulation: 'gre';
  /** Write `options:local_ip` on tunnels (default true). The dummy datapath of tests cannot route with it. */
  tunnelLocalIp?: boolean;
  /** Milliseconds without a word from a hypervisor before it is probed, and again before it is given up. Default 60,000. */
  probeInterval?: number;
  /** Milliseconds a new session has to show its Open_vSwitch table. Default 10,000. */
  identifyTimeout?: number;
  events: ChassisEvents;
  log: Log;
};

/** What `ChassisServer` offers to whoever composes it. */
export interface Chassis {
  /** Listens. @returns the targets hypervisors are to be given, as `ovs-vsctl set-manager` takes them. */
  start(): Promise<{ managers: string[] }>;
  /** From here on this hypervisor is written to, now or when it connects. */
  admit(admission: Admission): void;
  /** No more writes; its session ends. */
  dismiss(hypervisor: HypervisorNumber): void;
  /** The whole set of tunnels. Until the first call the tunnels found on a hypervisor are left as they are. */
  setTunnels(hypervisor: HypervisorNumber, tunnels: TunnelSpec[]): void;
  /** The whole set of patches. Until the first call those found on a hypervisor are left as they are. */
  setPatches(hypervisor: HypervisorNumber, patches: PatchSpec[]): void;
  /**
   * Where an OpenFlow session with this datapath id may come from: the remote address of the OVSDB session over which
   * we set that id, or `unix` when that session is a unix socket's (the switch is then on this machine).
   * Undefined: there is no such session, refuse.
   */
  peerOf(datapathId: bigint): string | undefined;
  /** @throws Problem hypervisor.not-connected when there is no OVSDB session. @throws OvsdbError, ProtocolError */
  health(hypervisor: HypervisorNumber): Promise<SwitchHealth>;
  stop(): Promise<void>;
}
