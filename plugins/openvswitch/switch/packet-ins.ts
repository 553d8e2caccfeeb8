/**
 * Packets that a switch's flows send to the controller: ICMP errors are answered here and at once, everything else is
 * told to the main thread. Neither may be driven by a VM: what a port causes is limited, and what a switch causes.
 */
import { reservedPort } from '../../../src/pipeline/flow.ts';
import { packetInCode, parseIcmpErrorUserdata } from '../../../src/pipeline/packet-in.ts';
import { packetOut } from '../openflow/messages.ts';
import { type PacketInMessage, parsePacketIn } from '../openflow/packet-in.ts';
import { icmpErrorFor } from '../packet/icmp-error.ts';
import type { Connection } from './connection.ts';
import type { FlowEvents, SwitchSettings } from './settings.ts';
import type { SwitchState } from './state.ts';
import { TokenBucket } from './token-bucket.ts';

/** Ports whose limits are remembered; the least recently seen goes first. */
const portsRemembered = 4096;

export type PacketInsOptions = {
  state: SwitchState;
  connection: Connection;
  settings: SwitchSettings;
  events: FlowEvents;
};

export class PacketIns {
  readonly #state: SwitchState;
  readonly #connection: Connection;
  readonly #settings: SwitchSettings;
  readonly #events: FlowEvents;
  readonly #told: TokenBucket;
  readonly #answered = new Map<number, TokenBucket>();

  constructor({ state, connection, settings, events }: PacketInsOptions) {
    this.#state = state;
    this.#connection = connection;
    this.#settings = settings;
    this.#events = events;
    this.#told = new TokenBucket(settings.packetIns.told);
  }

  /** @returns whether the message was one. @throws ProtocolError */
  take(body: Buffer): boolean {
    const packetIn = parsePacketIn(body);
    if (packetIn === undefined) return false;
    this.#state.counters.packetIns++;
    const done = packetIn.userdata[0] === packetInCode.icmpError ? this.#answer(packetIn) : this.#tell(packetIn);
    if (!done) this.#state.counters.packetInsDropped++;
    return true;
  }

  #answer(packetIn: PacketInMessage): boolean {
    const inPort = packetIn.fields.in_port;
    const order = parseIcmpErrorUserdata(packetIn.userdata);
    if (order === undefined || typeof inPort !== 'number') return false;
    const error = icmpErrorFor(packetIn.bytes, order);
    if (error === undefined || !this.#bucketOf(inPort).take()) return false;
    const out = [{ type: 'output' as const, port: inPort }];
    this.#connection.send(packetOut(this.#connection.xids(), reservedPort.controller, out, error));
    return true;
  }

  #bucketOf(port: number): TokenBucket {
    const bucket = this.#answered.get(port) ?? new TokenBucket(this.#settings.packetIns.answered);
    this.#answered.delete(port);
    this.#answered.set(port, bucket);
    if (this.#answered.size > portsRemembered) this.#answered.delete(this.#answered.keys().next().value!);
    return bucket;
  }

  #tell(packetIn: PacketInMessage): boolean {
    if (!this.#told.take()) return false;
    const { bytes, userdata, ...rest } = packetIn;
    // Of their own: what was received is memory that is used again, and a Buffer does not go to another thread as one.
    this.#events.packetIn(this.#state.hypervisor, {
      ...rest,
      bytes: new Uint8Array(bytes),
      userdata: new Uint8Array(userdata),
    });
    return true;
  }
}
