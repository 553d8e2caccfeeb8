import { spawn } from 'node:child_process';
import { openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { controllerFlags } from '../node24.mjs';
import type { ControllerFacts, ControllerSettings } from './operations.ts';

/** What the controller's process tells the one that started it. */
export type ControllerMessage = { ready: ControllerFacts } | { failed: string };

export type ControllerProcess = {
  facts: ControllerFacts;
  running(): boolean;
  /** Resolves with how it ended. */
  ended: Promise<string>;
  /** Resolves when it is gone. */
  stop(signal: NodeJS.Signals): Promise<void>;
};

const own = fileURLToPath(new URL('../..', import.meta.url));

/** The program to start, of this version or of another one whose tree is elsewhere. */
const entryOf = (source: string): string => join(source, 'src/sandbox/controller-main.ts');

/** Starts the controller in a process of its own, so that it can die without the sandbox. @throws Error with the end of its log. */
export function startControllerProcess(settings: ControllerSettings, log: string): Promise<ControllerProcess> {
  const output = openSync(log, 'a', 0o600);
  const { source = own, ...rest } = settings;
  const command = [process.execPath, ...controllerFlags, entryOf(source), JSON.stringify(rest)];
  const args = ['--pdeathsig', 'KILL', '--', ...command];
  const child = spawn('setpriv', args, { stdio: ['ignore', output, output, 'ipc'] });
  const ended = new Promise<string>((resolve) => {
    child.once('exit', (code, signal) => resolve(signal === null ? `exit status ${code}` : `signal ${signal}`));
  });
  return new Promise((resolve, reject) => {
    const fail = (why: string): void => {
      reject(
        new Error(
          `the controller did not start: ${why}\n${readFileSync(log, 'utf8').trim().split('\n').slice(-12).join('\n')}`,
        ),
      );
    };
    child.once('error', (error) => fail(error.message));
    child.once('message', (message: ControllerMessage) => {
      if ('failed' in message) return fail(message.failed);
      resolve({
        facts: message.ready,
        ended,
        running: () => child.exitCode === null && child.signalCode === null,
        async stop(signal) {
          if (child.exitCode === null && child.signalCode === null) child.kill(signal);
          await ended;
        },
      });
    });
    void ended.then((how) => fail(`it ended with ${how}`));
  });
}
