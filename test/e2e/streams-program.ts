/**
 * A program that holds many connections open, most of which only their server speaks on.
 *
 *     streams-program.ts STOP serve tcp:PORT... udp:PORT...
 *     streams-program.ts STOP open READY IP tcp:PORT:COUNT... udp:PORT:COUNT...
 *
 * Over TCP both ends send a line every 50 ms. Over UDP the client sends until it is answered, and never again; the server
 * sends a datagram every 50 ms. The client makes the file READY once every connection has carried something. Both end once
 * the file STOP is there and print what arrived of each, as JSON.
 */
import { createSocket } from 'node:dgram';
import { existsSync, writeFileSync } from 'node:fs';
import { createConnection, createServer, isIPv6 } from 'node:net';

/** One direction of a connection. */
export type Arrived = {
  kind: 'tcp' | 'udp';
  /** Of the server. */
  port: number;
  received: number;
  /** When something came last, milliseconds since the epoch; 0: never. */
  last: number;
  /** Milliseconds between two arrivals, at most. */
  longestGap: number;
  /** Of the client; told by the client alone. */
  localPort?: number;
  /** Why it ended before it was told to. */
  broken?: string;
};

/** Milliseconds. */
const pace = 50;

const [stop, role, ...rest] = process.argv.slice(2) as [string, ...string[]];
const all: Arrived[] = [];
const localPorts = new Map<Arrived, () => number>();

function follow(kind: Arrived['kind'], port: number): Arrived {
  const one: Arrived = { kind, port, received: 0, last: 0, longestGap: 0 };
  all.push(one);
  return one;
}

function arrived(one: Arrived): void {
  const now = Date.now();
  if (one.last > 0) one.longestGap = Math.max(one.longestGap, now - one.last);
  one.received++;
  one.last = now;
}

setInterval(() => {
  if (!existsSync(stop)) return;
  for (const [one, port] of localPorts) one.localPort = port();
  process.stdout.write(JSON.stringify(all), () => process.exit(0));
}, 20);

function serveTcp(port: number): void {
  createServer((socket) => {
    const one = follow('tcp', port);
    const timer = setInterval(() => socket.write('a line\n'), pace);
    socket.on('data', () => arrived(one));
    // The clients end first; whether a connection broke is told by them.
    socket.on('error', () => {});
    socket.on('close', () => clearInterval(timer));
  }).listen(port, '::');
}

function serveUdp(port: number): void {
  const socket = createSocket({ type: 'udp6' });
  const known = new Set<string>();
  socket.on('message', (_, { address, port: from }) => {
    const key = `${address} ${from}`;
    if (known.has(key)) return;
    known.add(key);
    // What the switch drops is not told to whoever sends it.
    setInterval(() => socket.send('a datagram', from, address, () => {}), pace);
  });
  socket.bind(port, '::');
}

function openTcp(host: string, port: number): void {
  const one = follow('tcp', port);
  const socket = createConnection({ host, port });
  // Gone when it was closed; there from the moment it asks for the connection.
  localPorts.set(one, () => socket.localPort ?? 0);
  socket.on('connect', () => setInterval(() => socket.write('a line\n'), pace));
  socket.on('data', () => arrived(one));
  socket.on('error', (error) => {
    one.broken = error.message;
  });
  socket.on('end', () => {
    one.broken ??= 'the server ended it';
  });
}

function openUdp(host: string, port: number): void {
  const one = follow('udp', port);
  const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4');
  localPorts.set(one, () => socket.address().port);
  socket.on('message', () => arrived(one));
  const ask = (): void => {
    if (one.received > 0) return;
    socket.send('hello', port, host, () => {});
    setTimeout(ask, 300);
  };
  ask();
}

if (role === 'serve') {
  for (const what of rest) {
    const [kind, port] = what.split(':') as [string, string];
    if (kind === 'tcp') serveTcp(Number(port));
    else serveUdp(Number(port));
  }
} else if (role === 'open') {
  const [ready, host, ...what] = rest as [string, string, ...string[]];
  for (const text of what) {
    const [kind, port, count] = text.split(':');
    for (let i = 0; i < Number(count); i++) (kind === 'tcp' ? openTcp : openUdp)(host, Number(port));
  }
  const waiting = setInterval(() => {
    if (!all.every((one) => one.received > 0)) return;
    clearInterval(waiting);
    writeFileSync(ready, '');
  }, 20);
}
