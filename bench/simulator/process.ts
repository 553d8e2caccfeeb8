/** The simulated hypervisors of a benchmark, in a process of their own. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { CloudShape } from '../support/shape.ts';

export type SimulatorSettings = { shape: CloudShape; spare: number; manager: string };
export type SimulatorRequest = 'start' | 'stats';
export type SimulatorAnswer = {
  /** Of each hypervisor. */
  flows: number[];
  /** On all switches, those that serve flows. */
  meters: number;
  /** Since the start, of all. */
  interfaces: number;
  bundles: number;
  flowMods: number;
  /** Messages answered with an error: what the simulator does not know. */
  refused: number;
};

export type Simulator = AsyncDisposable & {
  pid: number;
  /** From now on the hypervisors call their manager. */
  start(): Promise<void>;
  stats(): Promise<SimulatorAnswer>;
};

const entry = fileURLToPath(new URL('./main.ts', import.meta.url));

export async function startSimulator(settings: SimulatorSettings): Promise<Simulator> {
  const args = ['--pdeathsig', 'KILL', '--', process.execPath, entry, JSON.stringify(settings)];
  const child = spawn('setpriv', args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const answer = (): Promise<SimulatorAnswer> =>
    new Promise((resolve, reject) => {
      const gone = (): void => reject(new Error('the simulator has ended'));
      child.once('exit', gone);
      child.once('message', (message) => {
        child.off('exit', gone);
        resolve(message as SimulatorAnswer);
      });
    });
  const ask = (request: SimulatorRequest): Promise<SimulatorAnswer> => {
    const answered = answer();
    child.send(request);
    return answered;
  };
  await answer();
  return {
    pid: child.pid!,
    async start() {
      await ask('start');
    },
    stats: () => ask('stats'),
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
      await ended;
    },
  };
}
