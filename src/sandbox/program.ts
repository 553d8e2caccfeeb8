import { spawn } from 'node:child_process';
import { openSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { NetworkNamespace } from './namespace.ts';

/** A `keyway` program in a namespace, e.g. `keyway gateway-host …`. */
export type Program = {
  running(): boolean;
  /** Resolves with how it ended. */
  ended: Promise<string>;
  /** Resolves when it is gone. */
  stop(signal: NodeJS.Signals): Promise<void>;
};

const entry = fileURLToPath(new URL('../keyway.mjs', import.meta.url));

/**
 * With a /run of its own, as on a host of its own: named network namespaces (ip-netns(8)) are files there. It dies with
 * this process.
 */
export function startProgram(namespace: NetworkNamespace, args: readonly string[], log: string): Program {
  const output = openSync(log, 'a', 0o600);
  const alone = ['unshare', '--mount', '--', 'sh', '-ec', 'mount -t tmpfs none /run; exec "$@"', 'sh'];
  const command = [...namespace.prefix, ...alone, process.execPath, entry, ...args];
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...command], { stdio: ['ignore', output, output] });
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => {
      const last = readFileSync(log, 'utf8').trim().split('\n').slice(-5).join(' / ');
      resolve(`${signal === null ? `exit status ${code}` : `signal ${signal}`}: ${last}`);
    });
  });
  return {
    running: () => child.exitCode === null && child.signalCode === null,
    ended,
    async stop(signal) {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      await ended;
    },
  };
}
