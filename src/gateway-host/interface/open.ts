/**
 * The interface behind which names and metadata are served: a veth whose far end is in a network namespace without a name.
 * The namespace lives as long as the sockets in it, and with it the veth: a program that is killed leaves nothing but a row
 * in the database, which its next start takes over.
 */
import { execFile, spawn } from 'node:child_process';
import type { Socket } from 'node:dgram';
import type { Server } from 'node:net';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { formatIpv4, formatMac } from '../../intent/addresses.ts';
import { serviceAddress, serviceMac } from '../../pipeline/stages/services.ts';
import type { FromListener, SocketName, ToListener } from './messages.ts';

export type Sockets = { dnsUdp: Socket; dnsTcp: Server; metadata: Server };

/** Of the end on the integration bridge, 15 characters at most. */
export const interfaceName = 'keyway-gw';

const innerName = 'services0';
/** Milliseconds until the sockets must be there. */
const patience = 15_000;

const execute = promisify(execFile);

/** @param remark of what is not as it should be, but does not hinder @throws Error that says which step failed */
export async function openInterface(remark: (text: string) => void): Promise<Sockets> {
  await removeInterface();
  const listener = fileURLToPath(new URL('./listener.ts', import.meta.url));
  const child = spawn('unshare', ['--net', '--', process.execPath, listener], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const { promise, resolve, reject } = Promise.withResolvers<Sockets>();
  const sockets = new Map<SocketName, Socket | Server>();
  const timer = setTimeout(() => reject(new Error(`no sockets after ${patience} ms`)), patience);
  child.once('error', reject);
  child.once('exit', (code, signal) => reject(new Error(`the listener ended with ${signal ?? `status ${code}`}`)));
  child.on('message', (message: FromListener, handle) => {
    switch (message.type) {
      case 'ready':
        plugIn(child.pid!).then((order) => child.send(order), reject);
        break;
      case 'remark':
        remark(message.text);
        break;
      case 'failed':
        reject(new Error(message.reason));
        break;
      case 'socket': {
        sockets.set(message.name, handle as Socket | Server);
        if (sockets.size < 3) return;
        resolve({
          dnsUdp: sockets.get('dns-udp') as Socket,
          dnsTcp: sockets.get('dns-tcp') as Server,
          metadata: sockets.get('metadata') as Server,
        });
      }
    }
  });
  try {
    const opened = await promise;
    child.disconnect();
    return opened;
  } catch (error) {
    for (const socket of sockets.values()) socket.close();
    child.kill('SIGKILL');
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

/** Makes the pair, one end of it in the namespace of that process. */
async function plugIn(pid: number): Promise<ToListener> {
  const mac = formatMac(serviceMac);
  await execute('ip', [
    ...['link', 'add', interfaceName, 'type', 'veth'],
    ...['peer', 'name', innerName, 'address', mac, 'netns', String(pid)],
  ]);
  await execute('ip', ['link', 'set', interfaceName, 'arp', 'off', 'up']);
  return {
    device: innerName,
    address: formatIpv4(serviceAddress.value),
    // Whoever asks stands there as an address of its own: serviceIdentity.
    route: '240.0.0.0/4',
    nextHop: '169.254.169.253',
    nextHopMac: formatMac(serviceMac + 1),
  };
}

/** What an earlier run left, should its namespace still be going. */
export async function removeInterface(): Promise<void> {
  try {
    await execute('ip', ['link', 'delete', interfaceName]);
  } catch (error) {
    if (!/cannot find device/i.test((error as { stderr?: string }).stderr ?? '')) throw error;
  }
}
