/** Keyway's controller in a process of its own, so that its memory and processor time are its own and it can be killed. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { controllerFlags } from '../../src/node24.mjs';
import { ephemeralDirectory } from '../../src/sandbox/ephemeral.ts';
import { cacheDirectory } from '../../src/sandbox/open-vswitch/cache-directory.ts';
import { ApiClient } from './api-client.ts';

/** The same over a restart, as a controller's are: hypervisors come back to where they were. */
export type ControllerPorts = { api: number; ovsdb: number; openflow: number };

export type ControllerSettings = { dataDir: string; ports: ControllerPorts; logLevel: 'error' | 'warn' | 'info' };

export type ControllerFacts = { url: string; manager: string; tokenFile: string };

export type ControllerProcess = AsyncDisposable & {
  /** As ovs-vsctl set-manager takes it. */
  manager: string;
  api: ApiClient;
  pid(): number;
  /** Resolves when it is gone. */
  kill(signal: NodeJS.Signals): Promise<void>;
  /** After `kill`: on the same data and the same ports. Resolves when its API listens. */
  start(): Promise<void>;
};

const entry = fileURLToPath(new URL('./controller-main.ts', import.meta.url));

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() =>
        typeof address === 'object' && address ? resolve(address.port) : reject(new Error('no port')),
      );
    });
  });
}

/**
 * KEYWAY_BENCH_PROFILE=DIRECTORY writes a processor profile of each of its threads there when it is stopped (not when it
 * is killed); KEYWAY_BENCH_FLAGS are options of Node for the controller alone.
 */
function launch(settings: ControllerSettings): Promise<{ child: ChildProcess; facts: ControllerFacts }> {
  const profile = process.env.KEYWAY_BENCH_PROFILE;
  const flags = [
    ...controllerFlags,
    ...(process.env.KEYWAY_BENCH_FLAGS ?? '').split(' ').filter((flag) => flag !== ''),
  ];
  if (profile !== undefined) flags.push('--cpu-prof', `--cpu-prof-dir=${profile}`);
  const args = ['--pdeathsig', 'KILL', '--', process.execPath, ...flags, entry, JSON.stringify(settings)];
  // As src/keyway.mjs has it.
  const env = {
    ...process.env,
    NODE_COMPILE_CACHE: process.env.NODE_COMPILE_CACHE ?? join(cacheDirectory(), 'compile'),
  };
  const child = spawn('setpriv', args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'], env });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => reject(new Error(`the controller ended: ${signal ?? `exit status ${code}`}`)));
    child.once('message', (facts) => resolve({ child, facts: facts as ControllerFacts }));
  });
}

export async function startControllerProcess(
  logLevel: ControllerSettings['logLevel'] = 'error',
): Promise<ControllerProcess> {
  const files = ephemeralDirectory('keyway-bench-');
  const ports = { api: await freePort(), ovsdb: await freePort(), openflow: await freePort() };
  const settings: ControllerSettings = { dataDir: files.path, ports, logLevel };
  let { child, facts } = await launch(settings);
  const api = new ApiClient(facts.url, readFileSync(facts.tokenFile, 'utf8').trim());
  const kill = async (signal: NodeJS.Signals): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await ended;
  };
  return {
    manager: facts.manager,
    api,
    pid: () => child.pid!,
    kill,
    async start() {
      ({ child, facts } = await launch(settings));
    },
    async [Symbol.asyncDispose]() {
      api.close();
      await kill('SIGTERM');
      await files[Symbol.asyncDispose]();
    },
  };
}
