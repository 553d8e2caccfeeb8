/** Who has the store open. The lock is LevelDB's; this note only serves to tell people who holds it. */
import { readFile, rm, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';

type Holder = { pid: number; host: string; since: string };

export async function noteHolder(path: string): Promise<void> {
  const holder: Holder = { pid: process.pid, host: hostname(), since: new Date().toISOString() };
  await writeFile(path, `${JSON.stringify(holder)}\n`, { mode: 0o600 });
}

export async function forgetHolder(path: string): Promise<void> {
  await rm(path, { force: true });
}

/** In words. */
export async function describeHolder(path: string): Promise<string> {
  try {
    const { pid, host, since } = JSON.parse(await readFile(path, 'utf8')) as Holder;
    if (pid === process.pid && host === hostname()) return `this process (${pid}), since ${since}`;
    return `process ${pid} on ${host}, since ${since}`;
  } catch {
    // Not written yet, or not legible: the lock stands all the same.
    return 'another process that has left no note of itself';
  }
}
