/** The program as it is installed: how long its short answers take, and that it ends as it should. */
import { spawn, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { baseline, commandLines, times } from '../../bench/cli-start.ts';
import { Double } from './double.ts';
import { bareEnv } from './support.ts';

const program = fileURLToPath(new URL('../../src/keyway.mjs', import.meta.url));
const env = { ...bareEnv, HOME: process.env.HOME, XDG_CACHE_HOME: process.env.XDG_CACHE_HOME, PATH: process.env.PATH };

test('help and completion are there at once', () => {
  // The quickest of several runs, and on a machine that is busy all the time as much more as Node alone takes more.
  const limit = Math.max(150, (150 / 35) * times(baseline, 7)[0]!);
  for (const [command, args] of Object.entries(commandLines)) expect(times(args, 7)[0], command).toBeLessThan(limit);
});

test('help loads nothing that takes long', () => {
  const script = `
    import { registerHooks } from 'node:module';
    const seen = [];
    registerHooks({ resolve: (name, context, next) => { const found = next(name, context); seen.push(found.url); return found; } });
    process.argv = [process.argv[0], ${JSON.stringify(program)}, 'port', 'create', '--help'];
    await import(${JSON.stringify(program)});
    console.error(JSON.stringify(seen));`;
  const { stderr, stdout, status } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    env,
    encoding: 'utf8',
  });
  expect(status).toBe(0);
  expect(stdout).toContain('keyway port create');
  const seen = JSON.parse(stderr) as string[];
  expect(seen.some((url) => url.endsWith('/cli/run.ts'))).toBe(true);
  expect(seen.filter((url) => /node_modules|\/intent\/|^node:https?$/.test(url))).toEqual([]);
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
