/** `/v1/events`: changes of intent from a revision on, and of status. */
import type { IncomingMessage } from 'node:http';
import { json as readJson } from 'node:stream/consumers';
import type { ProblemCode, ProblemDocument } from '../problems.ts';
import type { Client } from './client.ts';
import { Refused } from './errors.ts';

export type EventMessage =
  /** Of this side: the stream is there. */
  | { type: 'open' }
  /** One resource; those of one commit come one after another under the same revision. */
  | {
      type: 'change';
      revision: number;
      kind: string;
      path: string;
      change: 'created' | 'replaced' | 'deleted';
      /** As the change left it; as it last was when deleted. */
      resource: Record<string, unknown>;
    }
  /** Status is null once every switch has confirmed that the resource is gone. */
  | { type: 'status'; path: string; status: ({ state: string } & Record<string, unknown>) | null }
  /** Every change up to the revision has been told. */
  | { type: 'synced'; revision: number };

/** How far a follower has come: where it goes on after the connection was lost. */
export class Position {
  #since: number | undefined;
  /** Told of the revision after `since`, which may not be whole. */
  readonly #told = new Set<string>();

  constructor(since: number | undefined) {
    this.#since = since;
  }

  /** Everything up to here has been told. */
  get since(): number | undefined {
    return this.#since;
  }

  /** Whether the message is news, not the repetition of a commit that was cut off. */
  take(message: EventMessage): boolean {
    if (message.type === 'synced') this.#at(message.revision);
    if (message.type !== 'change') return true;
    if (this.#since === undefined || message.revision > this.#since + 1) this.#at(message.revision - 1);
    if (this.#told.has(message.path)) return false;
    this.#told.add(message.path);
    return true;
  }

  #at(revision: number): void {
    if (this.#since !== undefined && revision <= this.#since) return;
    this.#since = revision;
    this.#told.clear();
  }
}

/** Milliseconds between signs of life; two missed, and the connection counts as lost. */
const heartbeat = 20_000;

async function refusal(client: Client, response: IncomingMessage): Promise<Error> {
  let problem: Partial<ProblemDocument> = {};
  try {
    problem = (await readJson(response)) as Partial<ProblemDocument>;
  } catch {
    // Not JSON: it is not Keyway that refuses.
  }
  if (typeof problem.code !== 'string') {
    return client.unreachable(`what answers there is not Keyway (${response.statusCode})`);
  }
  const whole = { type: '', title: problem.code, detail: '', advice: '', errors: [], ...problem } as ProblemDocument;
  return new Refused(response.statusCode ?? 0, whole);
}

/** Codes the controller ends a stream with on purpose. */
const closeProblems: Record<number, ProblemCode> = { 4401: 'auth.invalid', 4410: 'events.compacted' };

/** Why the stream ended. */
async function ending(client: Client, code: number, reason: string): Promise<Error> {
  const problem = closeProblems[code];
  if (problem === undefined) return client.unreachable(reason || 'the event stream ended');
  const { Problem } = await import('../problems.ts');
  const document = new Problem(problem, 'The controller ended the event stream').toJSON();
  return new Refused(document.status, document);
}

export type Wanted = {
  /** Changes after this revision first; without it, only those to come. */
  since?: number | undefined;
  /** Only what lies at or below this path. */
  path?: string | undefined;
  /** `all`: the present status of everything, then what changes of it. */
  status: 'all' | 'changes' | 'none';
};

/**
 * Messages in order until the signal aborts.
 * @throws Refused (events.compacted when the revision is no longer kept), Unreachable when the connection is lost.
 */
export async function* eventStream(
  client: Client,
  wanted: Wanted,
  signal: AbortSignal | undefined,
): AsyncGenerator<EventMessage, void, undefined> {
  if (signal?.aborted) return;
  const { WebSocket } = await import('ws');
  const query = new URLSearchParams({ status: wanted.status });
  if (wanted.since !== undefined) query.set('since', String(wanted.since));
  if (wanted.path !== undefined) query.set('path', wanted.path);
  const { url, headers } = client.events(`/v1/events?${query}`);
  const socket = new WebSocket(url, { headers, handshakeTimeout: client.timeout, maxPayload: 64 << 20 });
  const queue: EventMessage[] = [];
  let ended: { error?: unknown } | undefined;
  let wake = () => {};
  const end = (error?: unknown) => {
    ended ??= error === undefined ? {} : { error };
    wake();
  };
  let alive = true;
  const beat = setInterval(() => {
    if (!alive) return end(client.unreachable('the event stream has gone silent'));
    alive = false;
    if (socket.readyState === WebSocket.OPEN) socket.ping();
  }, heartbeat);
  const abort = () => end();
  signal?.addEventListener('abort', abort, { once: true });
  socket.on('open', () => {
    queue.push({ type: 'open' });
    wake();
  });
  socket.on('pong', () => {
    alive = true;
  });
  socket.on('message', (data) => {
    alive = true;
    try {
      queue.push(JSON.parse(data.toString()) as EventMessage);
      wake();
    } catch {
      end(client.unreachable('what the event stream says is not JSON'));
    }
  });
  socket.on('unexpected-response', (_request, response) => {
    refusal(client, response).then(end, end);
  });
  socket.on('error', (error: NodeJS.ErrnoException) => end(client.unreachable(error.message)));
  socket.on('close', (code, reason) => {
    ending(client, code, reason.toString()).then(end, end);
  });
  try {
    for (;;) {
      for (let message = queue.shift(); message; message = queue.shift()) yield message;
      if (ended) {
        if ('error' in ended) throw ended.error;
        return;
      }
      await new Promise<void>((resolve) => {
        wake = resolve;
        if (queue.length > 0 || ended) resolve();
      });
    }
  } finally {
    clearInterval(beat);
    signal?.removeEventListener('abort', abort);
    // Whatever the socket still says, nobody listens.
    socket.removeAllListeners();
    socket.on('error', () => {});
    socket.terminate();
  }
}
