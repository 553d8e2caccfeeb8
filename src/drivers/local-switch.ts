/**
 * What the program on a gateway host sees of the switch on its own machine, and what it may do with it. Nothing here needs a
 * controller.
 */
import type { PacketIn, PacketOut } from './switch-plugin.ts';

export type LocalFacts = {
  /** external_ids:system-id. */
  systemId: string | undefined;
  /** The integration bridge, where there is one. */
  bridge: string | undefined;
  /** By number of the peer: whether the tunnel to it is alive by BFD. */
  tunnels: ReadonlyMap<number, boolean>;
  /** OpenFlow ports of patches on the integration bridge by key: `provider:NUMBER`, `vlan:NUMBER`. */
  patches: ReadonlyMap<string, number>;
  /** Names of ports on the integration bridge that this program has made, now or earlier. */
  services: readonly string[];
};

export type LocalDatabase = {
  readonly facts: LocalFacts | undefined;
  /** Makes the interface a port of the integration bridge, marked as the services'. @throws Error when the database refuses */
  attach(bridge: string, name: string): Promise<void>;
  /**
   * Tells the other ends of all tunnels, those made later included, whether anything sent to this switch leads anywhere
   * (concatenated path down, RFC 5880 section 4.1): down, they take no tunnel to here for alive.
   */
  setPathDown(down: boolean): void;
  /** Takes a port of ours away. */
  detach(bridge: string, name: string): Promise<void>;
  close(): void;
};

export type LocalPackets = {
  readonly connected: boolean;
  /** Whether the switch has the flows it should have, as far as the canary among them tells. @throws Error when it is gone */
  programmed(): Promise<boolean>;
  /** False when it is not sent. */
  sendPacket(packet: PacketOut): boolean;
  close(): void;
};

/** How the switch on this machine is reached: the composition knows the plugin. */
export type LocalSwitch = {
  /** @param database path of db.sock; `onChange` is told of the facts whenever they differ */
  watchDatabase(database: string, onChange: (facts: LocalFacts | undefined) => void): LocalDatabase;
  /** @param socket path of the bridge's management socket */
  connectPackets(
    socket: string,
    options: {
      controllerId: number;
      onPacketIn(packet: PacketIn): void;
      onConnected(): void;
      /** Not when it is closed by us. */
      onDisconnected(): void;
    },
  ): LocalPackets;
};
