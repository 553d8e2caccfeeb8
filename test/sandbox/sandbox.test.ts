import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, type TestContext, test } from 'vitest';
import { until } from '../../src/sandbox/ephemeral.ts';
import { openLabOrSkip } from '../support/lab.ts';
import { run } from '../support/open-vswitch.ts';

const keyway = fileURLToPath(new URL('../../src/keyway.mjs', import.meta.url));

type Program = { child: ChildProcess; output(): string; ended: Promise<number | null> };

async function startSandbox(context: Pick<TestContext, 'skip'>, ...args: string[]): Promise<Program> {
  await (await openLabOrSkip(context))[Symbol.asyncDispose]();
  // However the test ends, the program does not outlive the test process.
  const command = ['--pdeathsig', 'KILL', '--', process.execPath, keyway, 'sandbox', ...args];
  const child = spawn('setpriv', command, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  return { child, output: () => output, ended: once(child, 'exit').then(([code]) => code as number | null) };
}

async function up(program: Program): Promise<{ url: string; directory: string; token: string }> {
  await Promise.race([
    until('the sandbox to be up', () => program.output().includes('rule delete'), 80_000, 50),
    program.ended.then((code) => {
      throw new Error(`it ended with ${code}: ${program.output()}`);
    }),
  ]);
  const url = /REST API +(\S+)/.exec(program.output())![1]!;
  const token = /admin token +in (\S+)/.exec(program.output())![1]!;
  const directory = /its files +(\S+)/.exec(program.output())![1]!;
  return { url, directory, token };
}

test('--once shows what is allowed and refused, and ends with 0 when all went as expected', async (context) => {
  const program = await startSandbox(context, '--once');
  expect(await program.ended, program.output()).toBe(0);
  expect(program.output()).toContain('probes went as expected');
  expect(program.output()).not.toContain(' NOT ');
  // A lease is shown where there is a DHCP client, and its absence is said.
  expect(program.output()).toMatch(/it was given 10\.0\.1\.51, as ordered|there is no DHCP client here/);
  expect(program.output()).toMatch(/pings to the client outside were lost .*the other gateway has its connections/);
}, 120_000);

test('it stays up with its API on the loopback until Ctrl-C, twice as under npm, and leaves nothing behind', async (context) => {
  const program = await startSandbox(context, '--port', '0');
  const { url, directory, token } = await up(program);
  const authorization = `Bearer ${readFileSync(token, 'utf8').trim()}`;
  const answer = await fetch(`${url}/v1/tenants`, { headers: { authorization } });
  expect(answer.status).toBe(200);
  expect(await answer.text()).toContain('umbrella');
  expect(await run(`${directory}/in`, ['hv1', 'ovs-vsctl', 'list-br'])).toBe('br-int\nbr-phy\n');
  expect(await run(`${directory}/in`, ['umbrella-batch1', 'ping', '-n', '-c', '1', '-w', '5', '10.0.1.11'])).toContain(
    '1 received',
  );
  expect(await run(`${directory}/in`, ['client', 'socat', '-u', 'TCP4:203.0.113.10:80', '-'])).toBe('acme/web1\n');
  program.child.kill('SIGINT');
  program.child.kill('SIGINT');
  expect(await program.ended, program.output()).toBe(0);
  expect(existsSync(directory)).toBe(false);
}, 120_000);

test('a signal while it starts ends it too', async (context) => {
  const program = await startSandbox(context, '--port', '0');
  await until('the hypervisors to start', () => program.output().includes('hypervisors'), 30_000, 10);
  program.child.kill('SIGTERM');
  expect(await program.ended, program.output()).toBe(143);
}, 60_000);

test('wrong usage is told apart from a failure', async (context) => {
  const program = await startSandbox(context, '--hypervisors', '9');
  expect(await program.ended).toBe(2);
  expect(program.output()).toContain('--hypervisors 9');
});
