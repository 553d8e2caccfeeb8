/** The API as one fastify app, ready to be listened with (listen.ts) or asked directly (inject). */
import { isUtf8 } from 'node:buffer';
import { randomUUID } from 'node:crypto';
import websocket from '@fastify/websocket';
import { type FastifyInstance, fastify, LogController } from 'fastify';
import { Problem } from '../problems.ts';
import { installAccess } from './access.ts';
import { Answers } from './answers.ts';
import { applyRoutes } from './apply-routes.ts';
import type { AppContext } from './context.ts';
import { EventHub, type EventLimits, usualEventLimits } from './event-hub.ts';
import { eventRoutes } from './event-routes.ts';
import { gatewayRoutes } from './gateway-routes.ts';
import { GatewayStreams } from './gateway-streams.ts';
import { hitRoutes } from './hit-routes.ts';
import { Horizon } from './horizon.ts';
import { rememberRoutes } from './known-routes.ts';
import { Metrics } from './metrics.ts';
import { installOpenApi, openApiRoute } from './openapi.ts';
import { answerClientError, answerProblem, installProblemAnswers } from './problem-answers.ts';
import { processRoutes } from './process-routes.ts';
import { RequestRates } from './request-rates.ts';
import { resourceRoutes } from './resource-routes.ts';
import type { Services } from './services.ts';
import { switchRoutes } from './switch-routes.ts';
import { tokenRoutes } from './token-routes.ts';
import { traceRoutes } from './trace-routes.ts';
import { upkeepRoutes } from './upkeep-routes.ts';
import { usageRoutes } from './usage-routes.ts';
import { compileJudge, judgeNamesInPaths } from './validation.ts';
import { Writes } from './writes.ts';

export type AppOptions = {
  events?: Partial<EventLimits>;
  /** Milliseconds of a clock that is never set back. */
  monotonic?(): number;
};

/** Bytes; /v1/apply takes more. */
const bodyLimit = 4 << 20;

export async function createApp(context: AppContext, { events, monotonic }: AppOptions = {}): Promise<FastifyInstance> {
  const app = fastify({
    loggerInstance: context.log,
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: () => randomUUID(),
    bodyLimit,
    routerOptions: { maxParamLength: 255 },
    frameworkErrors: (error, request, reply) => {
      answerProblem(error, request, reply);
    },
    clientErrorHandler: answerClientError,
  }) as unknown as FastifyInstance;

  app.setValidatorCompiler(compileJudge);
  // Plain JSON: compiled serialisers leave out members that no schema names, silently.
  app.setSerializerCompiler(() => (value) => JSON.stringify(value));
  readJsonOnly(app);
  judgeNamesInPaths(app);
  installProblemAnswers(app, rememberRoutes(app));
  const services = servicesOf(context, { ...usualEventLimits, ...events });
  await app.register(websocket, {
    options: { maxPayload: 1024, perMessageDeflate: false, handleProtocols },
    // Before the plugin closes them without a reason.
    preClose(done) {
      services.hub.close();
      services.gatewayStreams.close();
      app.websocketServer.close();
      done();
    },
  });
  // After the plugin, which ends the socket of an upgrade that was refused.
  installAccess(app, context.tokens, new RequestRates(context.intent, monotonic));
  const metrics = new Metrics(context.fabric);
  metrics.observe(app);
  await installOpenApi(app);
  resourceRoutes(app, services);
  applyRoutes(app, services);
  switchRoutes(app, services);
  hitRoutes(app, services);
  traceRoutes(app, services);
  usageRoutes(app, services);
  eventRoutes(app, services);
  gatewayRoutes(app, services);
  tokenRoutes(app, services);
  upkeepRoutes(app, services);
  processRoutes(app, services, metrics);
  openApiRoute(app);

  const unsubscribe = revokeWithTenants(services);
  app.addHook('preClose', (done) => {
    unsubscribe();
    services.horizon.close();
    done();
  });
  await app.ready();
  return app;
}

function servicesOf(context: AppContext, limits: EventLimits): Services {
  const answers = new Answers(context);
  const horizon = new Horizon(context.intent, context.store.revision);
  const hub = new EventHub({ ...context, answers, horizon }, limits);
  const gatewayStreams = new GatewayStreams({ ...context, isValid: (principal) => hub.isValid(principal) }, limits);
  return { ...context, answers, horizon, writes: new Writes(context), hub, gatewayStreams };
}

/** The token among the subprotocols is not one to be chosen. */
function handleProtocols(offered: Set<string>): string | false {
  return offered.has('keyway.events') && 'keyway.events';
}

/** The position that JSON.parse tells is worth more to the caller than "not valid". */
function readJsonOnly(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) => {
    // A DELETE may announce JSON and send none.
    if (body.length === 0) return done(null, undefined);
    try {
      done(null, parseJson(body as Buffer));
    } catch (error) {
      done(new Problem('request.malformed', (error as Error).message), undefined);
    }
  });
}

function parseJson(body: Buffer): unknown {
  // Decoding would put replacement characters for what is no UTF-8.
  if (!isUtf8(body)) throw new SyntaxError('JSON is UTF-8 (RFC 8259 section 8.1), and the body is not');
  return JSON.parse(body.toString('utf8'));
}

/** Tokens of a tenant go with it, and so do those of a hypervisor: a later one of that name is another. */
function revokeWithTenants({ intent, tokens, log }: Services): () => void {
  return intent.onCommit(({ changes }) => {
    for (const { kind, before, after } of changes) {
      if ((kind !== 'tenant' && kind !== 'hypervisor') || before === undefined || after !== undefined) continue;
      // Invalid when the call returns; should the disk refuse, the next start revokes them.
      const revoked = kind === 'tenant' ? tokens.revokeTenant(before.name) : tokens.revokeHypervisor(before.name);
      revoked.catch((err: unknown) => log.error({ err }, `tokens of a deleted ${kind}`));
    }
  });
}
