/** Takes queries from sockets and sends what is to be answered: RFC 1035 section 4.2, RFC 7766. */
import type { RemoteInfo, Socket as UdpSocket } from 'node:dgram';
import type { Server, Socket } from 'node:net';
import { admitConnections } from '../connections.ts';
import type { Rates } from '../rates.ts';
import type { Port } from '../served.ts';
import type { Resolver } from './resolver.ts';

export type DnsServerOptions = {
  resolver: Resolver;
  /** Whose source address it is. */
  portOf(address: string): Port | undefined;
  /** Queries of each port. */
  rates: Rates;
  onError(error: unknown): void;
};

/** Milliseconds a connection may be silent, and connections of one port. */
const idle = 10_000;
const connectionsOfOne = 16;

export function serveDnsOverUdp(socket: UdpSocket, { resolver, portOf, rates, onError }: DnsServerOptions): void {
  const take = async (query: Buffer, { address, port: source }: RemoteInfo): Promise<void> => {
    const port = portOf(address);
    // Whoever asks too much asks again by itself, when nothing has come.
    if (port === undefined || !rates.take(port.number)) return;
    const answer = await resolver.answer(port, query, 'udp');
    if (answer !== undefined) socket.send(answer, source, address, (error) => error && onError(error));
  };
  socket.on('message', (query, from) => {
    take(query, from).catch(onError);
  });
}

export function serveDnsOverTcp(server: Server, { resolver, portOf, rates, onError }: DnsServerOptions): void {
  admitConnections(server, portOf, connectionsOfOne, (socket, port) =>
    serveConnection(
      socket,
      async (query) => (rates.take(port.number) ? await resolver.answer(port, query, 'tcp') : undefined),
      onError,
    ),
  );
}

function serveConnection(
  socket: Socket,
  answer: (query: Buffer) => Promise<Buffer | undefined>,
  onError: (error: unknown) => void,
): void {
  let received: Buffer = Buffer.alloc(0);
  const take = async (query: Buffer): Promise<void> => {
    const bytes = await answer(query);
    if (bytes === undefined || socket.destroyed) return;
    const length = Buffer.alloc(2);
    length.writeUInt16BE(bytes.length);
    socket.write(Buffer.concat([length, bytes]));
  };
  socket.setTimeout(idle, () => socket.destroy());
  // Whoever asked has gone, which is its own affair.
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk: Buffer) => {
    received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
    while (received.length >= 2) {
      const length = received.readUInt16BE(0);
      if (received.length < 2 + length) return;
      take(received.subarray(2, 2 + length)).catch(onError);
      received = received.subarray(2 + length);
    }
  });
}
