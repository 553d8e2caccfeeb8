/** A WebSocket client of /v1/events that keeps what it was told. */
import { type ClientOptions, WebSocket } from 'ws';

export type Message = {
  type: string;
  path: string;
  revision: number;
  change: string;
  kind: string;
  resource: Record<string, unknown>;
  status: { state: string } | null;
};

export class Follower {
  readonly socket: WebSocket;
  readonly messages: Message[] = [];
  /** How the server ended it. */
  readonly closed: Promise<{ code: number; reason: string }>;
  readonly #opened: Promise<void>;
  #wake: () => void = () => {};

  constructor(url: string, secret: string | undefined, options: ClientOptions = {}, protocols: string[] = []) {
    const headers: Record<string, string> = secret === undefined ? {} : { authorization: `Bearer ${secret}` };
    this.socket = new WebSocket(url, protocols, { headers, ...options });
    this.socket.on('message', (data) => {
      this.messages.push(JSON.parse(String(data)) as Message);
      this.#wake();
    });
    this.closed = new Promise((resolve) => {
      this.socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() }));
    });
    this.#opened = new Promise((resolve, reject) => {
      this.socket.on('open', resolve);
      this.socket.on('unexpected-response', (_request, response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (part: string) => {
          text += part;
        });
        response.on('end', () => reject(new Refusal(response.statusCode ?? 0, response.headers, text)));
      });
      this.socket.on('error', reject);
    });
    // Whoever does not await the opening judges by the closing.
    this.#opened.catch(() => {});
  }

  get opened(): Promise<void> {
    return this.#opened;
  }

  /** Resolves once a message fits; fails after so long that no busy machine can be the reason. */
  async until(fits: (message: Message) => boolean): Promise<Message> {
    const end = Date.now() + 30_000;
    for (;;) {
      const found = this.messages.find(fits);
      if (found) return found;
      if (Date.now() > end) throw new Error(`not told: ${JSON.stringify(this.messages).slice(0, 2_000)}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        setTimeout(resolve, 100);
      });
    }
  }

  synced(): Promise<Message> {
    return this.until(({ type }) => type === 'synced');
  }

  /** `created tenants/acme`, in order. */
  changes(): string[] {
    return this.messages.filter(({ type }) => type === 'change').map(({ change, path }) => `${change} ${path}`);
  }

  close(): void {
    this.socket.terminate();
  }
}

export class Refusal extends Error {
  readonly status: number;
  readonly headers: Record<string, unknown>;
  readonly text: string;

  constructor(status: number, headers: Record<string, unknown>, text: string) {
    super(`refused: ${status} ${text}`);
    this.status = status;
    this.headers = headers;
    this.text = text;
  }
}
