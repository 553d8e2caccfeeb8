/** What passes between two VMs: bytes in a second, the time there and back, the first packet. */
import { setTimeout as sleep } from 'node:timers/promises';
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

type IperfReport = { error?: string; end?: { sum_received?: { bits_per_second: number } } };

/** Bits a second that the receiver counted. */
export async function throughput({ name, from, to, tcpPort }: Link, iperf3: Iperf3, seconds: number): Promise<number> {
  const [program, ...args] = iperf3.command;
  const server = to.vm.exec(program, [...args, '-s', '-1', '-p', String(tcpPort)], {
    timeout: seconds * 1000 + 15_000,
  });
  const client = ['-c', to.ip, '-p', String(tcpPort), '-t', String(seconds), '-J'];
  const deadline = performance.now() + 5_000;
  for (;;) {
    const { stdout, stderr } = await from.vm.exec(program, [...args, ...client], { timeout: seconds * 1000 + 10_000 });
    const report = (stdout === '' ? { error: stderr } : JSON.parse(stdout)) as IperfReport;
    const received = report.end?.sum_received?.bits_per_second;
    if (received !== undefined && report.error === undefined) {
      await server;
      return received;
    }
    // The server may not be listening yet.
    if (performance.now() > deadline) throw new Error(`${name}: iperf3: ${report.error ?? stdout}`);
    await sleep(50);
  }
}

/** Milliseconds there and back, on average over so many echo requests. @throws Error where one in fifty was lost */
export async function roundTrip({ name, from, to }: Link, count: number): Promise<number> {
  const args = ['-n', '-q', '-i', '0.005', '-c', String(count), '-W', '1', to.ip];
  const { stdout, stderr } = await from.vm.exec('ping', args, { timeout: count * 50 + 10_000 });
  const [, received] = /(\d+) received/.exec(stdout) ?? [];
  const [, average] = /= [\d.]+\/([\d.]+)\//.exec(stdout) ?? [];
  if (average === undefined || Number(received) < count * 0.98)
    throw new Error(`${name}: ping: ${received ?? 'none'} of ${count} came back ${stderr}`);
  return Number(average);
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
