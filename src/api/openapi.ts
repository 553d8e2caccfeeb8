/** `/openapi.json` and `/docs`, made from the routes. */
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance } from 'fastify';
import Type from 'typebox';
import { definitions, kinds } from '../intent/resources/index.ts';
import { version } from '../version.ts';
import { componentSchemas } from './schemas.ts';

const description = `Names in paths are chosen by the caller. \`PUT\` creates or replaces, is idempotent, and takes back what \`GET\` gave: read-only
members are accepted and ignored, and what the server filled keeps its value when left out. Unknown members and wrong types
are refused, never dropped or converted. Errors are \`application/problem+json\` (RFC 9457) with a stable \`code\`.

The \`ETag\` is the revision of what was asked for, never that of its status: with \`If-None-Match\` a \`GET\` answers 304 although the
status may have changed.`;

/** To be called before the routes are registered. */
export async function installOpenApi(app: FastifyInstance): Promise<void> {
  for (const schema of componentSchemas()) app.addSchema(schema);
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Keyway',
        version,
        description,
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } as never,
      },
      tags: [
        ...kinds.map((kind) => ({ name: definitions[kind].segment, description: definitions[kind].summary })),
        { name: 'apply', description: 'Many resources in one transaction' },
        { name: 'inspection', description: 'What is on switches, and why' },
        { name: 'usage', description: 'What ports and public addresses have used' },
        { name: 'gateway-hosts', description: 'What the program of a gateway host is to serve' },
        { name: 'events', description: 'Changes of intent and of status' },
        { name: 'tokens', description: 'Who may do what' },
        { name: 'audit', description: 'Who did what, when' },
        { name: 'upkeep', description: 'Recompute, doctor, backup, compaction' },
        { name: 'process', description: 'Health and metrics' },
      ],
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
      security: [{ token: [] }],
    },
    convertConstToEnum: false,
    refResolver: { buildLocalReference: (json, _base, _fragment, i) => String(json.$id ?? `schema-${i}`) },
  });
  await app.register(swaggerUi, { routePrefix: '/docs', staticCSP: contentSecurityPolicy });
}

/** Everything from here: the pages work without any other network, over plain HTTP too. */
const contentSecurityPolicy =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'; " +
  "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** The document itself. */
export function openApiRoute(app: FastifyInstance): void {
  app.get(
    '/openapi.json',
    {
      schema: {
        operationId: 'getOpenApi',
        summary: 'This document',
        tags: ['process'],
        security: [],
        response: { 200: Type.Object({}, { description: 'OpenAPI 3.1' }) },
      },
    },
    () => app.swagger(),
  );
}
