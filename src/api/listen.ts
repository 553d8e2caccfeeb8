/** Where the API is reached: any number of TCP addresses and unix sockets, all served by one app. */
import { readFileSync } from 'node:fs';
import { stat, unlink } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';
import { type AddressInfo, connect, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import type { ListenAddress } from '../config.ts';
import { answerClientError } from './problem-answers.ts';

export type Listening = {
  /** `http://127.0.0.1:8080`, `https://…`, `unix:/path`, in the order asked for; port 0 is the one that was given. */
  urls: string[];
  /** Stops listening, lets answers under way finish for `grace` milliseconds, ends streams, closes the app. Idempotent. */
  close(grace?: number): Promise<void>;
};

export type TlsFiles = { certificateFile: string; keyFile: string };

type Server = http.Server | https.Server;

/** A server with the sockets that left HTTP behind, which it no longer closes itself. */
type Listener = { server: Server; upgraded: Set<Duplex> };

/** @throws Error naming the address that cannot be listened on; none is left open then. */
export async function listen(
  app: FastifyInstance,
  addresses: readonly ListenAddress[],
  tls?: TlsFiles,
): Promise<Listening> {
  await app.ready();
  const secrets = tls && { cert: readFileSync(tls.certificateFile), key: readFileSync(tls.keyFile) };
  const listeners: Listener[] = [];
  const urls: string[] = [];
  try {
    for (const address of addresses) {
      const secured = address.kind === 'tcp' ? secrets : undefined;
      const listener = listenerFor(app, secured);
      if (address.kind === 'unix') await removeStale(address.path);
      await bind(listener.server, address);
      listeners.push(listener);
      urls.push(urlOf(listener.server, address, secured !== undefined));
    }
  } catch (error) {
    await Promise.all(listeners.map((listener) => closeListener(listener, 0)));
    throw error;
  }
  let closing: Promise<void> | undefined;
  return {
    urls,
    close(grace = 5_000) {
      closing ??= closeAll(app, listeners, grace);
      return closing;
    },
  };
}

/** Milliseconds. A request that trickles in holds a socket no longer than this. */
const limits = { requestTimeout: 60_000, headersTimeout: 20_000, keepAliveTimeout: 65_000 };

function listenerFor(app: FastifyInstance, secrets: { cert: Buffer; key: Buffer } | undefined): Listener {
  const upgraded = new Set<Duplex>();
  const server = secrets
    ? https.createServer({ ...limits, ...secrets, minVersion: 'TLSv1.2' }, app.routing)
    : http.createServer(limits, app.routing);
  server.on('clientError', answerClientError);
  // The WebSocket plugin waits for upgrades on the app's own server, which never listens.
  server.on('upgrade', (request, socket, head) => {
    upgraded.add(socket);
    // Out of reach of the server's own time-outs until it is a WebSocket, which clears this one.
    if (socket instanceof Socket) socket.setTimeout(limits.headersTimeout, () => socket.destroy());
    socket.once('close', () => upgraded.delete(socket));
    if (!app.server.emit('upgrade', request, socket, head)) socket.destroy();
  });
  return { server, upgraded };
}

function bind(server: Server, address: ListenAddress): Promise<void> {
  return new Promise((resolve, reject) => {
    const name = address.kind === 'unix' ? `unix:${address.path}` : `${address.host}:${address.port}`;
    const failed = (error: Error) => reject(new Error(`Cannot listen on ${name}: ${error.message}`, { cause: error }));
    server.once('error', failed);
    const bound = () => {
      server.off('error', failed);
      resolve();
    };
    if (address.kind === 'tcp') {
      server.listen({ host: address.host, port: address.port }, bound);
      return;
    }
    // The socket is made within the call: mode 0600 from its first moment, since whoever may connect may try tokens.
    const mask = process.umask(0o177);
    try {
      server.listen({ path: address.path }, bound);
    } finally {
      process.umask(mask);
    }
  });
}

/** A socket file whose owner is gone is removed; one that answers is somebody else's and stays. */
async function removeStale(path: string): Promise<void> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (!found) return;
  if (!found.isSocket()) throw new Error(`Cannot listen on unix:${path}: it exists and is not a socket`);
  if (await answers(path)) throw new Error(`Cannot listen on unix:${path}: another program does`);
  await unlink(path);
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

function urlOf(server: Server, address: ListenAddress, secured: boolean): string {
  if (address.kind === 'unix') return `unix:${address.path}`;
  const { port } = server.address() as AddressInfo;
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  return `${secured ? 'https' : 'http'}://${host}:${port}`;
}

async function closeAll(app: FastifyInstance, listeners: readonly Listener[], grace: number): Promise<void> {
  const closed = Promise.all(listeners.map((listener) => closeListener(listener, grace)));
  // Ends event streams and refuses what still arrives on open connections.
  await app.close();
  await closed;
}

async function closeListener({ server, upgraded }: Listener, grace: number): Promise<void> {
  const late = setTimeout(() => {
    server.closeAllConnections();
    for (const socket of upgraded) socket.destroy();
  }, grace);
  await new Promise<void>((resolve) => server.close(() => resolve()));
  clearTimeout(late);
}
