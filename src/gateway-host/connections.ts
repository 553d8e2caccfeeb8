/** Connections of ports to a server: nobody that is unknown, and not more of one port than it may have. */
import type { Server, Socket } from 'node:net';
import type { Port } from './served.ts';

/** Destroys what is not let in; the rest goes to `accepted`. */
export function admitConnections(
  server: Server,
  portOf: (address: string) => Port | undefined,
  limit: number,
  accepted: (socket: Socket, port: Port) => void = () => {},
): void {
  const open = new Map<number, number>();
  server.on('connection', (socket: Socket) => {
    const port = portOf(socket.remoteAddress ?? '');
    const count = port === undefined ? 0 : (open.get(port.number) ?? 0);
    if (port === undefined || count >= limit) {
      socket.destroy();
      return;
    }
    const { number } = port;
    open.set(number, count + 1);
    socket.once('close', () => {
      const left = (open.get(number) ?? 1) - 1;
      if (left === 0) open.delete(number);
      else open.set(number, left);
    });
    accepted(socket, port);
  });
}
