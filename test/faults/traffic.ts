/** Traffic that runs while something is broken, and what became of it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { until } from '../../src/sandbox/ephemeral.ts';
import type { Outcome } from '../../src/sandbox/run.ts';
import type { Lab, LabVm } from '../support/lab.ts';
import type { PushReport } from './push-stream.ts';

/** Milliseconds; a program that was not told to stop by then is killed. */
const limit = 300_000;

let counter = 0;

/** A file that programs inside the lab, which has the same file system, watch for. */
function stopFile(lab: Lab): string {
  counter += 1;
  return join(lab.directory, `stop-${counter}`);
}

export type PingReport = {
  sent: number;
  /** Sequence numbers without an answer. */
  lost: number[];
  /** Longest run of them. */
  longestRun: number;
};

/** Milliseconds from one echo request to the next: 111 per second (asked for 10, iputils sends one every 16). */
export const pingInterval = 9;

export type Pinging = {
  /** Ends it a moment later, so that what is under way still counts. */
  stop(): Promise<PingReport>;
};

/** More than 100 echo requests per second from now on. Returns once a first one has been answered. */
export async function startPing(lab: Lab, vm: LabVm, ip: string): Promise<Pinging> {
  if (!(await vm.ping(ip))) throw new Error(`${vm.name} does not reach ${ip} to begin with`);
  const stop = stopFile(lab);
  // SIGINT makes ping(8) print its summary; a background job of a shell without job control would ignore it.
  const script =
    'setpriv --pdeathsig KILL -- env --default-signal=INT ping -n -i 0.009 -W 1 "$1" & p=$!; until [ -e "$2" ]; do sleep 0.05; done; kill -INT $p; wait $p';
  const outcome = vm.exec('sh', ['-c', script, 'sh', ip, stop], { timeout: limit });
  return {
    async stop() {
      await sleep(300);
      writeFileSync(stop, '');
      return pingReport(await outcome);
    },
  };
}

function pingReport({ stdout, stderr }: Outcome): PingReport {
  const sent = Number(/^(\d+) packets transmitted/m.exec(stdout)?.[1] ?? Number.NaN);
  if (!(sent > 0)) throw new Error(`ping said nothing of what it sent: ${stdout.slice(-300)}${stderr}`);
  const answered = new Set([...stdout.matchAll(/icmp_seq=(\d+) ttl=/g)].map((m) => Number(m[1])));
  const lost: number[] = [];
  let longestRun = 0;
  let run = 0;
  // The last ones may have been on their way when it was ended.
  for (let n = 1; n <= sent - 3; n++) {
    // 16 bits in the packet.
    if (answered.has(n & 0xffff)) run = 0;
    else {
      lost.push(n);
      longestRun = Math.max(longestRun, ++run);
    }
  }
  return { sent, lost, longestRun };
}

export type Streaming = { stop(): Promise<PushReport> };

const program = fileURLToPath(new URL('push-stream.ts', import.meta.url));

/** A TCP connection on which the server pushes 100 pieces per second. Returns once it is open. */
export async function startPush(lab: Lab, server: LabVm, client: LabVm, ip: string, port: number): Promise<Streaming> {
  const stop = stopFile(lab);
  const serving = server.exec(process.execPath, [program, stop, 'serve', String(port)], { timeout: limit });
  await until(`a server on port ${port}`, async () => {
    const { stdout } = await server.exec('ss', ['-Hltn', `sport = :${port}`]);
    return stdout !== '';
  });
  const outcome = client.exec(process.execPath, [program, stop, 'receive', ip, String(port)], { timeout: limit });
  await until(`a connection to ${ip}:${port}`, async () => {
    const { stdout } = await server.exec('ss', ['-Htn', 'state', 'established', `sport = :${port}`]);
    return stdout !== '';
  });
  // Some pieces before whatever is to come.
  await sleep(300);
  return {
    async stop() {
      writeFileSync(stop, '');
      const { stdout, stderr } = await outcome;
      await serving;
      if (stdout === '') throw new Error(`the receiver said nothing: ${stderr}`);
      return JSON.parse(stdout) as PushReport;
    },
  };
}
