/** Where switches connect for OpenFlow, and which connection is let through to which switch. */
import { createServer, type Server, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { trusts } from '../chassis/trust.ts';
import { Connection, ConnectionClosed } from './connection.ts';
import { HandshakeFailed, handshake } from './handshake.ts';
import type { Log, SwitchSettings } from './settings.ts';

export type ListenerOptions = {
  host: string;
  /** 0: any that is free. */
  port: number;
  /** CIDR prefixes from which plain tcp is accepted, beside loopback. */
  trustedNetworks: readonly string[];
  insecure: boolean;
  settings: SwitchSettings;
  /** The switch that has this datapath id was admitted. */
  isAdmitted(datapathId: bigint): boolean;
  /** See Chassis.peerOf. */
  peerOf(datapathId: bigint): string | undefined;
  /** A connection that belongs to an admitted switch. */
  accept(datapathId: bigint, connection: Connection): void;
  refused(peer: string, reason: string): void;
  log: Log;
};

/** Connections that have not said yet which switch they are; more are refused. */
const maxStrangers = 512;
/** Milliseconds between looks whether a switch that came early may now enter. */
const lookAgain = 50;

export class OpenflowListener {
  readonly #options: ListenerOptions;
  readonly #trusts: (address: string) => boolean;
  readonly #server: Server;
  readonly #strangers = new Set<Connection>();

  /** @throws Error naming the trusted network that is none */
  constructor(options: ListenerOptions) {
    this.#options = options;
    this.#trusts = trusts(options);
    this.#server = createServer({ noDelay: true, keepAlive: true }, (socket) => this.#greet(socket));
  }

  /** @returns the port */
  start(): Promise<number> {
    const { host, port } = this.#options;
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ host, port }, () => {
        this.#server.off('error', reject);
        this.#server.on('error', (error) => this.#options.log.error({ err: error }, 'the OpenFlow listener failed'));
        const address = this.#server.address();
        resolve(typeof address === 'object' && address !== null ? address.port : port);
      });
    });
  }

  stop(): void {
    this.#server.close();
    for (const connection of this.#strangers) connection.close('Keyway is stopping');
  }

  #greet(socket: Socket): void {
    const { settings } = this.#options;
    const connection = new Connection(socket, settings.connection);
    if (!this.#trusts(connection.peer)) {
      this.#refuse(connection, 'plain tcp is accepted from loopback and trustedNetworks only');
    } else if (this.#strangers.size >= maxStrangers) {
      this.#refuse(connection, `${maxStrangers} connections have not said yet which switch they are`);
    } else {
      this.#strangers.add(connection);
      void this.#admit(connection).finally(() => this.#strangers.delete(connection));
    }
  }

  /** Never rejects. */
  async #admit(connection: Connection): Promise<void> {
    const { settings } = this.#options;
    const deadline = performance.now() + settings.handshakeTimeout;
    try {
      const { datapathId } = await handshake(connection, settings.handshakeTimeout);
      // After a restart of ours OpenFlow may be back before OVSDB, which tells who this is.
      let objection = this.#objection(connection, datapathId);
      while (objection !== undefined && performance.now() < deadline && connection.closed === undefined) {
        await delay(lookAgain);
        objection = this.#objection(connection, datapathId);
      }
      if (connection.closed !== undefined) throw new ConnectionClosed(connection.closed);
      if (objection !== undefined) throw new HandshakeFailed(objection);
      this.#options.accept(datapathId, connection);
    } catch (error) {
      // Somebody who only looked whether the port is open.
      if (connection.endedByPeer)
        this.#options.log.debug({ peer: connection.peer }, 'a connection ended before it began');
      else this.#refuse(connection, error instanceof Error ? error.message : String(error));
    }
  }

  #objection(connection: Connection, datapathId: bigint): string | undefined {
    const { isAdmitted, peerOf } = this.#options;
    const id = datapathId.toString(16).padStart(16, '0');
    if (!isAdmitted(datapathId)) return `datapath id ${id} is none that Keyway has set`;
    const peer = peerOf(datapathId);
    if (peer === undefined) return `datapath id ${id}: its hypervisor has no OVSDB session`;
    const same = peer === 'unix' ? isLoopback(connection.peer) : connection.peer === peer;
    return same ? undefined : `datapath id ${id}: its hypervisor's OVSDB session comes from ${peer}`;
  }

  #refuse(connection: Connection, reason: string): void {
    const { peer } = connection;
    connection.closeAfterSending(reason);
    this.#options.refused(peer, `OpenFlow: ${reason}`);
  }
}

function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.');
}
