/** What keeps the process observed: health, readiness, metrics. Open to whoever can reach them, metrics with care. */
import type { FastifyInstance } from 'fastify';
import Type from 'typebox';
import { Problem } from '../problems.ts';
import { authenticate } from './access.ts';
import { isLocal, type Metrics } from './metrics.ts';
import { accessProblems, problemResponses } from './schemas.ts';
import type { Services } from './services.ts';

export function processRoutes(app: FastifyInstance, { fabric, tokens }: Services, metrics: Metrics): void {
  app.get(
    '/healthz',
    {
      schema: {
        operationId: 'getHealth',
        summary: 'The process answers',
        tags: ['process'],
        security: [],
        response: { 200: Type.Object({ status: Type.Literal('ok') }, { description: 'It does' }) },
      },
    },
    () => ({ status: 'ok' }),
  );
  app.get(
    '/readyz',
    {
      schema: {
        operationId: 'getReadiness',
        summary: 'Intent is loaded and switches can connect',
        tags: ['process'],
        security: [],
        response: {
          200: Type.Object({ ready: Type.Literal(true), reason: Type.String() }, { description: 'Ready' }),
          ...problemResponses('controller.not-ready'),
        },
      },
    },
    () => {
      const state = fabric.ready();
      if (!state.ready) throw new Problem('controller.not-ready', state.reason);
      return state;
    },
  );
  app.get(
    '/metrics',
    {
      schema: {
        operationId: 'getMetrics',
        summary: "Metrics in Prometheus' text format; a token of role admin or operator is asked for beyond loopback",
        tags: ['process'],
        response: {
          200: { description: 'Metrics', content: { 'text/plain': { schema: Type.String() } } },
          ...problemResponses(...accessProblems),
        },
      },
    },
    async (request, reply) => {
      if (!isLocal(request)) {
        const { role } = authenticate(request, tokens);
        if (role !== 'admin' && role !== 'operator')
          throw new Problem('auth.forbidden', `The role ${role} may not read metrics`);
      }
      return reply.type(metrics.contentType).send(await metrics.text());
    },
  );
}
