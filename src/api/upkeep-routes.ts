/** For those who look after the controller: recompute, doctor, backup, compact. */
import { Readable } from 'node:stream';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import Type, { type Static } from 'typebox';
import type { Deed } from '../auth/audit.ts';
import { Problem } from '../problems.ts';
import { backupOf } from '../store/backup.ts';
import type { Snapshot } from '../store/store.ts';
import { version } from '../version.ts';
import { type Asker, areaAccess } from './access.ts';
import { accessProblems, described, problemResponses, ref } from './schemas.ts';
import type { Services } from './services.ts';

const closed = { additionalProperties: false } as const;

/** Milliseconds in which whoever takes a backup has to take some of it: meanwhile the store keeps what was replaced. */
const stallTime = 60_000;

const DoctorQuery = Type.Object(
  { quick: Type.Optional(Type.Boolean({ description: 'Leave out what reads every switch back', default: false })) },
  closed,
);

const CompactQuery = Type.Object(
  {
    changes: Type.Optional(
      Type.Integer({
        minimum: 1_000,
        maximum: 100_000_000,
        description: 'Changes the log is cut to; what the configuration keeps when left out',
      }),
    ),
  },
  closed,
);

const Compacted = Type.Object({
  revision: Type.Integer(),
  oldest: Type.Integer({ description: 'Events since this revision can still be asked for' }),
  before: Type.Optional(Type.Integer({ description: 'Bytes on the disk; missing where there is none' })),
  after: Type.Optional(Type.Integer()),
});

export function upkeepRoutes(plain: FastifyInstance, services: Services): void {
  const app = plain.withTypeProvider<TypeBoxTypeProvider>();
  const routes = new UpkeepRoutes(services);
  const tags = ['upkeep'];
  app.get(
    '/v1/recompute',
    {
      config: { access: areaAccess('recompute', 'read') },
      schema: {
        operationId: 'checkRecompute',
        summary: 'Compile everything anew, beside the running system, and tell what differs',
        description:
          'Nothing is changed. What compiling anew gives is held against what was sent to switches, and what the southbound ' +
          'holds against what it was given. Nothing should ever differ.',
        tags,
        querystring: Type.Object({}, closed),
        response: {
          200: described(ref('Recomputation'), 'What differs'),
          ...problemResponses(...accessProblems, 'request.invalid'),
        },
      },
    },
    () => services.upkeep.recompute(false),
  );
  app.post(
    '/v1/recompute',
    {
      config: { access: areaAccess('recompute', 'write') },
      schema: {
        operationId: 'recompute',
        summary: 'Compile everything anew, and send what differs to the switches again',
        tags,
        querystring: Type.Object({}, closed),
        response: {
          200: described(ref('Recomputation'), 'What differed'),
          ...problemResponses(...accessProblems, ...writeProblems),
        },
      },
    },
    (request) => routes.recompute(request, request.body),
  );
  app.get(
    '/v1/doctor',
    {
      config: { access: areaAccess('doctor', 'read') },
      schema: {
        operationId: 'diagnose',
        summary: 'Look at everything there is, and tell what is wrong and what to do',
        description:
          'Connections, approval, addresses, versions, MTUs, tunnels and their BFD, drift (each switch is read back, one at a ' +
          'time), refusals, conflicts, the store, its disk, the clock and the threads of the controller.',
        tags,
        querystring: DoctorQuery,
        response: {
          200: described(ref('Diagnosis'), 'What was found'),
          ...problemResponses(...accessProblems, 'request.invalid'),
        },
      },
    },
    (request) => services.upkeep.doctor(request.query.quick ?? false),
  );
  // Its answer is a stream, which the types of the schema's text do not know.
  plain.get(
    '/v1/backup',
    {
      // For admins alone: it holds the hash of every token.
      config: { access: areaAccess('backup', 'write') },
      exposeHeadRoute: false,
      schema: {
        operationId: 'backup',
        summary: 'Everything the store holds at one revision, while it is written to',
        description:
          'Lines of JSON: `{keyway, schema, revision, at}`, then `{key, revision, value}` for each entry, then `{entries, sha256}` of ' +
          'all bytes before that line. Without its last line it is none. It holds the hashes of tokens: keep it as you keep those.',
        tags,
        querystring: Type.Object({}, closed),
        response: {
          200: { description: 'The backup', content: { 'application/x-ndjson': { schema: Type.String() } } },
          ...problemResponses(...accessProblems, 'request.invalid', 'store.unavailable'),
        },
      },
    },
    async (request, reply) => {
      const { revision, stream } = await routes.backup(request);
      return reply
        .type('application/x-ndjson')
        .header('content-disposition', `attachment; filename="keyway-${revision}.backup"`)
        .header('cache-control', 'no-store')
        .send(stream);
    },
  );
  app.post(
    '/v1/compact',
    {
      config: { access: areaAccess('compact', 'write') },
      schema: {
        operationId: 'compact',
        summary: 'Cut the change log, and give back the room on the disk of what was deleted',
        description: 'The store goes on meanwhile. Event streams that are further behind end with `events.compacted`.',
        tags,
        querystring: CompactQuery,
        response: { 200: described(Compacted, 'Done'), ...problemResponses(...accessProblems, ...writeProblems) },
      },
    },
    (request) => routes.compact(request, request.query.changes, request.body),
  );
}

