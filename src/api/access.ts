/**
 * Who may come in: every route under /v1 says what it asks for, and that is judged from the token and the path alone,
 * before the body is read or anything is looked up.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { type Area, authorise, type Principal } from '../auth/roles.ts';
import type { Tokens } from '../auth/tokens.ts';
import { definitions, type Kind } from '../intent/resources/index.ts';
import { Problem } from '../problems.ts';
import { type Reader, readerOf } from './reader.ts';
import type { RequestRates } from './request-rates.ts';

/** Judges whether the caller may; undefined: it may. */
export type AccessRule = (principal: Principal, params: Readonly<Record<string, string>>) => Problem | undefined;

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: AccessRule;
  }
  interface FastifyRequest {
    /** Set on routes with an access rule, before anything else runs. */
    principal: Principal;
    reader: Reader;
  }
}

/** A request as far as it says who asks. */
export type Asker = Pick<FastifyRequest, 'principal' | 'reader' | 'id' | 'ip'>;

export function resourceAccess(kind: Kind, action: 'read' | 'write'): AccessRule {
  const resource = definitions[kind];
  return (principal, { tenant }) => authorise(principal, { action, tenant, resource });
}

export function areaAccess(area: Area, action: 'read' | 'write'): AccessRule {
  return (principal, { tenant, hypervisor }) => authorise(principal, { action, tenant, hypervisor, area });
}

/** Any token of people or their programs: the route confines its answer to what the token may see. */
export const anyToken: AccessRule = ({ role }) =>
  role === 'gateway-host' ? new Problem('auth.forbidden', `The role ${role} may not ask for this.`) : undefined;

/** @throws TypeError when a route under /v1 is registered without an access rule */
export function installAccess(app: FastifyInstance, tokens: Tokens, rates: RequestRates): void {
  // Placeholders: each request gets its own before any handler runs.
  app.decorateRequest('principal');
  app.decorateRequest('reader');
  app.addHook('onRoute', ({ url, config, method }) => {
    if (url.startsWith('/v1/') && config?.access === undefined)
      throw new TypeError(`${String(method)} ${url} does not say who may ask for it`);
  });
  app.addHook('onRequest', (request, _reply, done) => {
    const rule = request.routeOptions.config.access;
    if (rule === undefined) return done();
    try {
      enter(request, rule, tokens, rates);
      done();
    } catch (error) {
      done(error as Error);
    }
  });
}

/** @throws Problem auth.missing, auth.invalid, auth.forbidden, rate.exceeded */
function enter(request: FastifyRequest, rule: AccessRule, tokens: Tokens, rates: RequestRates): void {
  const principal = authenticate(request, tokens);
  rates.count(principal);
  const refusal = rule(principal, request.params as Record<string, string>);
  if (refusal) throw refusal;
  request.principal = principal;
  request.reader = readerOf(principal);
}

/** @throws Problem auth.missing, auth.invalid */
export function authenticate(request: FastifyRequest, tokens: Tokens): Principal {
  const secret = bearer(request) ?? subprotocolToken(request);
  if (secret === undefined) throw new Problem('auth.missing', 'There is no Authorization: Bearer header');
  const principal = tokens.authenticate(secret);
  if (principal === undefined) throw new Problem('auth.invalid', 'The token is unknown, expired or revoked');
  return principal;
}

/** RFC 6750 section 2.1; the scheme's case does not matter (RFC 9110 section 11.1). */
function bearer({ headers }: FastifyRequest): string | undefined {
  return /^bearer +(\S+) *$/i.exec(headers.authorization ?? '')?.[1];
}

/** Of a WebSocket that is told its token among the subprotocols, since browsers set no headers. */
export const tokenProtocolPrefix = 'keyway.bearer.';

function subprotocolToken({ headers, raw }: FastifyRequest): string | undefined {
  if (raw.headers.upgrade?.toLowerCase() !== 'websocket') return undefined;
  const offered = headers['sec-websocket-protocol']?.split(',').map((name) => name.trim()) ?? [];
  return offered.find((name) => name.startsWith(tokenProtocolPrefix))?.slice(tokenProtocolPrefix.length);
}
