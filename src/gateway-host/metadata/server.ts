/** Metadata over HTTP. Who asks is told by the source address alone, which flows set; no header says anything of it. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { admitConnections } from '../connections.ts';
import type { Rates } from '../rates.ts';
import type { Port } from '../served.ts';
import { longestLife, type MetadataTokens } from './tokens.ts';
import { lookUp } from './tree.ts';

export type MetadataServerOptions = {
  tokens: MetadataTokens;
  /** Whose source address it is. */
  portOf(address: string): Port | undefined;
  /** Requests of each port. */
  rates: Rates;
};

const tokenHeader = 'x-aws-ec2-metadata-token';
const lifeHeader = 'x-aws-ec2-metadata-token-ttl-seconds';

export type Asked = {
  method: string;
  url: string;
  headers: IncomingMessage['headers'];
};

export type Told = { status: number; headers: Record<string, string>; body: Buffer };

/** The answer to a request of this port; undefined: of nobody that is known. */
export function answerMetadata(port: Port | undefined, asked: Asked, tokens: MetadataTokens): Told {
  if (port === undefined) return plain(404, 'Nobody here has your address.');
  const { method, url, headers } = asked;
  // What comes through a proxy comes from somebody else than the machine itself.
  if (headers['x-forwarded-for'] !== undefined || headers.forwarded !== undefined)
    return plain(403, 'Metadata is for the machine itself.');
  const path = pathOf(url);
  if (path === undefined) return plain(400, 'The path is malformed.');
  if (path === '/latest/api/token') return tokenFor(port, method, headers[lifeHeader], tokens);
  if (method !== 'GET' && method !== 'HEAD') return { ...plain(405, 'GET or HEAD.'), headers: { allow: 'GET, HEAD' } };
  const token = headers[tokenHeader];
  if (token !== undefined && !(typeof token === 'string' && tokens.holds(port, token)))
    return plain(401, 'The token is not valid.');
  const body = lookUp(port, path);
  if (body === undefined) return plain(404, 'There is nothing of that name.');
  const type = path.endsWith('.json')
    ? 'application/json'
    : isUserData(path)
      ? 'application/octet-stream'
      : 'text/plain';
  return { status: 200, headers: { 'content-type': type }, body };
}

function tokenFor(port: Port, method: string, asked: string | string[] | undefined, tokens: MetadataTokens): Told {
  if (method !== 'PUT') return { ...plain(405, 'PUT.'), headers: { allow: 'PUT' } };
  const life = typeof asked === 'string' && /^\d{1,5}$/.test(asked) ? Number(asked) : 0;
  if (life < 1 || life > longestLife) return plain(400, `${lifeHeader}: 1 to ${longestLife} seconds.`);
  return {
    status: 200,
    headers: { 'content-type': 'text/plain', [lifeHeader]: String(life) },
    body: Buffer.from(tokens.issue(port, life)),
  };
}

/** Without the query, which nobody asks anything by. */
function pathOf(url: string): string | undefined {
  const path = url.replace(/[?#].*$/s, '');
  try {
    return path.startsWith('/') ? decodeURIComponent(path) : undefined;
  } catch {
    // Escapes that stand for no text.
    return undefined;
  }
}

function isUserData(path: string): boolean {
  return /\/user[-_]data\/?$/.test(path);
}

function plain(status: number, text: string): Told {
  return { status, headers: { 'content-type': 'text/plain' }, body: Buffer.from(`${text}\n`) };
}

/** Not listening yet: it is given a socket of the namespace. */
export function metadataServer({ tokens, portOf, rates }: MetadataServerOptions): Server {
  const server = createServer(
    {
      // Milliseconds and bytes: a request is small and comes at once.
      headersTimeout: 5_000,
      requestTimeout: 10_000,
      keepAliveTimeout: 5_000,
      maxHeaderSize: 8_192,
      connectionsCheckingInterval: 2_000,
    },
    (request, response) => {
      request.resume();
      const port = portOf(request.socket.remoteAddress ?? '');
      const { method = 'GET', url = '/', headers } = request;
      if (port !== undefined && !rates.take(port.number))
        send(response, plain(429, 'Too many requests.'), method === 'HEAD');
      else send(response, answerMetadata(port, { method, url, headers }, tokens), method === 'HEAD');
    },
  );
  server.maxConnections = 2_000;
  admitConnections(server, portOf, connectionsOfOne);
  return server;
}

/** Of one port at once. */
const connectionsOfOne = 32;

function send(response: ServerResponse, { status, headers, body }: Told, headOnly: boolean): void {
  response.writeHead(status, { ...headers, 'content-length': String(body.length), 'cache-control': 'no-store' });
  response.end(headOnly ? undefined : body);
}
