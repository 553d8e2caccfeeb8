/** A small controller that keeps resources in a map: the REST contract as far as the CLI's own tests need it. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { definitions, kinds } from '../../src/intent/resources/index.ts';
import { Problem, type ProblemCode, problems } from '../../src/problems.ts';

export type Asked = {
  method: string;
  path: string;
  query: Record<string, string>;
  body: unknown;
  headers: IncomingMessage['headers'];
};

type Stored = { body: Record<string, unknown>; revision: number };

/** An answer given instead of the double's own. */
export type Scripted = { status: number; body: unknown; headers?: Record<string, string> };

export class Double {
  readonly asked: Asked[] = [];
  readonly resources = new Map<string, Stored>();
  /** By `METHOD /path`; a function is asked each time, undefined leaves the answer to the double. */
  readonly scripted = new Map<string, Scripted | ((asked: Asked) => Scripted | undefined)>();
  revision = 0;
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch((error: unknown) => {
        const problem = error instanceof Problem ? error : new Problem('internal', String(error));
        send(response, { status: problem.status, body: problem.toJSON() });
      });
    });
  }

  static async start(listen: string | number = 0): Promise<Double> {
    const double = new Double();
    await new Promise<void>((resolve) => {
      if (typeof listen === 'string') double.#server.listen(listen, resolve);
      else double.#server.listen(listen, '127.0.0.1', resolve);
    });
    return double;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get server(): Server {
    return this.#server;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  put(path: string, body: Record<string, unknown> = {}): void {
    this.resources.set(path, { body, revision: ++this.revision });
  }

  last(method: string): Asked {
    const found = this.asked.findLast((one) => one.method === method);
    if (!found) throw new Error(`nothing was asked by ${method}`);
    return found;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://localhost');
    const raw = await text(request);
    const asked: Asked = {
      method: request.method ?? '',
      path: decodeURIComponent(url.pathname),
      query: Object.fromEntries(url.searchParams),
      body: raw === '' ? undefined : (JSON.parse(raw) as unknown),
      headers: request.headers,
    };
    this.asked.push(asked);
    const script = this.scripted.get(`${asked.method} ${asked.path}`);
    const own = typeof script === 'function' ? script(asked) : script;
    send(response, own ?? this.#own(asked));
  }

  #own(asked: Asked): Scripted {
    const path = asked.path.replace(/^\/v1\//, '');
    if (asked.method === 'GET' && path.split('/').length % 2 === 1) return this.#list(path, asked);
    const found = this.resources.get(path);
    if (asked.method === 'PUT') {
      if (asked.headers['if-none-match'] === '*' && found)
        throw new Problem('resource.exists', `${path} exists already`);
      const match = asked.headers['if-match'];
      if (match !== undefined && match !== `"${found?.revision}"`)
        throw new Problem('resource.changed', `${path} has changed`);
      this.put(path, asked.body as Record<string, unknown>);
      return { status: found ? 200 : 201, ...this.#shown(path) };
    }
    if (!found) throw new Problem('resource.not-found', `There is no ${path}`);
    if (asked.method === 'GET') return { status: 200, ...this.#shown(path) };
    if (asked.method !== 'DELETE') throw new Problem('method.not-allowed', `${path} takes no ${asked.method}`);
    this.resources.delete(path);
    this.revision++;
    return { status: 204, body: undefined };
  }

  #shown(path: string): { body: unknown; headers: Record<string, string> } {
    const { body, revision } = this.resources.get(path)!;
    const status = { state: 'programmed', observedRevision: revision, programmedRevision: revision, conditions: [] };
    const name = path.slice(path.lastIndexOf('/') + 1);
    return {
      body: { ...body, name, uid: `uid-${revision}`, labels: body.labels ?? {}, revision, status },
      headers: { etag: `"${revision}"` },
    };
  }

  #list(path: string, asked: Asked): Scripted {
    const limit = Number(asked.query.limit ?? 100);
    const names = [...this.resources.keys()]
      .filter((one) => one.startsWith(`${path}/`) && !one.slice(path.length + 1).includes('/'))
      .filter((one) => asked.query.cursor === undefined || one > `${path}/${asked.query.cursor}`)
      .sort();
    const page = names.slice(0, limit);
    const items = page.map((one) => this.#shown(one).body);
    const next = names.length > limit ? { next: page.at(-1)!.slice(path.length + 1) } : {};
    return { status: 200, body: { items, revision: this.revision, ...next } };
  }

  /** Makes the double answer with a problem. */
  refuse(where: string, code: ProblemCode, detail: string, errors: Problem['errors'] = []): void {
    this.scripted.set(where, { status: problems[code].status, body: new Problem(code, detail, errors).toJSON() });
  }
}

function send(response: ServerResponse, { status, body, headers }: Scripted): void {
  const type = status >= 400 ? 'application/problem+json' : 'application/json';
  response.writeHead(status, { 'content-type': type, ...headers });
  response.end(body === undefined ? undefined : JSON.stringify(body));
}

/** Every kind with its first example, parents before children. */
export const examples = kinds.map((kind) => ({
  kind,
  definition: definitions[kind],
  example: definitions[kind].examples[0]!,
}));
