/** An OVSDB server that says exactly what the test tells it to, at the other end of a stream in memory. */
import { type Duplex, duplexPair } from 'node:stream';
import { type ConnectionOptions, OvsdbConnection } from '../../plugins/openvswitch/ovsdb/client.ts';
import { JsonFramer } from '../../plugins/openvswitch/ovsdb/json-frame.ts';

export type Message = { method?: string; params?: unknown[]; id?: unknown; result?: unknown; error?: unknown };

export class ScriptedServer {
  readonly stream: Duplex;
  readonly connection: OvsdbConnection;
  readonly #received: Message[] = [];
  #waiting: ((message: Message) => void) | undefined;

  constructor(options: ConnectionOptions = {}) {
    const [ours, theirs] = duplexPair();
    this.stream = theirs;
    this.connection = new OvsdbConnection(ours, options);
    const framer = new JsonFramer((text) => {
      const message = JSON.parse(text) as Message;
      if (this.#waiting) this.#waiting(message);
      else this.#received.push(message);
      this.#waiting = undefined;
    });
    theirs.on('data', (chunk: Buffer) => framer.push(chunk));
    theirs.on('error', () => {
      // The client ends sessions abruptly; what it says of that is what is tested.
    });
  }

  /** The client's next message. */
  async next(): Promise<Message> {
    const message = this.#received.shift();
    return message ?? new Promise((resolve) => (this.#waiting = resolve));
  }

  /** All in one piece of the stream. */
  send(...messages: Message[]): void {
    this.stream.write(messages.map((message) => JSON.stringify(message)).join(''));
  }

  async reply(result: unknown, error: unknown = null): Promise<Message> {
    const request = await this.next();
    this.send({ id: request.id, result, error });
    return request;
  }
}
