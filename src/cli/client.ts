/** Requests to the controller, over TCP, TLS or a Unix socket. */
import type * as Http from 'node:http';
import type * as Https from 'node:https';
import type { ProblemDocument } from '../problems.ts';
import { Refused, Unreachable, UsageError } from './errors.ts';

// Not an import: as a module, node:http loads Node's WebSocket as well, which takes longer than a whole command.
const http = process.getBuiltinModule('node:http') as typeof Http;

export type Place = { kind: 'tcp'; url: URL } | { kind: 'unix'; socket: string };

/** @throws UsageError when it is no URL the CLI can use. */
export function parseUrl(text: string): Place {
  if (text.startsWith('unix:')) {
    const socket = text.slice('unix:'.length).replace(/^\/\/(?=\/)/, '');
    if (!socket.startsWith('/')) throw new UsageError(`${text}: a Unix socket is written as unix:/PATH`);
    return { kind: 'unix', socket };
  }
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !['http:', 'https:'].includes(url.protocol)) {
    throw new UsageError(
      `${text} is no URL of a controller`,
      'Write http://HOST:PORT, https://HOST:PORT or unix:/PATH.',
    );
  }
  return { kind: 'tcp', url };
}

export type Query = Record<string, string | readonly string[] | undefined>;

export type Ask = {
  /** A list is sent as the same parameter several times. */
  query?: Query;
  body?: unknown;
  headers?: Record<string, string>;
  /** Milliseconds until the request is given up. */
  timeout?: number;
};

export type Answer = { status: number; body: unknown; etag: string | undefined };

export type ClientOptions = {
  url: string;
  token: string | undefined;
  /** Milliseconds; 30,000 unless told. */
  timeout?: number;
  /** Ends requests under way. */
  signal?: AbortSignal;
};

/** A token that cannot stand in a header is refused before it is sent. */
function bearer(token: string): string {
  if (!/^[\x21-\x7e]+$/.test(token)) throw new UsageError('The token has characters in it that no token has');
  return `Bearer ${token}`;
}

function reasonOf(error: NodeJS.ErrnoException): string {
  const reasons: Record<string, string> = {
    ECONNREFUSED: 'connection refused',
    ENOENT: 'there is no such socket',
    ENOTFOUND: 'the host name is not known',
    EAI_AGAIN: 'the host name could not be looked up',
    EHOSTUNREACH: 'no route to the host',
    ENETUNREACH: 'no route to the network',
    ETIMEDOUT: 'no answer',
    ECONNRESET: 'the connection was cut',
    EACCES: 'permission denied',
  };
  return reasons[error.code ?? ''] ?? error.message;
}

export class Client {
  readonly url: string;
  readonly timeout: number;
  readonly #place: Place;
  readonly #signal: AbortSignal | undefined;
  readonly #base: string;
  readonly #headers: Record<string, string>;
  #agent: Http.Agent | undefined;

  /** @throws UsageError when URL or token cannot be used. */
  constructor(options: ClientOptions) {
    this.url = options.url;
    this.timeout = options.timeout ?? 30_000;
    this.#signal = options.signal;
    this.#place = parseUrl(options.url);
    this.#base = this.#place.kind === 'tcp' ? this.#place.url.pathname.replace(/\/+$/, '') : '';
    this.#headers = { accept: 'application/json', 'user-agent': 'keyway' };
    if (options.token !== undefined) this.#headers.authorization = bearer(options.token);
  }

