import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Things that die with this process, however it ends, `kill -9` included: directories (a shell holds the other end of
 * a pipe and removes them when it closes) and daemons (PR_SET_PDEATHSIG, prctl(2), by way of setpriv(1)).
 */

export type EphemeralDirectory = AsyncDisposable & { path: string };

/** A new directory under the system's temporary one; short, because socket paths end at 107 bytes (unix(7)). */
export function ephemeralDirectory(prefix: string): EphemeralDirectory {
  const path = mkdtempSync(join(tmpdir(), prefix));
  // Daemons may still be writing at the moment their parent dies, so the removal is tried again for a second.
  const script =
    'trap "" HUP INT TERM; read -r _; for i in 1 2 3 4 5 6 7 8 9 10; do rm -rf -- "$1" && exit; sleep 0.1; done';
  const guard = spawn('sh', ['-c', script, 'sh', path], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  guard.unref();
  const ended = once(guard, 'exit');
  return {
    path,
    async [Symbol.asyncDispose]() {
      rmSync(path, { recursive: true, force: true, maxRetries: 10 });
      guard.ref();
      guard.stdin?.destroy();
      await ended;
    },
  };
}

export type Daemon = {
  readonly process: ChildProcess;
  /** Ends the daemon and waits until it is gone. */
  stop(signal?: NodeJS.Signals): Promise<void>;
};

export type DaemonOptions = {
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  /** Called with each line of its standard error. */
  line?: (text: string) => void;
};

/** Starts a program that gets SIGKILL when this process (strictly: this thread) ends. */
export function startDaemon(program: string, args: readonly string[], options: DaemonOptions = {}): Daemon {
  const { line, ...rest } = options;
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', program, ...args], {
    ...rest,
    // A session of its own: Ctrl-C in a terminal is ours to act on.
    detached: true,
    stdio: ['ignore', 'ignore', line ? 'pipe' : 'ignore'],
  });
  const ended = new Promise<void>((resolve) => {
    child.once('exit', () => resolve());
    child.once('error', (error) => {
      line?.(`${program}: ${error.message}`);
      resolve();
    });
  });
  if (line && child.stderr) {
    let rest = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const one of lines) line(one);
    });
  }
  return {
    process: child,
    async stop(signal = 'SIGTERM') {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      const late = setTimeout(() => child.kill('SIGKILL'), 3_000);
      await ended;
      clearTimeout(late);
    },
  };
}

/** Polls until the condition holds. @throws Error naming what was waited for, after `timeout` milliseconds. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeout = 10_000,
  interval = 5,
): Promise<void> {
  const deadline = performance.now() + timeout;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`${what}: not within ${timeout} ms`);
    await new Promise((resolve) => setTimeout(resolve, interval));
  }
}
