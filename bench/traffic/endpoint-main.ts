/**
 * What runs in a VM of a traffic benchmark: TCP and UDP sockets that are opened, kept and watched as told over a unix
 * socket (which a network namespace does not separate), one JSON line each way.
 */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { createConnection, createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import type { Conversation, EndpointCalls } from './endpoint.ts';

type Kept = Conversation & { end(): void };

const [path = ''] = process.argv.slice(2);
const kept: Kept[] = [];
const closers: (() => void)[] = [];

/** Milliseconds of the clock that all processes of the machine share. */
const now = (): number => performance.timeOrigin + performance.now();

function received(one: Conversation, bytes: number): void {
  one.lastByte = now();
  one.longestGap = Math.max(one.longestGap, one.bytes === 0 ? 0 : one.lastByte - one.previous);
  one.previous = one.lastByte;
  one.bytes += bytes;
}

function conversation(set: string, end: () => void): Kept {
  const one = { set, bytes: 0, lastByte: 0, previous: 0, longestGap: 0, closed: false, end };
  kept.push(one);
  return one;
}

/** Sends a few bytes every `interval` milliseconds, if told, until the socket is gone. */
function talk(send: () => void, interval: number | undefined): () => void {
  if (interval === undefined) return () => {};
  const timer = setInterval(send, interval);
  return () => clearInterval(timer);
}

function keepTcp(socket: Socket, set: string, interval: number | undefined): void {
  const one = conversation(set, () => socket.destroy());
  const silence = talk(() => socket.write('some bytes'), interval);
  socket.on('data', (chunk) => received(one, chunk.length));
  // What broke is told by `closed`.
  socket.on('error', () => {});
  socket.on('close', () => {
    silence();
    one.closed = true;
  });
}

const family = (ip: string): 'udp4' | 'udp6' => (ip.includes(':') ? 'udp6' : 'udp4');

const calls: { [N in keyof EndpointCalls]: (p: EndpointCalls[N][0]) => Promise<EndpointCalls[N][1]> } = {
  /** Each connection that comes is kept; the first byte is answered with one, then it talks if told. */
  listenTcp: ({ ip, port, set, interval }) =>
    new Promise((resolve, reject) => {
      const server = createServer({ noDelay: true }, (socket) => {
        socket.on('error', () => {});
        socket.once('data', () => {
          socket.write('!');
          keepTcp(socket, set, interval);
        });
      });
      server.once('error', reject);
      closers.push(() => server.close());
      server.listen({ host: ip, port, backlog: 1024 }, () => resolve(null));
    }),

  /** One after the other: connected, one byte there, one back; then kept. */
  async connectTcp({ ip, port, count, set, interval }) {
    for (let i = 0; i < count; i++) {
      await new Promise<void>((resolve, reject) => {
        const socket = createConnection({ host: ip, port, noDelay: true });
        socket.setTimeout(5_000, () => socket.destroy(new Error(`no answer from ${ip}:${port}`)));
        socket.once('error', reject);
        socket.once('connect', () => socket.write('?'));
        socket.once('data', () => {
          socket.setTimeout(0);
          socket.off('error', reject);
          keepTcp(socket, set, interval);
          resolve();
        });
      });
    }
    return null;
  },

  /** Whoever sends a datagram gets one, and with `interval` one more each time, without sending again. */
  listenUdp: ({ ip, port, interval }) =>
    new Promise((resolve, reject) => {
      const socket: UdpSocket = createSocket(family(ip));
      socket.once('error', reject);
      socket.on('message', (_, { address, port: to }) => {
        const send = (): void => socket.send('some bytes', to, address, () => {});
        send();
        closers.push(talk(send, interval));
      });
      closers.push(() => socket.close());
      socket.bind(port, ip, () => resolve(null));
    }),

  /** Sockets of their own, one after the other: each sends one datagram, waits for the first, and then only listens. */
  async connectUdp({ ip, port, count, set }) {
    for (let i = 0; i < count; i++) {
      await new Promise<void>((resolve, reject) => {
        const socket = createSocket(family(ip));
        const late = setTimeout(() => reject(new Error(`no datagram from ${ip}:${port}`)), 5_000);
        const one = conversation(set, () => socket.close());
        socket.once('error', reject);
        socket.once('message', () => {
          clearTimeout(late);
          resolve();
        });
        socket.on('message', (message) => received(one, message.length));
        socket.send('?', port, ip);
      });
    }
    return null;
  },

  report: () =>
    Promise.resolve(
      kept.map(({ set, bytes, lastByte, previous, longestGap, closed }) => ({
        set,
        bytes,
        lastByte,
        previous,
        longestGap,
        closed,
      })),
    ),

  /** Gaps from now on only. */
  forgetGaps() {
    for (const one of kept) one.longestGap = 0;
    return Promise.resolve(null);
  },

  close() {
    for (const one of kept.splice(0)) if (!one.closed) one.end();
    for (const end of closers.splice(0)) end();
    return Promise.resolve(null);
  },
};

const server = createServer((socket) => {
  // The benchmark is over.
  socket.on('close', () => process.exit(0));
  socket.on('error', () => process.exit(1));
  createInterface({ input: socket }).on('line', (line) => {
    const { id, call, parameters } = JSON.parse(line) as { id: number; call: keyof EndpointCalls; parameters: never };
    calls[call](parameters).then(
      (answer) => socket.write(`${JSON.stringify({ id, answer })}\n`),
      (error: unknown) => socket.write(`${JSON.stringify({ id, error: String(error) })}\n`),
    );
  });
});
server.listen(path);
