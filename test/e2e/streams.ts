/** Many open connections between VMs at once, and what became of each when something changed. */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { until } from '../../src/sandbox/ephemeral.ts';
import type { LabMachine } from '../../src/sandbox/lab-host.ts';
import type { Lab } from '../support/lab.ts';
import type { Arrived } from './streams-program.ts';

const program = fileURLToPath(new URL('streams-program.ts', import.meta.url));

/** Milliseconds; a program that was not told to stop by then is killed. */
const limit = 120_000;

let counter = 0;

const fileIn = (lab: Lab, what: string): string => join(lab.directory, `${what}-${++counter}`);

/** Where a test fails the lab ends first, which whoever waits for a program is told as an error. */
function endsWithLab(...outcomes: Promise<unknown>[]): void {
  void Promise.allSettled(outcomes);
}

export type Serving = { stop(): Promise<Arrived[]> };

/** @param what tcp:PORT or udp:PORT */
export async function serveStreams(lab: Lab, vm: LabMachine, what: string[]): Promise<Serving> {
  const stop = fileIn(lab, 'stop');
  const outcome = vm.exec(process.execPath, [program, stop, 'serve', ...what], { timeout: limit });
  endsWithLab(outcome);
  await until('a server for each port', async () => {
    const { stdout } = await vm.exec('ss', ['-Hlntu']);
    return what.every((one) => stdout.includes(`:${one.split(':')[1]} `));
  });
  return {
    async stop() {
      writeFileSync(stop, '');
      return JSON.parse((await outcome).stdout) as Arrived[];
    },
  };
}

export type Streams = { stop(): Promise<(Arrived | Pinged)[]> };

export type Pinged = { kind: 'ping'; received: number; last: number; longestGap: number; broken?: string };

/**
 * Connections to the server, `counts.tcp` and `counts.udp` of them to each port named, and pings.
 * Returns once each has carried something.
 */
export async function openStreams(
  lab: Lab,
  vm: LabMachine,
  ip: string,
  what: { tcp?: number[]; udp?: number[]; each: number; pings: number },
): Promise<Streams> {
  const [stop, ready] = [fileIn(lab, 'stop'), fileIn(lab, 'ready')];
  const list = [
    ...(what.tcp ?? []).map((p) => `tcp:${p}:${what.each}`),
    ...(what.udp ?? []).map((p) => `udp:${p}:${what.each}`),
  ];
  const outcome = vm.exec(process.execPath, [program, stop, 'open', ready, ip, ...list], { timeout: limit });
  if (what.pings > 0 && !(await vm.ping(ip))) throw new Error(`${vm.name} does not reach ${ip} to begin with`);
  const script =
    'setpriv --pdeathsig KILL -- env --default-signal=INT ping -n -D -i 0.1 "$1" & p=$!; until [ -e "$2" ]; do sleep 0.05; done; kill -INT $p; wait $p';
  const pings = Array.from({ length: what.pings }, () =>
    vm.exec('sh', ['-c', script, 'sh', ip, stop], { timeout: limit }),
  );
  endsWithLab(outcome, ...pings);
  const end = async (): Promise<Arrived[]> => {
    writeFileSync(stop, '');
    const { stdout, stderr } = await outcome;
    if (stdout === '') throw new Error(`the client said nothing: ${stderr}`);
    return JSON.parse(stdout) as Arrived[];
  };
  try {
    await until('every connection to carry something', () => existsSync(ready), 20_000);
  } catch (error) {
    // What connection tracking has of it is looked at before the client's end changes that.
    const known = await Promise.all(lab.hypervisors.map(({ appctl }) => appctl('dpctl/dump-conntrack', '-m')));
    const silent = (await end()).filter(({ received }) => received === 0);
    throw new Error(silent.map((one) => `${vm.name} ${JSON.stringify(one)}${tracked(one, lab, known)}`).join('\n'), {
      cause: error,
    });
  }
  return {
    async stop() {
      const arrived = await end();
      const pinged = await Promise.all(pings);
      return [...arrived, ...pinged.map((p) => pingReport(p.stdout))];
    },
  };
}

/** What connection tracking has of a connection, by the port of its client. @param known of each hypervisor of the lab */
function tracked({ localPort }: Arrived, lab: Lab, known: readonly string[]): string {
  const port = new RegExp(`port=${localPort}\\b`);
  return known
    .flatMap((text, i) => {
      const lines = text.split('\n').filter((line) => port.test(line));
      return lines.map((line) => `\n  ${lab.hypervisors[i]!.name}: ${line}`);
    })
    .join('');
}

/** Of `ping -D`: `[1700000000.123456] 64 bytes from …`. */
function pingReport(text: string): Pinged {
  const times = [...text.matchAll(/^\[(\d+\.\d+)\] \d+ bytes from/gm)].map((m) => Number(m[1]) * 1000);
  const gaps = times.map((t, i) => (i === 0 ? 0 : t - times[i - 1]!));
  return { kind: 'ping', received: times.length, last: times.at(-1) ?? 0, longestGap: Math.max(0, ...gaps) };
}
