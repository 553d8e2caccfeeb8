/** `/v1/events`: a WebSocket that tells changes and status, and a list of changes for those who poll. */
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance, FastifyReply } from 'fastify';
import Type, { type Static } from 'typebox';
import { parsePath } from '../intent/path.ts';
import { fieldProblem, Problem } from '../problems.ts';
import { type Asker, areaAccess } from './access.ts';
import type { EventEntry } from './event-messages.ts';
import type { Following } from './event-stream.ts';
import { type Reader, sees } from './reader.ts';
import { accessProblems, described, problemResponses, ref } from './schemas.ts';
import type { Services } from './services.ts';

const EventQuery = Type.Object(
  {
    since: Type.Optional(
      Type.Integer({ minimum: 0, description: 'Tell every change after this revision; from now on when left out' }),
    ),
    path: Type.Optional(
      Type.String({
        maxLength: 512,
        description: 'Only what lies at or below this path, e.g. tenants/acme/networks/shop',
      }),
    ),
    status: Type.Optional(
      Type.Union([Type.Literal('all'), Type.Literal('changes'), Type.Literal('none')], {
        default: 'all',
        description: 'WebSocket: the present status of everything and then its changes; only the changes; none',
      }),
    ),
    limit: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 10_000,
        default: 1000,
        description: 'List: changes at most; those of one revision stay together, so that there may be more',
      }),
    ),
  },
  { additionalProperties: false },
);

type EventQuery = Static<typeof EventQuery>;

const description = `With \`Connection: Upgrade\` a WebSocket, else a list of the changes there are.

Messages are JSON texts: \`{"type":"change","revision","kind","path","change":"created"|"replaced"|"deleted","resource"}\`
for every change after \`since\`, in order; then \`{"type":"synced","revision"}\`; then \`{"type":"status","path","status"}\`
(\`status\` null: gone, and every switch has confirmed it), between further changes. To go on after a break, connect again with
the revision last seen. Status is not durable: after a break it is told anew.

The token goes into \`Authorization\`, or, from a browser, into \`Sec-WebSocket-Protocol: keyway.events, keyway.bearer.TOKEN\`.
The server closes with 4401 \`auth.invalid\` (the token has expired or was revoked), 4408 \`events.slow\` (too little was taken for too
long), 4410 \`events.compacted\` (list again), 1001 (the controller stops).`;

export function eventRoutes(app: FastifyInstance, services: Services): void {
  const routes = new EventRoutes(services);
  app.withTypeProvider<TypeBoxTypeProvider>().route({
    method: 'GET',
    url: '/v1/events',
    config: { access: areaAccess('events', 'read') },
    schema: {
      operationId: 'followEvents',
      summary: 'Follow changes of intent and status',
      description,
      tags: ['events'],
      querystring: EventQuery,
      response: {
        101: Type.Null({ description: 'WebSocket' }),
        200: described(ref('EventPage'), 'The changes there are'),
        ...problemResponses(...accessProblems, 'request.invalid', 'events.compacted'),
      },
    },
    // Before the upgrade, so that a refusal is an HTTP answer.
    preHandler: (request, _reply, done) => {
      try {
        routes.judge(request, request.query);
        done();
      } catch (error) {
        done(error as Error);
      }
    },
    handler: (request, reply) => routes.list(request, request.query, reply),
    wsHandler: (socket, request) => services.hub.follow(socket, routes.following(request, request.query as EventQuery)),
  });
}

class EventRoutes {
  readonly #services: Services;

  constructor(services: Services) {
    this.#services = services;
  }

  /** @throws Problem auth.forbidden, request.invalid, events.compacted */
  judge({ reader }: Asker, { since, path }: EventQuery): void {
    if (path !== undefined) {
      if (!sees(reader, path)) throw fieldProblem('auth.forbidden', '?path', `The token is for ${reader.tenant}`);
      const parsed = parsePath(path);
      if (parsed instanceof Problem) throw fieldProblem('request.invalid', '?path', parsed.detail);
    }
    if (since !== undefined) this.#services.hub.mustReach(since, reader);
  }

  following({ reader, principal }: Asker, query: EventQuery): Following {
    const { horizon, hub, intent } = this.#services;
    const { since: asked = intent.revision, path, status = 'all' } = query;
    // Who has seen all there is need not have the log read, which may no longer reach back that far.
    const since = hub.isCurrent(asked, reader) ? Math.max(asked, intent.revision) : asked;
    const told = (revision: number) => Math.max(asked, horizon.of(reader, revision));
    return { principal, reader, since, told, below: path, status };
  }

  async list({ reader }: Asker, query: EventQuery, reply: FastifyReply): Promise<FastifyReply> {
    const { intent, horizon } = this.#services;
    const { since = intent.revision, path, limit = 1000 } = query;
    const texts: string[] = [];
    let next = Math.max(since, horizon.of(reader, intent.revision));
    for await (const { revision, messages } of this.#entries(since, reader)) {
      for (const message of messages) {
        if (!message.isFor(reader)) continue;
        next = Math.max(next, revision);
        if (isBelow(message.path, path)) texts.push(message.text(reader.restricted));
      }
      if (texts.length >= limit) {
        next = revision;
        break;
      }
    }
    // The messages are texts already.
    return reply.type('application/json').send(`{"changes":[${texts.join(',')}],"next":${next}}`);
  }

  /** Commits after the revision and up to now. */
  async *#entries(since: number, reader: Reader): AsyncGenerator<EventEntry, void, undefined> {
    const { hub } = this.#services;
    if (hub.isCurrent(since, reader)) return;
    if (since < hub.recent.start) return yield* hub.past(since, reader);
    for (let entry = hub.recent.after(since); entry; entry = hub.recent.after(entry.revision)) yield entry;
  }
}

function isBelow(path: string, below: string | undefined): boolean {
  return below === undefined || path === below || path.startsWith(`${below}/`);
}
