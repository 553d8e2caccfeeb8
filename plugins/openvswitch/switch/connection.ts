/**
 * One OpenFlow connection: framing, echo in both directions, replies by transaction id, writing no faster than the
 * switch reads. It knows nothing of flows. OpenFlow 1.5.1 section 6.3.
 */
import type { Socket } from 'node:net';
import { plainAddress } from '../chassis/trust.ts';
import { Framer, type Message, messageType } from '../openflow/frame.ts';
import { echoReply, echoRequest } from '../openflow/messages.ts';

export type ConnectionLimits = {
  /** Milliseconds without a message after which we ask for an echo. */
  probeAfter: number;
  /** Milliseconds without a message after which the connection is lost. */
  lostAfter: number;
  /** Milliseconds without the switch taking anything of what waits for it, after which it is disconnected. */
  stuckAfter: number;
  /** Bytes that may wait for the switch before `sendAll` pauses. */
  highWater: number;
};

export const defaultLimits: ConnectionLimits = {
  probeAfter: 5_000,
  lostAfter: 15_000,
  stuckAfter: 15_000,
  highWater: 1 << 20,
};

/** The connection ended while something waited for it. */
export class ConnectionClosed extends Error {
  override readonly name = 'ConnectionClosed';
}

/** Takes the messages that carry one of its transaction ids, errors included. */
export type ReplyHandler = {
  reply(message: Message): void;
  closed(reason: string): void;
};

type Expectation = { first: number; count: number; handler: ReplyHandler };

/** Milliseconds between echoes that are sent for the round trip alone: a switch that probes us is never idle. */
const measureEvery = 30_000;

const highestXid = 0xffff_ffff;

export class Connection {
  /** Address of the other end, without port; IPv4-mapped IPv6 addresses as IPv4. */
  readonly peer: string;
  /** Address of our end. */
  readonly local: string;
  /** The other end has closed it, and not because of anything we did. */
  endedByPeer = false;
  /** Last measured round trip of our echo, milliseconds. */
  echoRtt: number | undefined;
  /** Messages that belong to nothing we sent. May throw: the connection is then lost with the message of the error. */
  onMessage: (message: Message) => void = () => {};
  onClose: (reason: string) => void = () => {};

  readonly #socket: Socket;
  readonly #limits: ConnectionLimits;
  readonly #framer = new Framer();
  readonly #timer: NodeJS.Timeout;
  readonly #expected: Expectation[] = [];
  readonly #drained: { resolve(): void; reject(error: Error): void }[] = [];
  #closed: string | undefined;
  #nextXid = 1;
  #lastMessage = performance.now();
  #lastProgress = performance.now();
  #probe: { xid: number; at: number } | undefined;
  #lastProbe = Number.NEGATIVE_INFINITY;
  #patience = 0;

