import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { attempt, type Outcome, type RunOptions, run } from './run.ts';

/** A network namespace, kept by a bind mount in the mount namespace this process lives in. */
export type NetworkNamespace = {
  name: string;
  path: string;
  /** Put before a command to run it there; it execs, so the process started is the command itself. */
  prefix: readonly string[];
  attempt(program: string, args: readonly string[], options?: RunOptions): Promise<Outcome>;
  run(program: string, args: readonly string[], options?: RunOptions): Promise<string>;
  /** Several commands of ip(8) at once. @throws Error naming the one that failed. */
  ip(...commands: string[]): Promise<void>;
};

function at(name: string, path: string, env: NodeJS.ProcessEnv): NetworkNamespace {
  const prefix = ['nsenter', `--net=${path}`, '--'];
  const inside = (program: string, args: readonly string[]): [string, string[]] => {
    const [first, ...rest] = [...prefix, program, ...args];
    return [first ?? program, rest];
  };
  return {
    name,
    path,
    prefix,
    attempt: (program, args, options) => attempt(...inside(program, args), { env, ...options }),
    run: (program, args, options) => run(...inside(program, args), { env, ...options }),
    async ip(...commands) {
      const { status, stderr } = await attempt(...inside('ip', ['-batch', '-']), {
        env,
        input: `${commands.join('\n')}\n`,
      });
      if (status !== 0) throw new Error(`ip in ${name} (${commands.join('; ')}): ${stderr.trim()}`);
    },
  };
}

/**
 * Loopback up, and no IPv6 of the kernel's own: router solicitations and listener reports of every interface would be the
 * only packets that nobody asked for. Kernels without IPv6 have no such files.
 */
const quiet = `ip link set lo up
for f in all default; do f=/proc/sys/net/ipv6/conf/$f/disable_ipv6; [ ! -e $f ] || echo 1 >$f; done`;

/** The namespace this process is in, which is a new one. */
export async function ownNamespace(name: string, env: NodeJS.ProcessEnv): Promise<NetworkNamespace> {
  await run('sh', ['-ec', quiet], { env });
  return at(name, '/proc/self/ns/net', env);
}

/** Makes a namespace that lives until the mount namespace ends. `directory` holds the file it is mounted on. */
export async function createNamespace(
  name: string,
  directory: string,
  env: NodeJS.ProcessEnv,
): Promise<NetworkNamespace> {
  const path = join(directory, name);
  writeFileSync(path, '', { flag: 'wx' });
  await run('unshare', ['--net', '--', 'sh', '-ec', `${quiet}; mount --bind /proc/self/ns/net "$1"`, 'sh', path], {
    env,
  });
  return at(name, path, env);
}
