/** Sockets in a VM's namespace, driven from outside. */
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { until } from '../../src/sandbox/ephemeral.ts';
import type { LabVm } from '../../src/sandbox/lab-vm.ts';

/** One connection, or one stream of datagrams, as its end here saw it. Times are milliseconds of the epoch. */
export type Conversation = {
  /** What the benchmark called it. */
  set: string;
  bytes: number;
  /** 0: none has come. */
  lastByte: number;
  previous: number;
  /** Between two arrivals. */
  longestGap: number;
  closed: boolean;
};

/** `ip` of those that listen is their own. `interval`: milliseconds between the few bytes this end sends; it sends none unless told. */
export type EndpointCalls = {
  listenTcp: [{ ip: string; port: number; set: string; interval?: number }, null];
  connectTcp: [{ ip: string; port: number; count: number; set: string; interval?: number }, null];
  listenUdp: [{ ip: string; port: number; interval?: number }, null];
  connectUdp: [{ ip: string; port: number; count: number; set: string }, null];
  report: [Record<string, never>, Conversation[]];
  forgetGaps: [Record<string, never>, null];
  close: [Record<string, never>, null];
};

export type Endpoint = {
  vm: LabVm;
  call<N extends keyof EndpointCalls>(name: N, parameters: EndpointCalls[N][0]): Promise<EndpointCalls[N][1]>;
};

const entry = fileURLToPath(new URL('./endpoint-main.ts', import.meta.url));

/** @param directory of the lab: the process ends with it, or when this one does */
export async function openEndpoint(vm: LabVm, directory: string): Promise<Endpoint> {
  const path = join(directory, `${vm.name}.sock`);
  // Node must not take the libraries that are beside an unpacked Open vSwitch.
  const ended = vm.exec('env', ['-u', 'LD_LIBRARY_PATH', process.execPath, entry, path], { timeout: 3_600_000 });
  let failed: string | undefined;
  ended.then(
    ({ status, stderr }) => {
      failed = `ended with ${status}: ${stderr}`;
    },
    // The lab is gone, and all who wait for an answer have been told.
    () => {},
  );
  let opened: Socket | undefined;
  await until(`the sockets of ${vm.name}`, async () => {
    if (failed !== undefined) throw new Error(`${vm.name}: ${failed}`);
    opened = await connected(path);
    return opened !== undefined;
  });
  const socket = opened!;
  const pending = new Map<number, { resolve(answer: unknown): void; reject(error: Error): void }>();
  socket.on('error', (error) => {
    for (const { reject } of pending.values()) reject(error);
  });
  createInterface({ input: socket }).on('line', (line) => {
    const { id, answer, error } = JSON.parse(line) as { id: number; answer?: unknown; error?: string };
    const waiting = pending.get(id);
    pending.delete(id);
    if (error === undefined) waiting?.resolve(answer);
    else waiting?.reject(new Error(`${vm.name}: ${error}`));
  });
  let last = 0;
  return {
    vm,
    call<N extends keyof EndpointCalls>(name: N, parameters: EndpointCalls[N][0]): Promise<EndpointCalls[N][1]> {
      last += 1;
      const id = last;
      return new Promise((resolve, reject) => {
        pending.set(id, { resolve: resolve as (answer: unknown) => void, reject });
        socket.write(`${JSON.stringify({ id, call: name, parameters })}\n`);
      });
    },
  };
}

/** Undefined while nobody listens there. */
function connected(path: string): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.removeAllListeners('error');
      resolve(socket);
    });
    socket.once('error', () => resolve(undefined));
  });
}
