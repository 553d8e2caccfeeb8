import { connect, createServer, type Server } from 'node:net';

export type FrontDoor = AsyncDisposable & { host: string; port: number };

function listen(server: Server, host: string, port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const failed = (error: NodeJS.ErrnoException): void => {
      server.off('listening', listening);
      if (error.code === 'EADDRINUSE' || error.code === 'EACCES') resolve(false);
      else reject(error);
    };
    const listening = (): void => {
      server.off('error', failed);
      resolve(true);
    };
    server.once('error', failed);
    server.once('listening', listening);
    server.listen(port, host);
  });
}

/**
 * Takes TCP connections on the loopback outside the namespaces and passes their bytes to the API's Unix socket, whose
 * other end is inside. The port asked for, else one of the next twenty, else any.
 */
export async function openFrontDoor(socketPath: string, port: number, host = '127.0.0.1'): Promise<FrontDoor> {
  const server = createServer((outside) => {
    const inside = connect(socketPath);
    outside.pipe(inside).pipe(outside);
    // Each end that fails takes the other with it; the client sees a closed connection.
    outside.on('error', () => inside.destroy());
    inside.on('error', () => outside.destroy());
    outside.on('close', () => inside.destroy());
    inside.on('close', () => outside.destroy());
    open.add(outside);
    outside.once('close', () => open.delete(outside));
  });
  const open = new Set<{ destroy(): void }>();
  const candidates = [...Array.from({ length: 21 }, (_, i) => port + i).filter((candidate) => candidate < 65_536), 0];
  for (const candidate of candidates) {
    if (!(await listen(server, host, candidate))) continue;
    const address = server.address();
    if (address === null || typeof address === 'string') break;
    return {
      host,
      port: address.port,
      async [Symbol.asyncDispose]() {
        for (const connection of open) connection.destroy();
        await new Promise((resolve) => server.close(resolve));
      },
    };
  }
  throw new Error(`no port of ${host} could be had`);
}
