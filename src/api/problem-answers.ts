/** Every error becomes an RFC 9457 answer with a code of the problem table, whoever raised it. */
import type { Socket } from 'node:net';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Problem, type ProblemCode, problems } from '../problems.ts';
import type { AllowedMethods } from './known-routes.ts';

export const problemType = 'application/problem+json';

/** Errors of the framework that are the caller's doing, by their code. */
const frameworkCodes: Record<string, ProblemCode> = {
  FST_ERR_CTP_INVALID_JSON_BODY: 'request.malformed',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'request.malformed',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'request.malformed',
  FST_ERR_CTP_BODY_TOO_LARGE: 'request.too-large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'request.unsupported-media-type',
  FST_ERR_MAX_PARAM_LENGTH: 'name.invalid',
  FST_ERR_BAD_URL: 'route.not-found',
  FST_ERR_NOT_FOUND: 'route.not-found',
};

/** Told with a 5xx, and no fault of ours. */
const answersOfCourse: ReadonlySet<ProblemCode> = new Set<ProblemCode>(['wait.timeout', 'controller.not-ready']);

/** The problem an error stands for; `internal` for what nobody foresaw, whose words stay in the log. */
export function asProblem(error: unknown, request: FastifyRequest): Problem {
  if (error instanceof Problem) return error;
  const { code, message, statusCode } = error as FastifyError;
  const known = frameworkCodes[code];
  if (known === 'request.too-large') {
    const limit = request.routeOptions.bodyLimit ?? 0;
    return new Problem(known, `The body is larger than the ${limit >> 20} MiB this path takes`);
  }
  if (known === 'request.unsupported-media-type') {
    const sent = request.headers['content-type'];
    return new Problem(known, sent ? `The content type is ${sent}` : 'The body has no content type');
  }
  if (known) return new Problem(known, message);
  // What remains of the framework's 4xx comes from reading the body (aborted, bad encoding).
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500)
    return new Problem('request.malformed', 'The request could not be read');
  return new Problem('internal', 'The cause is in the log, under the id in instance');
}

/** Sends the problem; what is not foreseen goes to the log with the request's id. */
export function answerProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const problem = asProblem(error, request);
  if (problem.status >= 500 && !answersOfCourse.has(problem.code))
    request.log.error({ err: error, request: request.id, method: request.method, route: request.routeOptions.url });
  if (problem.status === 401) reply.header('www-authenticate', 'Bearer realm="keyway"');
  if (problem.retryAfter !== undefined) reply.header('retry-after', String(problem.retryAfter));
  // As bytes: text would get a charset appended, which RFC 9457's media type does not have.
  const body = Buffer.from(JSON.stringify({ ...problem.toJSON(), instance: instanceOf(request.id) }));
  reply.code(problem.status).header('content-type', problemType).send(body);
}

function instanceOf(id: string): string {
  return `urn:uuid:${id}`;
}

export function installProblemAnswers(app: FastifyInstance, allowed: AllowedMethods): void {
  app.setErrorHandler((error, request, reply) => answerProblem(error, request, reply));
  app.setNotFoundHandler((request, reply) => {
    const path = pathOf(request.url);
    const methods = allowed(path);
    if (methods.length === 0) {
      answerProblem(new Problem('route.not-found', `There is nothing at ${path}`), request, reply);
      return;
    }
    reply.header('allow', methods.join(', '));
    const detail = `${path} takes ${methods.join(', ')}, not ${request.method}`;
    answerProblem(new Problem('method.not-allowed', detail), request, reply);
  });
}

function pathOf(url: string): string {
  const end = url.search(/[?#]/);
  return end < 0 ? url : url.slice(0, end);
}

/** Bytes that are no HTTP request at all: answered on the bare socket, which is then closed. */
export function answerClientError(error: NodeJS.ErrnoException, socket: Socket): void {
  // The peer has gone; there is nobody to answer.
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy(error);
  const code: ProblemCode = error.code === 'HPE_HEADER_OVERFLOW' ? 'request.too-large' : 'request.malformed';
  const detail = error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 'The request did not arrive in time' : 'This is not HTTP';
  const body = JSON.stringify(new Problem(code, detail));
  socket.end(
    `HTTP/1.1 ${problems[code].status} ${problems[code].title}\r\nContent-Type: ${problemType}\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}
