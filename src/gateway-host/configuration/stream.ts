/** The WebSocket by which the controller says what is to be served. Connects again, ever, with a back-off. */
import { readFileSync } from 'node:fs';
import type { Logger } from 'pino';
import { WebSocket } from 'ws';
import { ServicesMessage } from '../../drivers/gateway-services.ts';
import { validator } from '../../validate.ts';

export type StreamOptions = {
  /** Controllers, http(s)://HOST:PORT, tried in turn. */
  controllers: readonly string[];
  /** Name or system-id of the hypervisor this is. */
  hypervisor: string;
  /** Read at each attempt, so that a new token takes no restart. */
  tokenFile: string;
  /** PEM of the authority that certified the controller. */
  caFile?: string | undefined;
  onMessage(message: ServicesMessage): void;
  /** The whole has been told; it changes from here on. */
  onSynced(): void;
  onLost(reason: string): void;
  log: Logger;
};

/** Milliseconds from a loss to the next attempt, doubled with each that fails; up to half as much again by chance. */
const firstRetry = 250;
const lastRetry = 5_000;
/** Milliseconds without a sign of life (the controller pings every 20 s) until the connection counts as dead. */
const silence = 50_000;
const handshake = 10_000;
/** Bytes of one message: 200 ports with 32 KiB of user data each, and more. */
const largestMessage = 32 << 20;

const judge = validator(ServicesMessage);

export class ConfigurationStream {
  readonly #options: StreamOptions;
  #socket: WebSocket | undefined;
  #timer: NodeJS.Timeout | undefined;
  #retry = firstRetry;
  #attempt = 0;
  #closed = false;
  #lastFailure = '';

  constructor(options: StreamOptions) {
    this.#options = options;
  }

  start(): void {
    const { controllers, hypervisor, tokenFile, caFile, log } = this.#options;
    const controller = controllers[this.#attempt++ % controllers.length]!;
    let socket: WebSocket;
    try {
      const url = new URL(`/v1/gateway-hosts/${encodeURIComponent(hypervisor)}/services`, controller);
      url.protocol = url.protocol === 'http:' ? 'ws:' : 'wss:';
      socket = new WebSocket(url, {
        headers: { authorization: `Bearer ${readFileSync(tokenFile, 'utf8').trim()}` },
        perMessageDeflate: false,
        handshakeTimeout: handshake,
        maxPayload: largestMessage,
        ...(caFile === undefined ? {} : { ca: readFileSync(caFile) }),
      });
    } catch (error) {
      this.#again(error instanceof Error ? error.message : String(error));
      return;
    }
    this.#socket = socket;
    let failure = '';
    let watch = setTimeout(() => socket.terminate(), silence + handshake);
    const alive = () => {
      clearTimeout(watch);
      watch = setTimeout(() => socket.terminate(), silence);
    };
    socket.on('open', () => {
      alive();
      log.info({ controller }, 'connected to the controller');
    });
    socket.on('ping', alive);
    socket.on('message', (data) => {
      alive();
      try {
        this.#take(String(data));
      } catch (error) {
        failure = error instanceof Error ? error.message : String(error);
        socket.close(4400, 'malformed');
      }
    });
    socket.on('unexpected-response', (_request, response) => {
      failure = `the controller answered with status ${response.statusCode}`;
      // A problem in JSON says more; nobody waits long for it.
      response.setEncoding('utf8').on('data', (text: string) => {
        failure = `${failure} ${/"detail":\s*"([^"]*)"/.exec(text)?.[1] ?? ''}`.trim();
        socket.terminate();
      });
      setTimeout(() => socket.terminate(), handshake).unref();
    });
    socket.on('error', (error) => {
      failure ||= error.message;
    });
    socket.on('close', (code, reason) => {
      clearTimeout(watch);
      this.#socket = undefined;
      this.#again(failure || String(reason) || `closed with ${code}`);
    });
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#socket?.terminate();
  }

  /** @throws Error on what is no message of this stream */
  #take(text: string): void {
    const message: unknown = JSON.parse(text);
    const [error] = judge(message);
    if (error !== undefined) throw new Error(`the controller sent what is no message: ${error.field} ${error.message}`);
    const told = message as ServicesMessage;
    this.#options.onMessage(told);
    if (told.type !== 'end') return;
    this.#retry = firstRetry;
    this.#lastFailure = '';
    this.#options.onSynced();
  }

  #again(reason: string): void {
    if (this.#closed) return;
    this.#options.onLost(reason);
    if (reason !== this.#lastFailure) {
      this.#lastFailure = reason;
      this.#options.log.warn({ reason }, 'no controller: what was told last is served');
    }
    this.#timer = setTimeout(() => this.start(), this.#retry * (1 + Math.random() / 2));
    this.#retry = Math.min(2 * this.#retry, lastRetry);
  }
}
