/**
 * Runs in a network namespace of its own, for a moment: sets up the interface that the parent has put there, listens, hands
 * the sockets to the parent and ends. The sockets keep the namespace; with the parent it is gone, however that ends.
 */
import { execFileSync } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import type { FromListener, ToListener } from './messages.ts';

process.on('message', (message: ToListener) => {
  setUp(message).catch((error: unknown) => {
    say({ type: 'failed', reason: error instanceof Error ? error.message : String(error) });
  });
});
// The parent has the sockets, or is gone: ours would keep the namespace.
process.on('disconnect', () => process.exit());
say({ type: 'ready' });

async function setUp({ device, address, route, nextHop, nextHopMac }: ToListener): Promise<void> {
  quiet(device);
  ip(
    'link set lo up',
    `addr add ${address}/32 dev ${device}`,
    `link set ${device} up`,
    `neigh replace ${nextHop} lladdr ${nextHopMac} dev ${device} nud permanent`,
    `route add ${nextHop}/32 dev ${device}`,
    `route add ${route} via ${nextHop} dev ${device} src ${address}`,
  );
  checksumsHere(device);
  await hand('dns-udp', await udpSocket(address, 53));
  await hand('dns-tcp', await tcpServer(address, 53));
  await hand('metadata', await tcpServer(address, 80));
}

/** No IPv6 of the kernel's own: nobody asks there for it, and it would talk unasked. */
function quiet(device: string): void {
  for (const name of ['all', 'default', device]) {
    try {
      writeFileSync(`/proc/sys/net/ipv6/conf/${name}/disable_ipv6`, '1');
    } catch {
      // A kernel without IPv6, or a /proc that is read-only: flows let nothing of it pass.
    }
  }
}

function ip(...commands: string[]): void {
  execFileSync('ip', ['-batch', '-'], { input: `${commands.join('\n')}\n`, stdio: ['pipe', 'ignore', 'pipe'] });
}

/** A veth leaves checksums to hardware it does not have, and a switch in user space sends them as they are. */
function checksumsHere(device: string): void {
  try {
    execFileSync('ethtool', ['-K', device, 'tx', 'off'], { stdio: 'ignore' });
  } catch {
    // Where there is no ethtool the datapath is the kernel's, which makes them up when the frame leaves.
    say({ type: 'remark', text: 'checksums are left to the datapath: ethtool is not there, or refuses' });
  }
}

function udpSocket(address: string, port: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createSocket('udp4');
    socket.once('error', reject);
    socket.bind({ address, port }, () => resolve(socket));
  });
}

function tcpServer(address: string, port: number): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ host: address, port, backlog: 511 }, () => resolve(server));
  });
}

function hand(name: 'dns-udp' | 'dns-tcp' | 'metadata', handle: Socket | Server): Promise<void> {
  return new Promise((resolve, reject) => {
    const message: FromListener = { type: 'socket', name };
    process.send!(message, handle, undefined, (error) => (error === null ? resolve() : reject(error)));
  });
}

function say(message: FromListener): void {
  process.send!(message);
}