  #module(): { module: typeof Http | typeof Https; options: Http.RequestOptions } {
    const place = this.#place;
    if (place.kind === 'unix') return { module: http, options: { socketPath: place.socket, host: 'localhost' } };
    const { url } = place;
    const module = url.protocol === 'https:' ? process.getBuiltinModule('node:https') : http;
    return {
      module: module as typeof Http | typeof Https,
      options: { host: url.hostname.replace(/^\[|\]$/g, ''), port: url.port || undefined },
    };
  }

  /** Where the event stream is, and what authorises it. */
  events(path: string): { url: string; headers: Record<string, string> } {
    const place = this.#place;
    const headers = this.#headers.authorization ? { authorization: this.#headers.authorization } : undefined;
    if (place.kind === 'unix') return { url: `ws+unix://${place.socket}:${path}`, headers: headers ?? {} };
    const scheme = place.url.protocol === 'https:' ? 'wss' : 'ws';
    return { url: `${scheme}://${place.url.host}${this.#base}${path}`, headers: headers ?? {} };
  }

  unreachable(reason: string): Unreachable {
    return new Unreachable(
      `No controller at ${this.url}: ${reason}`,
      'Start one (keyway serve --config keyway.yaml, or npm start for a sandbox), or say where it is: --url URL, KEYWAY_URL, or keyway profile set NAME --url URL',
    );
  }

  /**
   * Sends a request and reads its JSON answer.
   * @throws Refused when the controller answers with a problem, Unreachable when nobody or somebody else answers.
   */
  async request(method: string, path: string, ask: Ask = {}): Promise<Answer> {
    return this.#judge(await this.#exchange(method, path, ask));
  }

  /**
   * Asks for a large answer, to be taken in pieces as they come.
   * @param timeout milliseconds for each piece
   * @throws as `request`; the pieces throw Unreachable when the connection ends early
   */
  async download(path: string, timeout: number): Promise<AsyncIterable<Buffer>> {
    const { module, options } = this.#module();
    const signal = this.#signal ? { signal: this.#signal } : {};
    const response = await new Promise<Http.IncomingMessage>((resolve, reject) => {
      const wanted = { ...options, ...signal, agent: false, method: 'GET', path: `${this.#base}${path}` };
      const request = module.request({ ...wanted, headers: this.#headers }, resolve);
      request.setTimeout(timeout, () => request.destroy(new Error(`nothing came for ${timeout / 1000} s`)));
      request.on('error', (error: NodeJS.ErrnoException) => reject(this.unreachable(reasonOf(error))));
      request.end();
    });
    if (response.statusCode === 200) return this.#pieces(response);
    const parts: Buffer[] = [];
    for await (const part of this.#pieces(response)) parts.push(part);
    const text = Buffer.concat(parts).toString('utf8');
    this.#judge({ status: response.statusCode ?? 0, headers: response.headers, text });
    throw this.unreachable(`what answers there is not Keyway (${response.statusCode})`);
  }

  async *#pieces(response: Http.IncomingMessage): AsyncGenerator<Buffer> {
    try {
      for await (const piece of response) yield piece as Buffer;
    } catch (error) {
      throw this.unreachable(this.#signal?.aborted ? 'interrupted' : reasonOf(error as NodeJS.ErrnoException));
    }
  }

  /** @throws Refused, Unreachable */
  #judge({ status, headers, text }: { status: number; headers: Http.IncomingHttpHeaders; text: string }): Answer {
    let body: unknown;
    if (text !== '') {
      try {
        body = JSON.parse(text);
      } catch {
        // Not JSON: judged below by the status and the content type.
        body = undefined;
      }
    }
    const etag = headers.etag;
    if (status >= 200 && status < 300 && (text === '' || body !== undefined)) return { status, body, etag };
    const problem = body as Partial<ProblemDocument> | undefined;
    if (typeof problem?.code === 'string') {
      throw new Refused(status, {
        type: '',
        title: problem.code,
        detail: '',
        advice: '',
        ...problem,
        status,
        code: problem.code,
        errors: Array.isArray(problem.errors) ? problem.errors : [],
      });
    }
    // Probes answer without a problem document: their body says what is wrong.
    if (body !== undefined && status === 503) return { status, body, etag };
    throw this.unreachable(`what answers there is not Keyway (${status} ${headers['content-type'] ?? ''})`.trim());
  }

  #exchange(
    method: string,
    path: string,
    ask: Ask,
  ): Promise<{ status: number; headers: Http.IncomingHttpHeaders; text: string }> {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(ask.query ?? {})) {
      for (const one of value === undefined ? [] : [value].flat()) query.append(name, one);
    }
    const search = query.size > 0 ? `?${query}` : '';
    const payload = ask.body === undefined ? undefined : JSON.stringify(ask.body);
    const headers: Record<string, string> = { ...this.#headers, ...ask.headers };
    if (payload !== undefined) {
      headers['content-type'] = 'application/json';
      headers['content-length'] = String(Buffer.byteLength(payload));
    }
    const { module, options } = this.#module();
    this.#agent ??= new module.Agent({ keepAlive: true });
    const limit = ask.timeout ?? this.timeout;
    const late = AbortSignal.timeout(limit);
    const signal = this.#signal ? AbortSignal.any([late, this.#signal]) : late;
    return new Promise((resolve, reject) => {
      const fail = (error: NodeJS.ErrnoException) =>
        reject(
          this.unreachable(
            this.#signal?.aborted
              ? 'interrupted'
              : late.aborted
                ? `no answer within ${limit / 1000} s`
                : reasonOf(error),
          ),
        );
      const request = module.request(
        { ...options, agent: this.#agent, method, path: `${this.#base}${path}${search}`, headers, signal },
        (response) => {
          const parts: Buffer[] = [];
          response.on('data', (part: Buffer) => parts.push(part));
          response.on('error', fail);
          response.on('end', () =>
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers,
              text: Buffer.concat(parts).toString('utf8'),
            }),
          );
        },
      );
      request.on('error', fail);
      request.end(payload);
    });
  }

  /** Closes kept connections. */
  close(): void {
    this.#agent?.destroy();
    this.#agent = undefined;
  }
}
