/** `/v1/events`: changes of intent from a revision on, and of status. */
import type { IncomingMessage } from 'node:http';
import { json as readJson } from 'node:stream/consumers';
import type { ProblemDocument } from '../problems.ts';
import type { Client } from './client.ts';
import { Refused } from './errors.ts';

export type EventChange = {
  kind: string;
  path: string;
  type: 'created' | 'replaced' | 'deleted';
  /** As the change left it; as it last was when deleted. */
  resource?: Record<string, unknown>;
};

export type EventMessage =
  /** Of this side: the stream is there. */
  | { type: 'open' }
  | { type: 'change'; revision: number; at?: string | number; changes: EventChange[] }
  | { type: 'status'; path: string; kind?: string; status: { state: string } & Record<string, unknown> };

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

/**
 * Messages in order until the signal aborts. Without `since`, those to come; with it, the changes after that revision
 * first. @throws Refused (events.compacted when the revision is no longer kept), Unreachable when the connection is lost.
 */
export async function* eventStream(
  client: Client,
  since: number | undefined,
  signal: AbortSignal | undefined,
): AsyncGenerator<EventMessage, void, undefined> {
  if (signal?.aborted) return;
  const { WebSocket } = await import('ws');
  const { url, headers } = client.events(`/v1/events${since === undefined ? '' : `?since=${since}`}`);
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
  socket.on('close', (_code, reason) => end(client.unreachable(reason.toString() || 'the event stream ended')));
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
