/** Gateway hosts that are told what to serve: one WebSocket each, which draws, so that a slow one costs a bounded buffer. */
import type { Logger } from 'pino';
import type { WebSocket } from 'ws';
import type { Principal } from '../auth/roles.ts';
import type { GatewayServices } from '../drivers/gateway-services.ts';
import type { EventLimits } from './event-hub.ts';

type Stream = { socket: WebSocket; principal: Principal; answered: boolean; end(): void };

export type GatewayStreamsContext = {
  gatewayServices: GatewayServices;
  isValid(principal: Principal): boolean;
  log: Logger;
};

export class GatewayStreams {
  readonly #context: GatewayStreamsContext;
  readonly #limits: EventLimits;
  readonly #streams = new Set<Stream>();
  readonly #pinging: NodeJS.Timeout;

  constructor(context: GatewayStreamsContext, limits: EventLimits) {
    this.#context = context;
    this.#limits = limits;
    this.#pinging = setInterval(() => this.#ping(), limits.ping);
    this.#pinging.unref();
  }

  get size(): number {
    return this.#streams.size;
  }

  /** Tells it until the socket closes. */
  follow(socket: WebSocket, principal: Principal, hypervisor: { number: number; name: string }): void {
    const { gatewayServices, log } = this.#context;
    const following = gatewayServices.follow(hypervisor, (text) => this.#send(socket, text));
    const stream: Stream = { socket, principal, answered: true, end: () => following.close() };
    this.#streams.add(stream);
    log.info({ hypervisor: hypervisor.name }, 'a gateway host is told what to serve');
    socket.on('pong', () => {
      stream.answered = true;
    });
    // Its close follows, and that is what counts.
    socket.on('error', () => {});
    socket.once('close', () => {
      following.close();
      this.#streams.delete(stream);
      log.info({ hypervisor: hypervisor.name }, 'a gateway host is gone; it serves what it was told last');
    });
  }

  /** Ends the streams of tokens that are valid no more. */
  recheck(): void {
    for (const { socket, principal } of this.#streams)
      if (!this.#context.isValid(principal)) socket.close(4401, 'auth.invalid');
  }

  close(): void {
    clearInterval(this.#pinging);
    for (const { socket, end } of this.#streams) {
      end();
      socket.close(1001, 'shutting down');
    }
  }

  #ping(): void {
    this.recheck();
    for (const stream of this.#streams) {
      if (!stream.answered) stream.socket.terminate();
      stream.answered = false;
      stream.socket.ping();
    }
  }

  /** False when it has taken nothing for too long, or is gone. */
  async #send(socket: WebSocket, text: string): Promise<boolean> {
    if (socket.readyState !== socket.OPEN) return false;
    if (socket.bufferedAmount <= this.#limits.highWater) {
      socket.send(text);
      return true;
    }
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const callOff = this.#limits.patience(() => resolve(false), this.#limits.stall);
    socket.send(text, (error) => resolve(error === undefined || error === null));
    const taken = await promise;
    callOff();
    if (!taken) socket.terminate();
    return taken;
  }
}
