/** Tokens and the audit: who may do what, and who did. */
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import Type, { type Static } from 'typebox';
import type { AuditRecord } from '../auth/audit.ts';
import { type Role, roles } from '../auth/roles.ts';
import type { Token } from '../auth/tokens.ts';
import { Name } from '../intent/fields.ts';
import { formatPath } from '../intent/path.ts';
import { keyOf } from '../intent/records.ts';
import { fieldProblem } from '../problems.ts';
import { type Asker, areaAccess } from './access.ts';
import { durationPattern, parseDuration } from './duration.ts';
import { cursorParameter, defaultLimit, limitParameter } from './list.ts';
import { accessProblems, problemResponses, ref } from './schemas.ts';
import type { Services } from './services.ts';

const closed = { additionalProperties: false } as const;

const TokenBody = Type.Object(
  {
    role: Type.Unsafe<Role>(Type.Union(roles.map((role) => Type.Literal(role)))),
    tenant: Type.Optional(Type.String({ description: 'With role tenant, and only then' })),
    hypervisor: Type.Optional(Type.String({ description: 'With role gateway-host, and only then' })),
    ttl: Type.Optional(
      Type.Union([Type.Integer({ minimum: 1 }), Type.String({ pattern: durationPattern })], {
        description: 'How long it is valid: seconds, or a duration such as 12h or 90d; for ever when left out',
      }),
    ),
    description: Type.Optional(Type.String({ maxLength: 256 })),
  },
  closed,
);
type TokenBody = Static<typeof TokenBody>;

const AuditQuery = Type.Object(
  {
    limit: limitParameter,
    cursor: cursorParameter,
    by: Type.Optional(Type.String({ description: 'Only what was done with this token (its id)' })),
    tenant: Type.Optional(Type.String({ description: 'Only what concerned this tenant' })),
  },
  closed,
);

const longestTtl = 10 * 365 * 86_400_000;

export function tokenRoutes(plain: FastifyInstance, services: Services): void {
  const app = plain.withTypeProvider<TypeBoxTypeProvider>();
  const routes = new TokenRoutes(services);
  app.post(
    '/v1/tokens',
    {
      config: { access: areaAccess('tokens', 'write') },
      schema: {
        operationId: 'createToken',
        summary: 'Make a token; its secret is shown this once',
        tags: ['tokens'],
        body: TokenBody,
        response: {
          201: Type.Object({ token: ref('Token'), secret: Type.String() }, { description: 'Made' }),
          ...problemResponses(
            ...accessProblems,
            'request.malformed',
            'request.invalid',
            'request.too-large',
            'request.unsupported-media-type',
            'reference.dangling',
            'store.conflict',
            'store.unavailable',
          ),
        },
      },
    },
    async (request, reply) => {
      const made = await routes.create(request, request.body);
      return reply.code(201).header('cache-control', 'no-store').send(made);
    },
  );
  app.get(
    '/v1/tokens',
    {
      config: { access: areaAccess('tokens', 'read') },
      schema: {
        operationId: 'listTokens',
        summary: 'Every token, without secrets',
        tags: ['tokens'],
        querystring: Type.Object({}, closed),
        response: {
          200: Type.Object({ items: Type.Array(ref('Token')) }, { description: 'Sorted by id' }),
          ...problemResponses(...accessProblems),
        },
      },
    },
    () => ({ items: services.tokens.list() }),
  );
  app.delete(
    '/v1/tokens/:token',
    {
      config: { access: areaAccess('tokens', 'write') },
      schema: {
        operationId: 'revokeToken',
        summary: 'Revoke a token at once; event streams that use it end',
        tags: ['tokens'],
        params: Type.Object({ token: Name }),
        querystring: Type.Object({}, closed),
        response: {
          204: Type.Null({ description: 'Revoked' }),
          ...problemResponses(
            ...accessProblems,
            'name.invalid',
            'resource.not-found',
            'store.conflict',
            'store.unavailable',
          ),
        },
      },
    },
    async (request, reply) => {
      await routes.revoke(request, request.params.token);
      return reply.code(204).send(null);
    },
  );
  app.get(
    '/v1/audit',
    {
      config: { access: areaAccess('audit', 'read') },
      schema: {
        operationId: 'listAudit',
        summary: 'Who did what, when; newest first',
        tags: ['audit'],
        querystring: AuditQuery,
        response: {
          200: Type.Object(
            { items: Type.Array(ref('AuditRecord')), next: Type.Optional(Type.String()) },
            { description: 'A page' },
          ),
          ...problemResponses(...accessProblems, 'request.invalid', 'cursor.invalid'),
        },
      },
    },
    (request) => routes.audit(request.query),
  );
}

class TokenRoutes {
  readonly #services: Services;

  constructor(services: Services) {
    this.#services = services;
  }

  async create(asker: Asker, { ttl, ...order }: TokenBody): Promise<{ token: Token; secret: string }> {
    const { tokens, writes } = this.#services;
    const also = {
      expect: this.#mustExist('tenant', order.tenant) ?? this.#mustExist('hypervisor', order.hypervisor),
      put: new Map([writes.record(asker, { action: 'create-token', target: 'tokens', tenant: order.tenant })]),
    };
    const { token, secret } = await tokens.create({ ...order, ttl: secondsOf(ttl) }, also);
    return { token, secret };
  }

  async revoke(asker: Asker, token: string): Promise<void> {
    const { tokens, writes, hub, gatewayStreams } = this.#services;
    const tenant = tokens.get(token)?.tenant;
    const record = writes.record(asker, { action: 'revoke-token', target: `tokens/${token}`, tenant });
    await tokens.revoke(token, { put: new Map([record]) });
    hub.recheck();
    gatewayStreams.recheck();
  }

  async audit({
    limit = defaultLimit,
    ...rest
  }: Static<typeof AuditQuery>): Promise<{ items: AuditRecord[]; next: string | undefined }> {
    const { records, cursor } = await this.#services.audit.list({ limit, ...rest });
    return { items: records, next: cursor };
  }

  /** A token for what is deleted at the same moment must not outlive it. @throws Problem reference.dangling */
  #mustExist(kind: 'tenant' | 'hypervisor', name: string | undefined): Map<string, number> | undefined {
    if (name === undefined) return undefined;
    const path = formatPath(kind, '', name);
    const found = this.#services.intent.get(path);
    if (found === undefined) throw fieldProblem('reference.dangling', `/${kind}`, `There is no ${path}`);
    return new Map([[keyOf(path), found.revision]]);
  }
}

function secondsOf(ttl: number | string | undefined): number | undefined {
  return typeof ttl === 'string' ? Math.ceil(parseDuration(ttl, '/ttl', longestTtl) / 1000) : ttl;
}