  constructor(socket: Socket, limits: ConnectionLimits = defaultLimits) {
    this.#socket = socket;
    this.#limits = limits;
    this.peer = plainAddress(socket.remoteAddress ?? '');
    this.local = plainAddress(socket.localAddress ?? '');
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => this.#receive(chunk));
    socket.on('drain', () => this.#drain());
    socket.on('error', (error) => this.close(error.message));
    socket.on('end', () => {
      this.endedByPeer = this.#closed === undefined;
      this.close('the switch closed the connection');
    });
    socket.on('close', () => this.close('the connection was closed'));
    this.#timer = setInterval(() => this.#tick(), Math.max(10, Math.min(limits.probeAfter, limits.stuckAfter) / 5));
    this.#timer.unref();
  }

  /** Why it ended; undefined while it is open. */
  get closed(): string | undefined {
    return this.#closed;
  }

  /** Bytes that wait for the switch to take them, beside what the kernel holds. */
  get waiting(): number {
    return this.#socket.writableLength;
  }

  /** First of `count` transaction ids in a row that are not in use. */
  xids(count = 1): number {
    if (this.#nextXid + count > highestXid) this.#nextXid = 1;
    const first = this.#nextXid;
    this.#nextXid += count;
    return first;
  }

  /** From now on messages with these transaction ids go to the handler, until the returned function is called. */
  expect(first: number, count: number, handler: ReplyHandler): () => void {
    const expectation = { first, count, handler };
    this.#expected.push(expectation);
    return () => {
      const at = this.#expected.indexOf(expectation);
      if (at >= 0) this.#expected.splice(at, 1);
    };
  }

  /** Milliseconds more of silence that are no loss: a switch that commits a large bundle answers nothing meanwhile. */
  set patience(milliseconds: number) {
    this.#patience = milliseconds;
  }

  /** @param taken told when nobody reads the bytes any more; never, if the connection ends before */
  send(bytes: Uint8Array, taken?: (bytes: Uint8Array) => void): void {
    if (this.#closed !== undefined) return;
    if (this.#socket.writableLength === 0) this.#lastProgress = performance.now();
    if (taken === undefined) this.#socket.write(bytes, this.#progressed);
    else
      this.#socket.write(bytes, (error) => {
        this.#progressed();
        if (error === undefined || error === null) taken(bytes);
      });
  }

  /**
   * Sends chunks of whole messages, each made only when the switch has taken enough of those before it.
   * @param taken told of each chunk as `send` tells it
   * @throws ConnectionClosed
   */
  async sendAll(chunks: Iterable<Uint8Array>, taken?: (chunk: Uint8Array) => void): Promise<void> {
    for (const chunk of chunks) {
      this.#assertOpen();
      this.send(chunk, taken);
      if (this.#socket.writableLength > this.#limits.highWater) {
        await new Promise<void>((resolve, reject) => {
          this.#drained.push({ resolve, reject });
        });
      }
    }
    this.#assertOpen();
  }

  /** Ends it; whatever waits for a reply is told. Only the first reason counts. */
  close(reason: string): void {
    if (this.#closed !== undefined) return;
    this.#closed = reason;
    clearInterval(this.#timer);
    this.#socket.destroy();
    for (const waiting of this.#drained.splice(0)) waiting.reject(new ConnectionClosed(reason));
    for (const { handler } of this.#expected.splice(0)) handler.closed(reason);
    this.onClose(reason);
  }

  /** As `close`, but what was sent last (an OpenFlow error, say) still goes out if the switch takes it within a second. */
  closeAfterSending(reason: string): void {
    if (this.#closed !== undefined) return;
    this.#closed = reason;
    clearInterval(this.#timer);
    const socket = this.#socket;
    const timer = setTimeout(() => socket.destroy(), 1_000);
    socket.once('close', () => clearTimeout(timer));
    socket.end(() => socket.destroy());
    for (const waiting of this.#drained.splice(0)) waiting.reject(new ConnectionClosed(reason));
    for (const { handler } of this.#expected.splice(0)) handler.closed(reason);
    this.onClose(reason);
  }

  readonly #progressed = (): void => {
    this.#lastProgress = performance.now();
  };

  #assertOpen(): void {
    if (this.#closed !== undefined) throw new ConnectionClosed(this.#closed);
  }

  #drain(): void {
    for (const waiting of this.#drained.splice(0)) waiting.resolve();
  }

  #receive(chunk: Buffer): void {
    if (this.#closed !== undefined) return;
    try {
      const messages = this.#framer.push(chunk);
      if (messages.length > 0) this.#lastMessage = performance.now();
      for (const message of messages) {
        this.#dispatch(message);
        // A handler may have ended the connection: what follows is nobody's.
        if (this.#closed !== undefined) return;
      }
    } catch (error) {
      this.close(error instanceof Error ? error.message : String(error));
    }
  }

  #dispatch(message: Message): void {
    if (message.type === messageType.echoRequest) {
      this.send(echoReply(message.xid, message.body));
      return;
    }
    if (message.type === messageType.echoReply && this.#probe?.xid === message.xid) {
      this.echoRtt = performance.now() - this.#probe.at;
      this.#probe = undefined;
      return;
    }
    for (const { first, count, handler } of this.#expected) {
      if (message.xid >= first && message.xid < first + count) {
        handler.reply(message);
        return;
      }
    }
    this.onMessage(message);
  }

  #tick(): void {
    const now = performance.now();
    const { probeAfter, stuckAfter } = this.#limits;
    const lostAfter = this.#limits.lostAfter + this.#patience;
    if (this.#socket.writableLength > 0 && now - this.#lastProgress > stuckAfter) {
      this.close(`the switch took nothing of what was sent for ${seconds(stuckAfter)}`);
    } else if (now - this.#lastMessage > lostAfter) {
      this.close(`nothing came from the switch for ${seconds(lostAfter)}`);
    } else if (
      this.#probe === undefined &&
      (now - this.#lastMessage > probeAfter || now - this.#lastProbe > measureEvery)
    ) {
      const xid = this.xids();
      this.#probe = { xid, at: now };
      this.#lastProbe = now;
      this.send(echoRequest(xid));
    }
  }
}

function seconds(milliseconds: number): string {
  return `${milliseconds / 1000} s`;
}
