/** A hundred echo requests a second, and what of them came back. */
import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LabMachine } from './lab-host.ts';

export type Loss = {
  /** Milliseconds between two requests. */
  interval: number;
  sent: number;
  lost: number;
  /** Milliseconds between two answers, at most. */
  longestGap: number;
};

const interval = 10;

/** Sends for as long as the change takes and `after` milliseconds more. */
export async function pingThrough(
  from: LabMachine,
  ip: string,
  change: () => Promise<unknown>,
  { before = 500, after = 2_500 } = {},
): Promise<Loss> {
  const stop = join(tmpdir(), `keyway-stop-${randomUUID()}`);
  // SIGINT makes it say what it has seen. It tells of each answer when it came (-D).
  const script = `setpriv --pdeathsig KILL -- env --default-signal=INT ping -n -D -i ${interval / 1000} "$1" & p=$!
until [ -e "$2" ]; do sleep 0.05; done; rm -f "$2"; kill -INT $p; wait $p`;
  const running = from.exec('sh', ['-c', script, 'sh', ip, stop], { timeout: 60_000 });
  // It ends with the lab, which whoever waits is told as an error.
  void Promise.allSettled([running]);
  await new Promise((resolve) => setTimeout(resolve, before));
  await change();
  await new Promise((resolve) => setTimeout(resolve, after));
  await from.exec('touch', [stop]);
  const { stdout, stderr } = await running;
  const sent = Number(/(\d+) packets transmitted/.exec(stdout)?.[1]);
  const times = [...stdout.matchAll(/^\[(\d+\.\d+)\] \d+ bytes from/gm)].map((m) => Number(m[1]) * 1000);
  if (times.length === 0) throw new Error(`${from.name} has no answer of ${ip}: ${stdout.slice(-300)} ${stderr}`);
  const gaps = times.map((t, i) => (i === 0 ? 0 : t - times[i - 1]!));
  return { interval, sent, lost: sent - times.length, longestGap: Math.round(Math.max(...gaps)) };
}
