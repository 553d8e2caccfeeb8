/**
 * A program beside a switch, on the switch's own machine: it takes packets that flows send to its controller id, and hands
 * the switch others. It speaks OpenFlow over the bridge's management socket, which Open vSwitch serves without anything
 * being set up for it, whether there is a controller or not.
 */
import { connect as dial } from 'node:net';
import type { PacketIn, PacketOut } from '../../src/drivers/switch-plugin.ts';
import { tables } from '../../src/pipeline/tables.ts';
import type { Log } from './log.ts';
import { messageType } from './openflow/frame.ts';
import { aggregateRequest, asyncConfig, packetOut, setConfig, setControllerId } from './openflow/messages.ts';
import { parsePacketIn, setPacketInFormat } from './openflow/packet-in.ts';
import { parseAggregate, parseError } from './openflow/replies.ts';
import { Connection, ConnectionClosed, type ConnectionLimits, defaultLimits } from './switch/connection.ts';
import { handshake } from './switch/handshake.ts';
import { confirmed, multipart } from './switch/multipart.ts';

export type LocalClientOptions = {
  /** 16 bits: what the flows' controller actions name; not 0, which is the controllers'. */
  controllerId: number;
  /**
   * In the order in which they came; its bytes and userdata are the receiver's to keep. What it throws is logged, and
   * the next packet comes.
   */
  onPacketIn(packet: PacketIn): void;
  /** From here on packets come, and go out; also after each time it was away. */
  onConnected?(): void;
  /** Also where ovs-vswitchd was not running (its socket refuses) when this began. Not told of an end by `close`. */
  onDisconnected?(reason: string): void;
  log: Log;
  limits?: ConnectionLimits;
};

export interface LocalClient {
  readonly connected: boolean;
  /** Whether the canary is there, which the controller programs with everything else. @throws Error when the switch is gone */
  programmed(): Promise<boolean>;
  /**
   * Hands a packet to the switch. What the switch refuses is logged.
   * @returns false when it is not sent: there is no switch, or it does not take what it was sent before
   * @throws Error on actions that Open vSwitch refuses in any case
   */
  sendPacket(packet: PacketOut): boolean;
  /** No packet comes after this. May be called more than once. */
  close(): void;
}

/** Milliseconds. */
const handshakeTimeout = 5_000;
const replyTimeout = 5_000;
/** Milliseconds from a loss to the next attempt; doubled with each that fails. */
const firstRetry = 100;
const lastRetry = 1_000;
/** OFPR_APPLY_ACTION, as a bit of ofp_async_config. */
const byAction = 1 << 1;

/**
 * Connects to the management socket (`/run/openvswitch/BRIDGE.mgmt`), now and whenever the connection is lost, until it
 * is closed.
 */
export function connect(path: string, options: LocalClientOptions): LocalClient {
  const client = new Client(path, options);
  client.start();
  return client;
}

class Client implements LocalClient {
  readonly #path: string;
  readonly #options: LocalClientOptions;
  readonly #limits: ConnectionLimits;
  #connection: Connection | undefined;
  #up = false;
  /** Whether it was told of a connection or of none. */
  #everTold = false;
  #retry = firstRetry;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  /** Of the last attempt that failed: said once. */
  #lastFailure = '';

  constructor(path: string, options: LocalClientOptions) {
    this.#path = path;
    this.#options = options;
    this.#limits = options.limits ?? defaultLimits;
  }

  get connected(): boolean {
    return this.#up;
  }

  start(): void {
    const socket = dial({ path: this.#path });
    const failed = (error: NodeJS.ErrnoException): void => {
      // A socket that is not there, or not for us, says nothing of the switch.
      if (error.code === 'ECONNREFUSED' && !this.#everTold) this.#tellGone(error.message);
      this.#again(error.message);
    };
    socket.once('error', failed);
    socket.once('connect', () => {
      socket.off('error', failed);
      if (this.#stopped) socket.destroy();
      else void this.#serve(new Connection(socket, this.#limits));
    });
  }

  sendPacket({ inPort, actions, bytes }: PacketOut): boolean {
    const connection = this.#connection;
    if (!this.#up || connection === undefined) return false;
    const message = packetOut(connection.xids(), inPort, actions, bytes);
    if (connection.waiting > this.#limits.highWater) return false;
    connection.send(message);
    return true;
  }

  async programmed(): Promise<boolean> {
    const connection = this.#connection;
    if (connection === undefined) throw new ConnectionClosed('there is no connection to the switch');
    let flows = 0;
    await multipart(
      connection,
      'the canary',
      replyTimeout,
      (xid) => aggregateRequest(xid, { table: tables.Canary.id }),
      (body) => {
        flows += parseAggregate(body).flows;
      },
    );
    return flows > 0;
  }

  close(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#connection?.close('closed by us');
  }

  async #serve(connection: Connection): Promise<void> {
    const { controllerId, log } = this.#options;
    this.#connection = connection;
    try {
      await handshake(connection, handshakeTimeout);
      connection.onMessage = ({ type, body }) => {
        if (type === messageType.experimenter) this.#take(body);
        else if (type === messageType.error) {
          log.warn({ error: parseError(body).name, switch: this.#path }, 'a switch refused what it was sent');
        }
      };
      // A management connection is told nothing unasked until it has set how much of a packet it wants.
      await confirmed(connection, 'packets by controller id', replyTimeout, [
        (xid) => asyncConfig(xid, { packetIn: byAction, portStatus: 0, flowRemoved: 0 }),
        setPacketInFormat,
        (xid) => setControllerId(xid, controllerId),
        (xid) => setConfig(xid, wholePacket),
      ]);
      connection.onClose = (reason) => this.#lost(reason);
      if (connection.closed !== undefined) throw new Error(connection.closed);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      connection.close(reason);
      this.#connection = undefined;
      this.#again(reason);
      return;
    }
    this.#up = true;
    this.#everTold = true;
    this.#retry = firstRetry;
    this.#lastFailure = '';
    log.info({ switch: this.#path }, 'connected to the switch');
    this.#options.onConnected?.();
  }

  #take(body: Buffer): void {
    const packet = parsePacketIn(body);
    if (packet === undefined || this.#stopped) return;
    try {
      this.#options.onPacketIn(packet);
    } catch (error) {
      this.#options.log.error({ err: error }, 'a packet from the switch could not be dealt with');
    }
  }

  #lost(reason: string): void {
    this.#connection = undefined;
    this.#up = false;
    if (this.#stopped) return;
    this.#tellGone(reason);
    this.#again(reason);
  }

  #tellGone(reason: string): void {
    this.#everTold = true;
    this.#options.log.warn({ switch: this.#path, reason }, 'the switch is gone');
    this.#options.onDisconnected?.(reason);
  }

  #again(reason: string): void {
    if (this.#stopped) return;
    if (this.#lastFailure !== reason) {
      this.#lastFailure = reason;
      this.#options.log.debug({ switch: this.#path, reason }, 'no connection to the switch; it is tried again');
    }
    this.#timer = setTimeout(() => this.start(), this.#retry);
    this.#retry = Math.min(2 * this.#retry, lastRetry);
  }
}

/** OFPCML_NO_BUFFER as a miss_send_len. */
const wholePacket = 0xffff;
