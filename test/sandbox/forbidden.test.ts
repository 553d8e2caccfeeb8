import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readlinkSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { until } from '../../src/sandbox/ephemeral.ts';
import { attempt } from '../support/open-vswitch.ts';

const program = fileURLToPath(new URL('./forbidden-main.ts', import.meta.url));
const nobody = ['--reuid=65534', '--regid=65534', '--clear-groups', '--'];

/** What an ordinary user is told on a machine where an admin has set this: a user namespace with a limit of its own is one. */
async function whereSettingIs(setting: string, value: string): Promise<string> {
  // It holds the namespace until its standard input closes, at the latest with this process.
  const holder = spawn('unshare', ['--user', '--', 'cat'], { stdio: ['pipe', 'ignore', 'inherit'] });
  const ended = once(holder, 'exit');
  const own = readlinkSync('/proc/self/ns/user');
  await until('the user namespace', () => readlinkSync(`/proc/${holder.pid}/ns/user`) !== own);
  for (const map of ['uid_map', 'gid_map']) writeFileSync(`/proc/${holder.pid}/${map}`, '0 0 65536\n');
  const file = `/proc/sys/${setting.replaceAll('.', '/')}`;
  const script = `echo ${value} > ${file}; exec setpriv ${nobody.join(' ')} "$@"`;
  const enter = ['-t', String(holder.pid), '--user', '--setuid', '0', '--setgid', '0', '--'];
  const outcome = await attempt('nsenter', [...enter, 'sh', '-ec', script, 'sh', process.execPath, program]);
  holder.stdin.end();
  await ended;
  return outcome.stdout + outcome.stderr;
}

for (const setting of ['user.max_user_namespaces', 'user.max_net_namespaces']) {
  test(`where ${setting} forbids namespaces, that setting is named`, async (context) => {
    if (process.getuid?.() !== 0) return context.skip('only root can set up such a machine');
    const trial = ['sh', '-c', 'test -r "$1" && test -x "$2"', 'sh', program, process.execPath];
    const readable = await attempt('setpriv', [...nobody, ...trial]);
    if (readable.status !== 0) return context.skip(`the user nobody cannot read ${program} or run ${process.execPath}`);
    const said = await whereSettingIs(setting, '0');
    expect(said).toContain(`${setting}=0`);
    expect(said).toContain(`sysctl -w ${setting}=10000`);
  });
}

test('root without CAP_SYS_ADMIN, as in a container, is told so', async (context) => {
  if (process.getuid?.() !== 0) return context.skip('only root can drop that capability');
  const outcome = await attempt('setpriv', [
    '--bounding-set=-sys_admin',
    '--inh-caps=-all',
    '--',
    process.execPath,
    program,
  ]);
  expect(outcome.stdout).toContain('CAP_SYS_ADMIN');
});
