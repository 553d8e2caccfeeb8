/** The program as it is installed: what its short answers load, and that it ends as it should. How long they take: bench/cli-start.ts. */
import { spawn, spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { commandLines } from '../../bench/cli-start.ts';
import { Double } from './double.ts';
import { bareEnv } from './support.ts';

const program = fileURLToPath(new URL('../../src/keyway.mjs', import.meta.url));
const env = { ...bareEnv, HOME: process.env.HOME, XDG_CACHE_HOME: process.env.XDG_CACHE_HOME, PATH: process.env.PATH };

/** The modules a command line loads, in order: URLs of files, names of Node's own. */
function loaded(args: readonly string[]): string[] {
  const hooks = `
    import { registerHooks } from 'node:module';
    import { writeSync } from 'node:fs';
    registerHooks({ load: (url, context, next) => { writeSync(3, url + '\\n'); return next(url, context); } });`;
  const preload = `data:text/javascript,${encodeURIComponent(hooks)}`;
  const { status, stderr, output } = spawnSync(process.execPath, ['--import', preload, ...args], {
    env: { ...env, KEYWAY_URL: 'http://127.0.0.1:9' },
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  });
  expect(status, stderr).toBe(0);
  return output[3]!.split('\n').filter((url) => url !== '');
}

test.for(Object.entries(commandLines))('%s is there at once: it loads little', ([, args]) => {
  const seen = loaded(args);
  const own = seen.filter((url) => url.startsWith('file:'));
  expect(own.some((url) => url.endsWith('/cli/run.ts') || url.endsWith('/cli/complete.ts'))).toBe(true);
  // Compiled schemas, libraries and servers are what would take long.
  expect(seen.filter((url) => /node_modules|\/intent\/|^node:https?$/.test(url))).toEqual([]);
  // Twice of what it is now: reading, stripping and compiling that is its time beside Node's own.
  expect(own.length).toBeLessThan(60);
  expect(own.reduce((sum, url) => sum + statSync(new URL(url)).size, 0)).toBeLessThan(300_000);
});

test('exit status and streams', () => {
  const run = (...args: string[]) => spawnSync(process.execPath, [program, ...args], { env, encoding: 'utf8' });
  expect(run('port', 'lst')).toMatchObject({
    status: 2,
    stdout: '',
    stderr: expect.stringContaining('Did you mean list?'),
  });
  expect(run('tenant', 'list', '--url', 'unix:/nonexistent')).toMatchObject({ status: 4, stdout: '' });
  expect(run('serve', '--help')).toMatchObject({ status: 0, stderr: '', stdout: expect.stringContaining('--config') });
});

test('a reader that has enough ends a command quietly', async () => {
  const double = await Double.start();
  try {
    for (let i = 0; i < 5000; i++) double.put(`tenants/tenant-with-a-long-name-${i}`);
    const script = '"$1" "$2" tenant list | head -1; echo "$PIPESTATUS"';
    const child = spawn('bash', ['-c', script, 'bash', process.execPath, program], {
      env: { ...env, KEYWAY_URL: double.url },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    child.stdout.on('data', (part: Buffer) => {
      output += part.toString();
    });
    child.stderr.on('data', (part: Buffer) => {
      output += part.toString();
    });
    await new Promise((resolve) => child.on('close', resolve));
    expect(output).toMatch(/^NAME +STATE +DESCRIPTION\n0\n$/);
  } finally {
    await double.stop();
  }
});
