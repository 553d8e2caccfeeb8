/** Everybody who follows events: what they share, and what ends their streams. */
import type { Logger } from 'pino';
import type { WebSocket } from 'ws';
import type { Principal } from '../auth/roles.ts';
import type { Tokens } from '../auth/tokens.ts';
import { changesOf } from '../intent/feed.ts';
import type { Intent } from '../intent/intent.ts';
import type { Commit, Path } from '../intent/model.ts';
import { isHidden } from '../intent/transit.ts';
import { Problem } from '../problems.ts';
import type { Store } from '../store/store.ts';
import type { Answers } from './answers.ts';
import type { AppContext, StatusSource } from './context.ts';
import { ChangeMessage, type EventEntry, entryOf } from './event-messages.ts';
import { EventStream, type Following } from './event-stream.ts';
import { everything, type Horizon, subtree } from './horizon.ts';
import { type Reader, sees, seesResource } from './reader.ts';
import { RecentEvents } from './recent-events.ts';

export type EventLimits = {
  /** Bytes on their way to one consumer above which it is waited for. */
  highWater: number;
  /** Milliseconds it is waited for; then its stream ends. */
  stall: number;
  /** Milliseconds between pings; a consumer that did not answer the last one is gone. */
  ping: number;
  /** Calls back when its patience with a consumer has run out, unless that is called off by what it returns. */
  patience(expired: () => void, milliseconds: number): () => void;
};

export const usualEventLimits: EventLimits = {
  highWater: 1 << 20,
  stall: 30_000,
  ping: 20_000,
  patience(expired, milliseconds) {
    const timer = setTimeout(expired, milliseconds);
    return () => clearTimeout(timer);
  },
};

const mostHiddenGone = 10_000;

export class EventHub {
  readonly limits: EventLimits;
  readonly recent: RecentEvents;
  readonly #intent: Intent;
  readonly #store: Store;
  readonly #status: StatusSource;
  readonly #tokens: Tokens;
  readonly #answers: Answers;
  readonly #horizon: Horizon;
  readonly #log: Logger;
  readonly #streams = new Set<EventStream>();
  /** Of what was deleted last: paths that tenants knew nothing of. That a switch has confirmed it is told later. */
  readonly #hiddenGone = new Set<Path>();
  readonly #unsubscribe: (() => void)[];
  readonly #pinging: NodeJS.Timeout;

  constructor(context: AppContext & { answers: Answers; horizon: Horizon }, limits: EventLimits) {
    this.limits = limits;
    this.#intent = context.intent;
    this.#store = context.store;
    this.#status = context.status;
    this.#tokens = context.tokens;
    this.#answers = context.answers;
    this.#horizon = context.horizon;
    this.#log = context.log;
    this.recent = new RecentEvents(this.#intent.revision);
    this.#unsubscribe = [
      this.#intent.onCommit((commit) => {
        this.#noteHidden(commit);
        this.recent.add(entryOf(commit));
        for (const stream of this.#streams) stream.wake();
      }),
      this.#status.onStatus((path) => {
        for (const stream of this.#streams) stream.statusChanged(path);
      }),
    ];
    this.#pinging = setInterval(() => {
      for (const stream of this.#streams) stream.ping();
    }, limits.ping);
    this.#pinging.unref();
  }

  get size(): number {
    return this.#streams.size;
  }

  /** Follows until the socket closes. */
  follow(socket: WebSocket, following: Following): void {
    const stream = new EventStream(socket, following, this);
    this.#streams.add(stream);
    socket.once('close', () => {
      stream.stop();
      this.#streams.delete(stream);
    });
    stream.run().catch((error: unknown) => {
      this.#log.error({ err: error }, 'an event stream failed');
      stream.close(1011, 'internal');
    });
  }

  /** Ends the streams of tokens that are valid no more. */
  recheck(): void {
    for (const stream of this.#streams) stream.checkToken();
  }

  isValid({ token }: Principal): boolean {
    const found = this.#tokens.get(token);
    return found !== undefined && (found.expires ?? Number.POSITIVE_INFINITY) > Date.now();
  }

  /** Whether nothing that the reader could see has come after the revision. */
  isCurrent(since: number, reader: Reader): boolean {
    return since >= this.#horizon.of(reader, this.#intent.revision);
  }

  /** @throws Problem events.compacted when what came after the revision is no longer all known */
  mustReach(since: number, reader: Reader): void {
    const { oldest, revision } = this.#store;
    if (since <= revision && (since >= oldest || this.isCurrent(since, reader))) return;
    const kept = reader.restricted ? `; revisions ${oldest} to ${revision} are kept` : '';
    throw new Problem('events.compacted', `Changes since revision ${since} cannot be told${kept}`);
  }

  /** What came after the revision, from the store, up to what is durable now. @throws Problem events.compacted */
  async *past(since: number, reader: Reader, signal?: AbortSignal): AsyncGenerator<EventEntry, void, undefined> {
    const target = this.#store.revision;
    if (since >= target) return;
    for await (const change of this.#store.watch(since, signal)) {
      const found = changesOf(change, (path) => sees(reader, path));
      yield { revision: change.revision, messages: found.map((c) => new ChangeMessage(change.revision, c)) };
      if (change.revision >= target) return;
    }
  }

  /** Paths of everything the reader may see, or of that part of it; collected at once. */
  paths(below: Path | undefined, reader: Reader): Path[] {
    const root = below === undefined ? undefined : this.#intent.get(below);
    if (below !== undefined && root === undefined) return [];
    const found = root ? subtree(this.#intent, root) : everything(this.#intent, reader);
    const shown: Path[] = [];
    for (const resource of found) if (seesResource(reader, resource)) shown.push(resource.path);
    return shown;
  }

  /** Whether the reader is to know nothing of what is at the path, or was there. */
  isConcealed(path: Path, reader: Reader): boolean {
    if (reader.tenant === undefined) return false;
    const resource = this.#intent.get(path) ?? this.#status.deleting(path);
    return resource === undefined ? this.#hiddenGone.has(path) : !seesResource(reader, resource);
  }

  #noteHidden({ changes }: Commit): void {
    for (const { path, before, after } of changes) {
      if (before === undefined || (after === undefined && !isHidden(before))) this.#hiddenGone.delete(path);
      else if (after === undefined) this.#hiddenGone.add(path);
    }
    for (const path of this.#hiddenGone) {
      if (this.#hiddenGone.size <= mostHiddenGone) break;
      this.#hiddenGone.delete(path);
    }
  }

  /** Status as it is now; undefined for what is gone. */
  statusOf(path: Path, reader: Reader) {
    const present = this.#intent.get(path);
    const resource = present ?? this.#status.deleting(path);
    return resource && this.#answers.statusOf(resource, reader, present === undefined);
  }

  close(): void {
    clearInterval(this.#pinging);
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    for (const stream of this.#streams) stream.close(1001, 'shutting down');
  }
}
