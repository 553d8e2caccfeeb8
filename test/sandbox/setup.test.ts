import { cpSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { lock } from '../../src/lock.mjs';
import { ephemeralDirectory } from '../../src/sandbox/ephemeral.ts';
import { attempt } from '../support/open-vswitch.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

describe('the lock between two shells', () => {
  test('lets the second in when the first is done, and tells it whom it waits for', async () => {
    await using directory = ephemeralDirectory('kw-lock-');
    const path = join(directory.path, 'lock');
    const order: string[] = [];
    const first = await lock(path);
    const second = lock(path, (holder) => order.push(`waits for ${holder === process.pid}`)).then((unlock) => {
      order.push('second');
      unlock();
    });
    await expect.poll(() => order).toEqual(['waits for true']);
    order.push('first done');
    first();
    await second;
    expect(order).toEqual(['waits for true', 'first done', 'second']);
    expect(existsSync(path)).toBe(false);
  });

  test('is taken over from a holder that is dead', async () => {
    await using directory = ephemeralDirectory('kw-lock-');
    const path = join(directory.path, 'lock');
    const dead = await attempt('sh', ['-c', 'echo $$']);
    writeFileSync(path, dead.stdout);
    (await lock(path))();
    expect(existsSync(path)).toBe(false);
  });
});

/** A working tree without packages. */
function freshTree(directory: string): string {
  for (const name of ['package.json', 'package-lock.json', '.npmrc', 'src']) {
    cpSync(join(root, name), join(directory, name), { recursive: true });
  }
  return directory;
}

test('without a registry set-up fails, says what follows from it, and does not count as done', async (context) => {
  if ((await attempt('npm', ['--version'])).status !== 0) return context.skip('there is no npm here');
  await using directory = ephemeralDirectory('kw-setup-');
  const tree = freshTree(directory.path);
  const env = {
    ...process.env,
    npm_config_registry: 'http://127.0.0.1:9/',
    npm_config_fetch_retries: '0',
    npm_config_cache: join(tree, 'npm-cache'),
    npm_config_proxy: '',
    npm_config_https_proxy: '',
  };
  const outcome = await attempt(process.execPath, ['src/setup.mjs'], { cwd: tree, env });
  expect(outcome.status).toBe(1);
  expect(outcome.stderr).toContain('Keyway can neither start nor be tested without its packages');
  expect(outcome.stderr).toContain('proxy');
  expect(existsSync(join(tree, 'node_modules/.keyway-setup'))).toBe(false);
  expect(existsSync(join(tree, '.cache/setup.lock'))).toBe(false);
});

test('a set-up that was done is seen as done, until the lock file changes', async () => {
  await using directory = ephemeralDirectory('kw-setup-');
  const tree = freshTree(directory.path);
  const bin = join(tree, 'bin');
  mkdirSync(bin);
  // Instead of npm: it leaves a mark, and what npm ci would leave of Node.
  const node = `node_modules/node-${process.platform}-${process.arch}/bin`;
  const npm = `#!/bin/sh\necho "$PATH" >> calls\nmkdir -p ${node} node_modules/.bin\nln -sf ${process.execPath} ${node}/node\n`;
  writeFileSync(join(bin, 'npm'), npm, { mode: 0o755 });
  const ownBin = join(tree, 'node_modules/.bin');
  const env = { ...process.env, PATH: `${ownBin}:${bin}:${process.env.PATH}` };
  const setup = (): Promise<{ status: number; stdout: string; stderr: string }> =>
    attempt(process.execPath, ['src/setup.mjs'], { cwd: tree, env });
  const calls = (): string[] => readFileSync(join(tree, 'calls'), 'utf8').trim().split('\n');

  expect(await setup()).toMatchObject({ status: 0 });
  expect(calls()).toHaveLength(1);
  expect(calls()[0]).not.toContain(ownBin);
  expect(statSync(join(ownBin, 'keyway')).mode & 0o111).not.toBe(0);
  expect((await attempt(join(ownBin, 'node'), ['--version'])).stdout.trim()).toBe(process.version);

  const second = await setup();
  expect(second).toMatchObject({ status: 0 });
  expect(second.stdout).not.toContain('npm ci');
  expect(calls()).toHaveLength(1);

  writeFileSync(join(tree, 'package-lock.json'), `${readFileSync(join(tree, 'package-lock.json'), 'utf8')} `);
  expect(await setup()).toMatchObject({ status: 0 });
  expect(calls()).toHaveLength(2);
});
