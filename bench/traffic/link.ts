/** What passes between two VMs: bytes in a second, the time there and back, the first packet. */
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LabHypervisor } from '../../src/sandbox/lab.ts';
import type { LabMachine } from '../../src/sandbox/lab-host.ts';
import { quantile } from '../support/figures.ts';
import { cpuSeconds } from '../support/usage.ts';
import { type Arena, forget, type TrafficVm } from './arena.ts';
import type { Iperf3 } from './iperf3.ts';

/** A pair of VMs and who programs their switches. */
export type Link = {
  name: string;
  arena: Arena;
  from: TrafficVm;
  to: TrafficVm /** That may pass. */;
  tcpPort: number;
};

/** What carries bytes from one machine to another; `hypervisors`: whose switches do it. */
export type Path = {
  name: string;
  hypervisors: readonly LabHypervisor[];
  from: Pick<LabMachine, 'exec'>;
  to: { ip: string; vm: Pick<LabMachine, 'exec'> };
  tcpPort: number;
};

/** Seconds of processor time of the ovs-vswitchds, seen from outside their process namespace. */
export function switchSeconds(hypervisors: readonly LabHypervisor[]): number {
  let found = 0;
  let seconds = 0;
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      if (readFileSync(`/proc/${entry}/comm`, 'utf8') !== 'ovs-vswitchd\n') continue;
      const command = readFileSync(`/proc/${entry}/cmdline`, 'utf8');
      if (!hypervisors.some(({ directory }) => command.includes(`${directory}/`))) continue;
      seconds += cpuSeconds(Number(entry));
      found++;
    } catch {
      // It has ended since the directory was read.
    }
  }
  if (found !== hypervisors.length)
    throw new Error(`${found} ovs-vswitchd found for ${hypervisors.length} hypervisors`);
  return seconds;
}

type IperfReport = { error?: string; end?: { sum_received?: { bits_per_second: number; bytes: number } } };

export type Throughput = {
  /** Bits a second that the receiver counted. */
  bits: number;
  /** Processor seconds of both ovs-vswitchds for 10^9 bits of them. */
  processor: number;
};

export function throughput(
  { name, arena, from, to, tcpPort }: Link,
  iperf3: Iperf3,
  seconds: number,
): Promise<Throughput> {
  return throughputOf({ name, hypervisors: arena.hypervisors, from: from.vm, to, tcpPort }, iperf3, seconds);
}

export async function throughputOf(path: Path, iperf3: Iperf3, seconds: number): Promise<Throughput> {
  const { name, hypervisors, from, to, tcpPort } = path;
  const [program, ...args] = iperf3.command;
  const server = to.vm.exec(program, [...args, '-s', '-1', '-p', String(tcpPort)], {
    timeout: seconds * 1000 + 15_000,
  });
  const client = ['-c', to.ip, '-p', String(tcpPort), '-t', String(seconds), '-J'];
  const deadline = performance.now() + 5_000;
  for (;;) {
    const before = switchSeconds(hypervisors);
    const { stdout, stderr } = await from.exec(program, [...args, ...client], { timeout: seconds * 1000 + 10_000 });
    const report = (stdout === '' ? { error: stderr } : JSON.parse(stdout)) as IperfReport;
    const received = report.end?.sum_received;
    if (received !== undefined && report.error === undefined) {
      const spent = switchSeconds(hypervisors) - before;
      await server;
      return { bits: received.bits_per_second, processor: spent / ((received.bytes * 8) / 1e9) };
    }
    // The server may not be listening yet.
    if (performance.now() > deadline) throw new Error(`${name}: iperf3: ${report.error ?? stdout}`);
    await sleep(50);
  }
}

/** Milliseconds there and back, the median of so many echo requests, and how many were lost. @throws Error where most were */
export async function roundTrip({ name, from, to }: Link, count: number): Promise<{ median: number; lost: number }> {
  const args = ['-n', '-i', '0.005', '-c', String(count), '-W', '2', to.ip];
  const { stdout, stderr } = await from.vm.exec('ping', args, { timeout: count * 50 + 10_000 });
  const times = [...stdout.matchAll(/time=([\d.]+)/g)].map(([, time]) => Number(time));
  if (times.length < count / 2) throw new Error(`${name}: ping: ${times.length} of ${count} came back ${stderr}`);
  return { median: quantile(times, 0.5), lost: count - times.length };
}

/** Milliseconds until the first echo reply when both switches have forgotten all they had learnt; VMs know their neighbours. */
export async function firstPacket(link: Link): Promise<number> {
  await forget(link.arena);
  const { stdout } = await link.from.vm.exec('ping', ['-n', '-c', '1', '-W', '2', link.to.ip]);
  const [, time] = /time=([\d.]+)/.exec(stdout) ?? [];
  if (time === undefined) throw new Error(`${link.name}: the first packet was lost`);
  return Number(time);
}

/** The first packets over a cold tunnel may be lost or late. */
export async function warmUp({ name, from, to }: Link): Promise<void> {
  if (!(await from.vm.ping(to.ip, { patience: 10_000 })))
    throw new Error(`${name}: ${from.vm.name} does not reach ${to.vm.name}`);
}
