/** Runs command lines in this process and keeps what they print. */
import { Readable } from 'node:stream';
import type { Io } from '../../src/cli/io.ts';
import { runCli } from '../../src/cli/run.ts';

export type Ran = { status: number; stdout: string; stderr: string };

export type RunOptions = {
  env?: Record<string, string | undefined>;
  stdin?: string;
  signal?: AbortSignal;
  /** Width of the terminal standard output is to be. */
  columns?: number;
  /** Called with all of standard output whenever there is more. */
  onOutput?: (soFar: string) => void;
};

/** No settings of the machine reach a test. */
export const bareEnv = { HOME: '/nonexistent', XDG_CONFIG_HOME: '/nonexistent', XDG_STATE_HOME: '/nonexistent' };

export async function cli(argv: readonly string[], options: RunOptions = {}): Promise<Ran> {
  let stdout = '';
  let stderr = '';
  const io: Io = {
    stdout: {
      write: (text) => {
        stdout += text;
        options.onOutput?.(stdout);
      },
      ...(options.columns === undefined ? {} : { isTTY: true, columns: options.columns }),
    },
    stderr: {
      write: (text) => {
        stderr += text;
      },
    },
    stdin: Readable.from(options.stdin === undefined ? [] : [options.stdin]),
    env: { ...bareEnv, ...options.env },
    ...(options.signal ? { signal: options.signal } : {}),
  };
  const status = await runCli(argv, io);
  return { status, stdout, stderr };
}
