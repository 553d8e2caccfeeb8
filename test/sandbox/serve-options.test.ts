/** `keyway serve` runs with the controller's options of Node, in the process that was started. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { controllerFlags } from '../../src/node24.mjs';
import { ephemeralDirectory } from '../../src/sandbox/ephemeral.ts';

const program = fileURLToPath(new URL('../../src/keyway.mjs', import.meta.url));

async function serveOptions(nodeOptions: string): Promise<string[]> {
  await using directory = ephemeralDirectory('kw-serve-');
  const config = join(directory.path, 'keyway.yaml');
  writeFileSync(
    config,
    `dataDir: ${directory.path}/data
api: { listen: ['unix:${directory.path}/api.sock'] }
southbound: { ovsdb: ['punix:${directory.path}/db.sock'], openflow: '127.0.0.1:0' }
`,
  );
  const child = spawn(process.execPath, [program, 'serve', '--config', config], {
    env: { ...process.env, NODE_OPTIONS: nodeOptions },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    let log = '';
    for await (const chunk of child.stdout) {
      log += String(chunk);
      if (log.includes('keyway is up')) break;
    }
    expect(log).toContain('keyway is up');
    return readFileSync(`/proc/${child.pid}/cmdline`, 'utf8').split('\0');
  } finally {
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }
}

test('they are set unless somebody has chosen others', async () => {
  expect(await serveOptions('')).toEqual(expect.arrayContaining([...controllerFlags, 'serve']));
  const [name] = controllerFlags[0]!.split('=');
  const chosen = await serveOptions(`${name}=32`);
  expect(chosen.filter((word) => word.startsWith(name!))).toEqual([]);
});
