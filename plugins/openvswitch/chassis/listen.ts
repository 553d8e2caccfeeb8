/** Passive connection methods in Open vSwitch's notation (ovsdb(7)): where hypervisors reach us. */
import { chmodSync, lstatSync, rmSync } from 'node:fs';
import { connect, createServer, isIP, type Server, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';

export type ListenTarget = { kind: 'tcp'; port: number; address: string } | { kind: 'unix'; path: string };

/** The port IANA assigned to OVSDB (RFC 7047 section 7). */
export const OVSDB_PORT = 6640;

/**
 * `ptcp:PORT[:ADDRESS]` or `punix:PATH`. Without an address it is every IPv4 address of the machine, as in Open vSwitch;
 * an IPv6 address stands in brackets. Port 0 is any that is free.
 * @throws Error saying what is wrong.
 */
export function parseListenTarget(text: string): ListenTarget {
  if (text.startsWith('pssl:')) {
    throw new Error(`listen: "${text}": TLS is not available in this version; use ptcp: or punix:`);
  }
  const unix = /^punix:(.+)$/.exec(text);
  if (unix) return { kind: 'unix', path: unix[1]! };
  const tcp = /^ptcp:(\d{1,5})(?::(?:\[(.+)\]|([^:]+)))?$/.exec(text);
  if (tcp) {
    const port = Number(tcp[1]);
    const address = tcp[2] ?? tcp[3] ?? '0.0.0.0';
    if (port <= 65535 && isIP(address) === (tcp[2] === undefined ? 4 : 6)) return { kind: 'tcp', port, address };
  }
  throw new Error(`listen: "${text}" is neither ptcp:PORT[:ADDRESS] nor punix:PATH`);
}

export type Listener = {
  /** As `ovs-vsctl set-manager` takes them. */
  managers: string[];
  /** Accepts no more; a socket file goes. What was accepted lives on. */
  close(): void;
};

/**
 * @param failed is told when a connection could not be accepted, for want of file descriptors say.
 * @throws Error saying which target could not be listened on, and why.
 */
export async function listen(
  target: ListenTarget,
  accept: (socket: Socket) => void,
  failed: (error: Error) => void,
): Promise<Listener> {
  const server = createServer({ keepAlive: true, keepAliveInitialDelay: 30_000, noDelay: true }, accept);
  const text = target.kind === 'unix' ? `punix:${target.path}` : `ptcp:${target.port}:${bracketed(target.address)}`;
  try {
    if (target.kind === 'unix') {
      await bindPath(server, target.path);
      // ovsdb-server may run as another user of our group.
      chmodSync(target.path, 0o660);
    } else {
      await bind(server, () => server.listen({ port: target.port, host: target.address }));
    }
  } catch (error) {
    server.close();
    throw new Error(`cannot listen on ${text}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
  server.on('error', failed);
  return { managers: managersOf(target, server), close: () => void server.close() };
}

function bind(server: Server, start: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.once('listening', () => {
      server.off('error', reject);
      resolve();
    });
    start();
  });
}

/** A socket file that nobody answers on any more, as a killed process leaves it, is replaced. */
async function bindPath(server: Server, path: string): Promise<void> {
  try {
    await bind(server, () => server.listen(path));
  } catch (error) {
    const inUse = (error as NodeJS.ErrnoException).code === 'EADDRINUSE';
    if (!inUse || !lstatSync(path).isSocket() || (await answers(path))) throw error;
    rmSync(path);
    await bind(server, () => server.listen(path));
  }
}

/** False only where the socket is known to be dead: any other is somebody's, and stays. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'ECONNREFUSED'));
  });
}

function managersOf(target: ListenTarget, server: Server): string[] {
  if (target.kind === 'unix') return [`unix:${target.path}`];
  const bound = server.address();
  const port = typeof bound === 'object' && bound ? bound.port : target.port;
  return reachableAt(target.address).map((address) => `tcp:${bracketed(address)}:${port}`);
}

/** The addresses behind "all addresses": those of the machine, loopback last. */
function reachableAt(address: string): string[] {
  if (address !== '0.0.0.0' && address !== '::') return [address];
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  const usable = all.filter((one) => address === '::' || one.family === 'IPv4');
  const linkLocal = (one: { address: string }) => /^fe[89ab]/i.test(one.address);
  return usable
    .filter((one) => !linkLocal(one))
    .sort((a, b) => Number(a.internal) - Number(b.internal))
    .map((one) => one.address);
}

function bracketed(address: string): string {
  return isIP(address) === 6 ? `[${address}]` : address;
}
