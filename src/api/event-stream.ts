/**
 * One follower of events. It draws: the next message is made when the last one is on its way, so that a slow consumer
 * costs a bounded buffer, and is let go when it takes nothing for too long.
 */
import type { WebSocket } from 'ws';
import type { Principal } from '../auth/roles.ts';
import type { Path } from '../intent/model.ts';
import { Problem } from '../problems.ts';
import type { EventHub } from './event-hub.ts';
import { type EventEntry, statusMessage, syncedMessage } from './event-messages.ts';
import { type Reader, sees } from './reader.ts';

export type Following = {
  principal: Principal;
  reader: Reader;
  /** Everything after this revision is told. */
  since: number;
  /** The revision this reader knows `since` and the end of what is past by. */
  told(revision: number): number;
  /** Only what lies at or below it. */
  below: Path | undefined;
  /** Present status of everything and its changes; only changes; or none of it. */
  status: 'all' | 'changes' | 'none';
};

/** Why the server ends a stream (RFC 6455 section 7.4.2: 4000-4999 are ours); the reason is the name. */
export const closeCodes = {
  'auth.invalid': 4401,
  'events.slow': 4408,
  'events.compacted': 4410,
} as const;

/** Milliseconds a consumer has to answer a close. */
const farewell = 1_000;

export class EventStream {
  readonly #socket: WebSocket;
  readonly #following: Following;
  readonly #hub: EventHub;
  readonly #stopped = new AbortController();
  /** Paths whose status is to be told. */
  readonly #dirty = new Set<Path>();
  #position: number;
  #synced = false;
  #answered = true;
  #wake: (() => void) | undefined;

  constructor(socket: WebSocket, following: Following, hub: EventHub) {
    this.#socket = socket;
    this.#following = following;
    this.#hub = hub;
    this.#position = following.since;
    socket.on('pong', () => {
      this.#answered = true;
    });
  }

  async run(): Promise<void> {
    const { recent } = this.#hub;
    while (!this.#stopped.signal.aborted && this.checkToken()) {
      if (this.#position < recent.start) {
        await this.#replay();
        continue;
      }
      const entry = recent.after(this.#position);
      if (entry) await this.#tell(entry);
      else if (!this.#synced) await this.#sync();
      else if (this.#dirty.size > 0) await this.#tellStatus();
      else await this.#news();
    }
  }

  /** There is something new. */
  wake(): void {
    this.#wake?.();
    this.#wake = undefined;
  }

  statusChanged(path: Path): void {
    if (this.#following.status === 'none' || !this.#concerns(path)) return;
    this.#dirty.add(path);
    this.wake();
  }

  /** Ends the stream when its token is valid no more. */
  checkToken(): boolean {
    if (this.#hub.isValid(this.#following.principal)) return true;
    this.#end('auth.invalid');
    return false;
  }

  ping(): void {
    if (!this.#answered) {
      this.#socket.terminate();
      return;
    }
    this.#answered = false;
    if (this.checkToken()) this.#socket.ping();
  }

  stop(): void {
    this.#stopped.abort();
    this.wake();
  }

  close(code: number, reason: string): void {
    this.#socket.close(code, reason);
    this.stop();
    // Behind what is buffered the close may never arrive.
    setTimeout(() => this.#socket.terminate(), farewell).unref();
  }

  #end(name: keyof typeof closeCodes): void {
    this.close(closeCodes[name], name);
  }

  #concerns(path: Path): boolean {
    const { below, reader } = this.#following;
    return (below === undefined || path === below || path.startsWith(`${below}/`)) && sees(reader, path);
  }

  async #replay(): Promise<void> {
    const from = this.#position;
    try {
      for await (const entry of this.#hub.past(this.#position, this.#following.reader, this.#stopped.signal)) {
        await this.#tell(entry);
        if (this.#stopped.signal.aborted) return;
      }
      if (this.#position === from) this.close(1001, 'shutting down');
    } catch (error) {
      // The log was cut while a slow consumer read it, or the store does not serve.
      if (!(error instanceof Problem)) throw error;
      if (error.code === 'events.compacted') this.#end('events.compacted');
      else this.close(1011, error.code);
    }
  }

  async #tell({ revision, messages }: EventEntry): Promise<void> {
    for (const message of messages) {
      if (!this.#concerns(message.path) || !message.isFor(this.#following.reader)) continue;
      if (!(await this.#send(message.text(this.#following.reader.restricted)))) return;
    }
    this.#position = revision;
  }

  async #sync(): Promise<void> {
    const { status, below, reader, told } = this.#following;
    this.#synced = true;
    if (status === 'all') for (const path of this.#hub.paths(below, reader)) this.#dirty.add(path);
    await this.#send(syncedMessage(told(this.#position)));
  }

  async #tellStatus(): Promise<void> {
    for (const path of this.#dirty) {
      this.#dirty.delete(path);
      if (this.#hub.isConcealed(path, this.#following.reader)) continue;
      const status = this.#hub.statusOf(path, this.#following.reader);
      if (!(await this.#send(statusMessage(path, status ?? null)))) return;
      // A change of intent is told before the status it leads to.
      if (this.#hub.recent.after(this.#position)) return;
    }
  }

  async #news(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
  }

  /** False when the stream has ended. */
  async #send(text: string): Promise<boolean> {
    const socket = this.#socket;
    if (this.#stopped.signal.aborted || socket.readyState !== socket.OPEN) return false;
    if (socket.bufferedAmount <= this.#hub.limits.highWater) {
      socket.send(text);
      return true;
    }
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const { patience, stall } = this.#hub.limits;
    const callOff = patience(() => resolve(false), stall);
    // The socket tells an error by closing; here it only means that nothing more goes out.
    socket.send(text, (error) => resolve(error === undefined || error === null));
    const taken = await promise;
    callOff();
    if (!taken) this.#end('events.slow');
    return taken;
  }
}
