import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import {
  type Answer,
  type Call,
  type OperationName,
  type Parameters,
  type Reply,
  type Setting,
  settingVariable,
} from './operations.ts';
import { attempt } from './run.ts';

/** Network, mount and process namespaces of our own; for users other than root also a user namespace, where they are root. */
const namespaces = ['--net', '--mount', '--pid', '--fork', '--kill-child=KILL', '--mount-proc'];

function unshareArguments(): string[] {
  return process.getuid?.() === 0 ? namespaces : ['--user', '--map-root-user', ...namespaces];
}

function sysctl(name: string): string | undefined {
  try {
    return readFileSync(`/proc/sys/${name.replaceAll('.', '/')}`, 'utf8').trim();
  } catch {
    // Many kernels do not have this one; then it forbids nothing.
    return undefined;
  }
}

/** Why this user cannot have namespaces on this machine, with the setting that says so; undefined when it can. */
export async function namespacesForbidden(): Promise<string | undefined> {
  const trial = await attempt('unshare', [...unshareArguments(), '--', 'true']);
  if (trial.status === 0) return undefined;
  const said = trial.stderr.trim();
  if (process.getuid?.() === 0) {
    return `${said}: root here lacks CAP_SYS_ADMIN, as in a container (docker run --privileged gives it)`;
  }
  const causes = [
    { setting: 'kernel.unprivileged_userns_clone', forbids: (value: string) => value === '0', allows: '1' },
    { setting: 'kernel.apparmor_restrict_unprivileged_userns', forbids: (value: string) => value !== '0', allows: '0' },
    { setting: 'user.max_user_namespaces', forbids: (value: string) => value === '0', allows: '10000' },
    { setting: 'user.max_net_namespaces', forbids: (value: string) => value === '0', allows: '10000' },
    { setting: 'user.max_pid_namespaces', forbids: (value: string) => value === '0', allows: '10000' },
    { setting: 'user.max_mnt_namespaces', forbids: (value: string) => value === '0', allows: '10000' },
  ];
  for (const { setting, forbids, allows } of causes) {
    const value = sysctl(setting);
    if (value !== undefined && forbids(value)) {
      return `${said}: the kernel forbids it by ${setting}=${value} (an admin allows it with: sysctl -w ${setting}=${allows})`;
    }
  }
  return `${said}: user namespaces are refused here, by a container or a security module`;
}

/** The inner process and a way to call it. */
export type Enclosure = AsyncDisposable & {
  call<N extends OperationName>(operation: N, parameters: Parameters<N>): Promise<Answer<N>>;
  /** Resolves when the inner process is gone, for whatever reason. */
  ended: Promise<string>;
  /** Process id, as seen from outside, of process 1 inside. */
  pid(): number;
};

/**
 * Starts the inner process. It dies with this one, `kill -9` included, three times over: its standard input closes, the
 * parent-death signal reaches unshare(1), and unshare's reaches process 1, with which every process inside ends.
 * @throws Error with what the inner process wrote before it ended.
 */
export async function openEnclosure(setting: Setting): Promise<Enclosure> {
  const entry = fileURLToPath(new URL('./inner.ts', import.meta.url));
  const inner = [process.execPath, entry];
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', 'unshare', ...unshareArguments(), '--', ...inner], {
    stdio: ['pipe', 'pipe', 'pipe'],
    // Not as an argument, which everybody may read: it holds the environment.
    env: { ...process.env, [settingVariable]: JSON.stringify(setting) },
    // Ctrl-C in a terminal is for the outer process, which then ends this one in order.
    detached: true,
  });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-8_192);
  });
  const pending = new Map<number, { resolve(answer: unknown): void; reject(error: Error): void }>();
  let over = false;
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code, signal) => resolve(`ended (${signal ?? code})${said === '' ? '' : `: ${said.trim()}`}`));
  }).then((why) => {
    over = true;
    for (const { reject } of pending.values()) reject(new Error(`the sandbox ${why}`));
    pending.clear();
    return why;
  });
  // A call whose answer will never come is failed by `ended`, not by the pipe.
  child.stdin.on('error', () => {});
  createInterface({ input: child.stdout }).on('line', (line) => {
    const reply = JSON.parse(line) as Reply;
    const waiting = pending.get(reply.id);
    pending.delete(reply.id);
    if (reply.error === undefined) waiting?.resolve(reply.answer);
    else waiting?.reject(new Error(reply.error));
  });
  let id = 0;
  const expect = (number: number): Promise<unknown> =>
    new Promise((resolve, reject) => {
      if (over) reject(new Error('the sandbox has ended'));
      else pending.set(number, { resolve, reject });
    });
  await expect(0);
  return {
    ended,
    pid: () => childOf(child),
    call<N extends OperationName>(operation: N, parameters: Parameters<N>) {
      id += 1;
      const call: Call = { id, operation, parameters };
      const answer = expect(id);
      child.stdin.write(`${JSON.stringify(call)}\n`);
      return answer as Promise<Answer<N>>;
    },
    async [Symbol.asyncDispose]() {
      child.stdin.end();
      const late = setTimeout(() => child.kill('SIGKILL'), 5_000);
      await ended;
      clearTimeout(late);
    },
  };
}

function childOf(child: ChildProcess): number {
  return Number.parseInt(readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8'), 10);
}
