import { spawn } from 'node:child_process';
import { mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { NetworkNamespace } from './namespace.ts';
import type { OpenVswitch } from './open-vswitch/find.ts';

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
 * Tools as a host has them on its PATH, for programs which are not to be given the libraries that unpacked ones need.
 * @returns the directory they are in
 */
export function makeTools(directory: string, { programs, env }: OpenVswitch): string {
  const tools = join(directory, 'bin');
  mkdirSync(tools);
  const libraries = env.LD_LIBRARY_PATH === undefined ? '' : `LD_LIBRARY_PATH='${env.LD_LIBRARY_PATH}' `;
  for (const name of ['ip', 'ethtool'])
    writeFileSync(join(tools, name), `#!/bin/sh\n${libraries}exec '${programs[name]}' "$@"\n`, { mode: 0o755 });
  return tools;
}

/**
 * With a /run of its own, as on a host of its own: named network namespaces (ip-netns(8)) are files there. It dies with
 * this process.
 */
export function startProgram(
  namespace: NetworkNamespace,
  args: readonly string[],
  { tools, log }: { tools: string; log: string },
): Program {
  const output = openSync(log, 'a', 0o600);
  const alone = ['unshare', '--mount', '--', 'sh', '-ec', 'mount -t tmpfs none /run; exec "$@"', 'sh'];
  const command = [...namespace.prefix, ...alone, process.execPath, entry, ...args];
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...command], {
    stdio: ['ignore', output, output],
    env: { ...process.env, PATH: [tools, process.env.PATH].join(delimiter) },
  });
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
