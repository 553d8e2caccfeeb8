import { spawn } from 'node:child_process';
import { cpSync, existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { ephemeralDirectory, until } from '../../src/sandbox/ephemeral.ts';
import { openLabOrSkip } from '../support/lab.ts';
import { attempt, openVswitchOrSkip } from '../support/open-vswitch.ts';

const program = fileURLToPath(new URL('./static-lab-main.ts', import.meta.url));

/** Processes that name the directory on their command line, or live in the process namespace. */
function processesOf(directory: string, pidNamespace: string): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        return (
          readlinkSync(`/proc/${pid}/ns/pid`) === pidNamespace ||
          readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(directory)
        );
      } catch {
        // It has ended meanwhile, or is somebody else's.
        return false;
      }
    });
}

type Report = { directory: string; inner: number; uid: number; ping: boolean };

/** @param user options of setpriv(1) */
async function runAndKill(user: string[], env: NodeJS.ProcessEnv): Promise<Report> {
  // Should this test fail before it kills, the program goes with the test process.
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', ...user, '--', process.execPath, program], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const report = await new Promise<Report>((resolve, reject) => {
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      if (text.includes('\n')) resolve(JSON.parse(text) as Report);
    });
    child.once('exit', (code, signal) => reject(new Error(`it ended (${signal ?? code}) before it was killed`)));
  });
  const pidNamespace = readlinkSync(`/proc/${report.inner}/ns/pid`);
  expect(pidNamespace).not.toBe(readlinkSync('/proc/self/ns/pid'));
  expect(processesOf(report.directory, pidNamespace).length).toBeGreaterThan(4);
  child.kill('SIGKILL');
  await until('everything to be gone', () => {
    return processesOf(report.directory, pidNamespace).length === 0 && !existsSync(report.directory);
  });
  return report;
}

test('kill -9 of the outer process leaves no process, namespace or file', async (context) => {
  await (await openLabOrSkip(context))[Symbol.asyncDispose]();
  const report = await runAndKill([], process.env);
  expect(report.ping).toBe(true);
});

test('an ordinary user has the same lab in a user namespace', async (context) => {
  const openVswitch = await openVswitchOrSkip(context);
  if (process.getuid?.() !== 0) return context.skip('the other tests run as an ordinary user already');
  const nobody = ['--reuid=65534', '--regid=65534', '--clear-groups'];
  const readable = await attempt('setpriv', [
    ...nobody,
    '--',
    'sh',
    '-c',
    `test -r "$1" && test -x "$2"`,
    'sh',
    program,
    process.execPath,
  ]);
  if (readable.status !== 0) return context.skip(`the user nobody cannot read ${program} or run ${process.execPath}`);
  await using home = ephemeralDirectory('kw-nobody-');
  if (openVswitch.source === 'cache') {
    // root's cache lies where nobody may not look; a copy saves downloading it again.
    const cache = openVswitch.schema.slice(0, openVswitch.schema.indexOf('/usr/share/'));
    cpSync(cache, join(home.path, 'keyway', basename(cache)), { recursive: true, verbatimSymlinks: true });
  }
  await attempt('chown', ['-R', '65534:65534', home.path]);
  const env = { ...process.env, HOME: home.path, XDG_CACHE_HOME: home.path };
  const report = await runAndKill(nobody, env);
  expect(report).toMatchObject({ uid: 65534, ping: true });
});
