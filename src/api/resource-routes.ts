/** PUT, GET, list and DELETE of every kind there is, from the definitions. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import Type from 'typebox';
import type { Operation } from '../intent/intent.ts';
import type { Path, Resource } from '../intent/model.ts';
import { definitions, type Kind, kinds } from '../intent/resources/index.ts';
import { Problem, type ProblemCode } from '../problems.ts';
import { resourceAccess } from './access.ts';
import { etagOf, noneMatchFails, parseTags } from './etag.ts';
import {
  defaultLimit,
  filterOf,
  formatCursor,
  type ListQuery,
  listQuery,
  parseCursor,
  refuseRestrictedFilters,
} from './list.ts';
import { Place } from './place.ts';
import { precondition } from './preconditions.ts';
import { seesResource } from './reader.ts';
import { accessProblems, anyHypervisor, componentName, described, problemResponses, ref } from './schemas.ts';
import type { Services } from './services.ts';
import { timeoutOf, type Wait, waitFor, waitParameters } from './wait.ts';

export function resourceRoutes(app: FastifyInstance, services: Services): void {
  for (const kind of kinds) {
    const place = new Place(kind);
    const routes = new KindRoutes(kind, place, services);
    const name = componentName(kind);
    const { segment, summary } = definitions[kind];
    const docs = (verb: string, what: string) => ({
      operationId: verb,
      summary: `${what}: ${summary}`,
      tags: [segment],
    });
    const read = { access: resourceAccess(kind, 'read') };
    const write = { access: resourceAccess(kind, 'write') };

    app.get(
      place.collectionUrl,
      {
        config: read,
        schema: {
          ...docs(`list${componentName(segment)}`, 'List'),
          querystring: listQuery(definitions[kind]),
          response: {
            200: described(ref(`${name}List`), 'A page'),
            ...problemResponses(...readProblems, 'cursor.invalid'),
          },
        },
      },
      (request) => routes.list(request),
    );
    app.get(
      place.url,
      {
        config: read,
        schema: {
          ...docs(`get${name}`, 'Read'),
          querystring: none,
          headers: readHeaders,
          response: {
            200: described(kind === 'hypervisor' ? anyHypervisor : ref(name), 'As it is'),
            304: Type.Null({ description: 'The intent is the one If-None-Match names' }),
            ...problemResponses(...readProblems),
          },
        },
      },
      (request, reply) => routes.get(request, reply),
    );
    app.put(
      place.url,
      {
        config: write,
        schema: {
          ...docs(`put${name}`, 'Create or replace'),
          querystring: waitQuery,
          headers: writeHeaders,
          body: ref(`${name}Body`),
          response: {
            200: described(ref(name), 'Replaced, or as it was already'),
            201: described(ref(name), 'Created'),
            ...problemResponses(...writeProblems, ...putProblems),
          },
        },
      },
      (request, reply) => routes.put(request, reply),
    );
    app.delete(
      place.url,
      {
        config: write,
        schema: {
          ...docs(`delete${name}`, 'Delete'),
          querystring: waitQuery,
          headers: writeHeaders,
          response: {
            200: described(ref(name), 'Deleted; a switch that is out of reach has not confirmed yet'),
            204: Type.Null({ description: 'Deleted' }),
            ...problemResponses(...writeProblems, 'resource.in-use', 'resource.built-in'),
          },
        },
      },
      (request, reply) => routes.delete(request, reply),
    );
  }
}

const none = Type.Object({}, { additionalProperties: false });
const waitQuery = Type.Object(waitParameters, { additionalProperties: false });
const readHeaders = Type.Object({
  'if-none-match': Type.Optional(
    Type.String({ description: 'ETags that were read: 304 while the intent is one of them' }),
  ),
});
const writeHeaders = Type.Object({
  'if-match': Type.Optional(
    Type.String({ description: 'The ETag that was read: refused when there is another one now' }),
  ),
  'if-none-match': Type.Optional(Type.String({ description: '`*`: create only' })),
});

const readProblems: ProblemCode[] = [...accessProblems, 'name.invalid', 'request.invalid', 'resource.not-found'];

const writeProblems: ProblemCode[] = [
  ...readProblems,
  'resource.changed',
  'store.conflict',
  'store.unavailable',
  'wait.timeout',
];

export const putProblems: ProblemCode[] = [
  'request.malformed',
  'request.too-large',
  'request.unsupported-media-type',
  'resource.exists',
  'resource.immutable',
  'reference.dangling',
  'address.invalid',
  'address.not-unicast',
  'address.family-mismatch',
  'address.overlap',
  'address.outside',
  'address.in-use',
  'address.exhausted',
  'mtu.too-large',
  'mtu.too-small',
  'route.next-hop',
  'route.loop',
  'peering.self',
  'peering.duplicate',
  'peering.overlap',
  'steering.repeated',
  'steering.loop',
  'mac.in-use',
  'iface-id.in-use',
  'hypervisor.system-id-in-use',
  'address.reserved',
  'provider-network.duplicate',
  'provider-network.not-open',
  'ip-pool.overlap',
  'ip-pool.not-open',
  'ip-pool.exhausted',
  'ip-pool.none',
  'public-ip.outside',
  'public-ip.in-use',
  'nat-rule.ports',
  'nat-rule.port-in-use',
  'nat-rule.public-ip-in-use',
  'nat-rule.address-in-use',
  'nat-rule.source-in-use',
  'nat-rule.no-ipv4',
  'nat-rule.address',
  'nat-rule.tier',
  'service.not-offered',
  'trunk.overlap',
  'vlan.invalid',
  'vlan.outside',
  'vlan.in-use',
  'vlan.exhausted',
  'vlan-attachment.tier',
  'port.attachment',
  'quota.exceeded',
  'ids.exhausted',
];

type Params = Readonly<Record<string, string>>;

class KindRoutes {
  readonly #kind: Kind;
  readonly #place: Place;
  readonly #services: Services;

  constructor(kind: Kind, place: Place, services: Services) {
    this.#kind = kind;
    this.#place = place;
    this.#services = services;
  }

  list(request: FastifyRequest): object {
    const { intent, answers, horizon } = this.#services;
    const { reader } = request;
    const query = request.query as ListQuery;
    if (!reader.restricted) refuseRestrictedFilters(definitions[this.#kind], query);
    const cursor = query.cursor === undefined ? undefined : parseCursor(query.cursor);
    const parent = this.#place.parent(request.params as Params);
    if (parent !== '' && intent.get(parent) === undefined)
      throw new Problem('resource.not-found', `There is no ${parent}`);

    const limit = query.limit ?? defaultLimit;
    const asked = filterOf(query);
    const filter =
      reader.tenant === undefined
        ? asked
        : (resource: Resource) => seesResource(reader, resource) && asked?.(resource) !== false;
    const page = intent.page(this.#kind, parent, { limit, after: cursor?.after, filter });
    // Of the first page: events since then tell whatever later pages, read at later revisions, do not show.
    const revision = cursor?.revision ?? horizon.of(reader, page.revision);
    let items: Named[] = page.items.map((resource) => answers.answer(resource, reader));
    let { more } = page;
    if (this.#kind === 'hypervisor' && filter === undefined) {
      items = merged(items, answers.pendingHypervisors(), cursor?.after, page.more);
      more ||= items.length > limit;
      items.length = Math.min(items.length, limit);
    }
    const last = items.at(-1);
    return { items, revision, next: more && last ? formatCursor({ after: last.name, revision }) : undefined };
  }

  get(request: FastifyRequest, reply: FastifyReply): object {
    const { answers } = this.#services;
    const path = this.#place.path(request.params as Params);
    const pending = this.#pending(request.params as Params);
    if (pending) return pending;
    const { resource, deleting } = answers.find(path);
    if (!seesResource(request.reader, resource)) throw new Problem('resource.not-found', `There is no ${path}`);
    reply.header('etag', etagOf(resource.revision));
    const known = request.headers['if-none-match'];
    if (known !== undefined && !deleting && noneMatchFails(parseTags(known, 'If-None-Match'), resource.revision))
      return reply.code(304).send();
    return answers.answer(resource, request.reader, deleting);
  }

  async put(request: FastifyRequest, reply: FastifyReply): Promise<object> {
    const { answers, writes, status } = this.#services;
    const path = this.#place.path(request.params as Params);
    const query = request.query as Wait;
    const timeout = timeoutOf(query, '?timeout');
    const { labels, ...spec } = bodyOf(request.body);
    const operation: Operation = {
      op: 'put',
      path,
      spec,
      labels: labels as Record<string, string> | undefined,
      ...this.#precondition(request, path),
    };
    const { outcomes } = await writes.one(request, operation);
    const { outcome, after } = outcomes[0]!;
    const resource = after!;
    await waitFor(status, resource.revision, query, timeout);
    reply.header('etag', etagOf(resource.revision));
    if (outcome === 'created') reply.code(201).header('location', `/v1/${path}`);
    return answers.answer(resource, request.reader);
  }

  async delete(request: FastifyRequest, reply: FastifyReply): Promise<object> {
    const { answers, writes, status } = this.#services;
    const path = this.#place.path(request.params as Params);
    const query = request.query as Wait;
    const timeout = timeoutOf(query, '?timeout');
    const operation: Operation = { op: 'delete', path, ...this.#precondition(request, path) };
    const { revision } = await writes.one(request, operation);
    await waitFor(status, revision, query, timeout);
    const going = query.wait === undefined ? undefined : status.deleting(path);
    return going ? answers.answer(going, request.reader, true) : reply.code(204).send();
  }

  #precondition(request: FastifyRequest, path: Path): object | undefined {
    return precondition(request.headers, path, this.#services.intent.get(path)?.revision);
  }

  /** A hypervisor that waits for approval, where that is what the path names. */
  #pending(params: Params): object | undefined {
    const { intent, answers } = this.#services;
    if (this.#kind !== 'hypervisor' || intent.get(this.#place.path(params))) return undefined;
    return answers.pendingHypervisors().find(({ name }) => name === params.hypervisor);
  }
}

type Named = { name: string };

/** Both in the order of names: those behind the cursor, and, while pages follow, none beyond the last of this one. */
function merged(page: Named[], pending: readonly Named[], after: string | undefined, more: boolean): Named[] {
  const last = page.at(-1)?.name;
  const fitting = pending.filter(
    ({ name }) => (after === undefined || name > after) && (!more || last === undefined || name < last),
  );
  return [...page, ...fitting].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** @throws Problem request.malformed, request.invalid */
export function bodyOf(body: unknown): Record<string, unknown> {
  // The framework says null where none was sent.
  if (body === undefined || body === null) throw new Problem('request.malformed', 'There is no body');
  if (typeof body !== 'object' || Array.isArray(body))
    throw new Problem('request.invalid', 'The body is not a JSON object');
  return body as Record<string, unknown>;
}
