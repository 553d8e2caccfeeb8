/** A client of the REST API that costs little itself: connections are kept, nothing is retried. */
import { Agent, request as httpRequest } from 'node:http';

export type Resource = { path: string; spec: Record<string, unknown> };

export class ApiClient {
  readonly #url: URL;
  readonly #token: string;
  readonly #agent: Agent;

  /** @param connections kept at most */
  constructor(url: string, token: string, connections = 16) {
    this.#url = new URL(url);
    this.#token = token;
    this.#agent = new Agent({ keepAlive: true, maxSockets: connections });
  }

  /** @param path below /v1, with its query. @throws Error with what the API answered, where that was no success. */
  async request(method: string, path: string, body?: unknown): Promise<unknown> {
    const { status, text } = await this.#send(method, `/v1/${path}`, body);
    if (status >= 300) throw new Error(`${method} ${path}: ${status} ${text.slice(0, 500)}`);
    return text === '' ? undefined : JSON.parse(text);
  }

  /** Values of a metric, by the text of its labels (`hypervisor="hv1"`, empty where it has none). */
  async metric(name: string): Promise<Map<string, number>> {
    const { text } = await this.#send('GET', '/metrics', undefined);
    const found = new Map<string, number>();
    for (const line of text.split('\n')) {
      const [, metric, labels = '', value] = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
      if (metric === name) found.set(labels, Number(value));
    }
    return found;
  }

  close(): void {
    this.#agent.destroy();
  }

  #send(method: string, path: string, body: unknown): Promise<{ status: number; text: string }> {
    const { hostname, port } = this.#url;
    const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const headers: Record<string, string> = { authorization: `Bearer ${this.#token}` };
    if (payload !== undefined) {
      headers['content-type'] = 'application/json';
      headers['content-length'] = String(payload.length);
    }
    return new Promise((resolve, reject) => {
      const sent = httpRequest({ hostname, port, method, path, headers, agent: this.#agent }, (answer) => {
        const parts: Buffer[] = [];
        answer.on('data', (part: Buffer) => parts.push(part));
        answer.on('error', reject);
        answer.on('end', () =>
          resolve({ status: answer.statusCode ?? 0, text: Buffer.concat(parts).toString('utf8') }),
        );
      });
      sent.on('error', reject);
      sent.end(payload);
    });
  }
}
