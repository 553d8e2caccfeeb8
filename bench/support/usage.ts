/** Processor time and memory of processes, as Linux accounts for them (proc(5)). */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';

const ticksPerSecond = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

/** Seconds of processor time, user and system, all threads, since the process began. */
export function cpuSeconds(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name, in parentheses, may hold anything.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

export type Memory = { /** Bytes. */ rss: number /** The most it ever was, bytes. */; peak: number };

export function memoryOf(pid: number): Memory {
  const text = readFileSync(`/proc/${pid}/status`, 'utf8');
  const kibibytes = (key: string): number =>
    Number(new RegExp(`^${key}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? Number.NaN);
  return { rss: kibibytes('VmRSS') * 1024, peak: kibibytes('VmHWM') * 1024 };
}

/** From here on `peak` is the most since now. */
export function forgetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
}

/** Processes by what they are: `central`, `vswitchd` … */
export type ProcessGroups = Record<string, number[]>;

/** Processor seconds of each group from the call of this function to the call of what it returns. */
export function meterCpu(groups: ProcessGroups): () => Record<string, number> {
  const sum = (pids: number[]): number => pids.reduce((total, pid) => total + cpuSeconds(pid), 0);
  const before = Object.fromEntries(Object.entries(groups).map(([name, pids]) => [name, sum(pids)]));
  return () => Object.fromEntries(Object.entries(groups).map(([name, pids]) => [name, sum(pids) - before[name]!]));
}

/** Per group, bytes: of all processes together, and of the largest. */
export function memoryOfGroups(
  groups: ProcessGroups,
): Record<string, { total: number; largest: number; peak: number }> {
  return Object.fromEntries(
    Object.entries(groups).map(([name, pids]) => {
      const all = pids.map(memoryOf);
      const total = all.reduce((sum, { rss }) => sum + rss, 0);
      const peak = all.reduce((sum, one) => sum + one.peak, 0);
      return [name, { total, peak, largest: Math.max(...all.map(({ rss }) => rss)) }];
    }),
  );
}