const writeProblems = ['request.invalid', 'request.malformed', 'store.unavailable'] as const;

class UpkeepRoutes {
  readonly #services: Services;

  constructor(services: Services) {
    this.#services = services;
  }

  async recompute(asker: Asker, body: unknown) {
    mustBeEmpty(body);
    await this.#audit(asker, { action: 'recompute', target: 'recompute', tenant: undefined });
    return await this.#services.upkeep.recompute(true);
  }

  /** @throws Problem request.invalid, store.unavailable */
  async compact(asker: Asker, changes: number | undefined, body: unknown): Promise<Static<typeof Compacted>> {
    mustBeEmpty(body);
    const { store } = this.#services;
    const { bytes: before } = await store.health();
    await this.#audit(asker, { action: 'compact', target: 'compact', tenant: undefined });
    await store.compact(changes ?? store.limits.changes);
    const { bytes: after } = await store.health();
    const sizes = before === undefined || after === undefined ? {} : { before, after };
    return { revision: store.revision, oldest: store.oldest, ...sizes };
  }

  /** @throws Problem store.unavailable */
  async backup(asker: Asker): Promise<{ revision: number; stream: Readable }> {
    await this.#audit(asker, { action: 'backup', target: 'backup', tenant: undefined });
    const snapshot = await this.#services.store.snapshot();
    const stream: Readable = Readable.from(
      pieces(snapshot, (error) => stream.destroy(error)),
      { objectMode: false },
    );
    return { revision: snapshot.revision, stream };
  }

  async #audit(asker: Asker, deed: Pick<Deed, 'action' | 'target' | 'tenant'>): Promise<void> {
    const { store, writes } = this.#services;
    await store.commit({ put: new Map([writes.record(asker, deed)]) });
  }
}

/** The snapshot is given up at the end of the backup, or when nobody takes any more of it. */
async function* pieces(snapshot: Snapshot, stalled: (error: Error) => void): AsyncGenerator<Buffer, void, void> {
  await using held = snapshot;
  for await (const piece of backupOf(held, version)) {
    const impatience = setTimeout(() => stalled(new Error('a backup was given up: nobody takes it')), stallTime);
    try {
      yield piece;
    } finally {
      clearTimeout(impatience);
    }
  }
}

/** Such requests say everything by their query. @throws Problem request.invalid */
function mustBeEmpty(body: unknown): void {
  if (body !== undefined && body !== null)
    throw new Problem('request.invalid', 'The request takes no body', [
      { field: '', code: 'unknown', message: 'There must be none' },
    ]);
}
