import { execFile } from 'node:child_process';

export type RunOptions = {
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  /** Written to standard input, which is then closed. */
  input?: string | Uint8Array;
  /** Milliseconds until the program is killed; 30,000 unless told. */
  timeout?: number;
  signal?: AbortSignal;
};

export type Outcome = {
  /** Exit status; -1 when a signal ended it or it could not start. */ status: number;
  stdout: string;
  stderr: string;
};

/** Runs a program and tells how it went, whatever its exit status. */
export function attempt(program: string, args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  const { input = '', ...rest } = options;
  return new Promise((resolve) => {
    const child = execFile(
      program,
      args,
      { timeout: 30_000, killSignal: 'SIGKILL', maxBuffer: 256 << 20, encoding: 'utf8', ...rest },
      (error, stdout, stderr) => {
        if (!error) return resolve({ status: 0, stdout, stderr });
        const status = typeof error.code === 'number' ? error.code : -1;
        const why = status === -1 ? `${stderr}${error.message}` : stderr;
        resolve({ status, stdout, stderr: why });
      },
    );
    // A program that ends without reading its input is judged by its exit status, not by our broken pipe.
    child.stdin?.on('error', () => {});
    child.stdin?.end(input);
  });
}

/** Runs a program and returns its standard output. @throws Error with the command line and what it wrote to standard error. */
export async function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { status, stdout, stderr } = await attempt(program, args, options);
  if (status !== 0)
    throw new Error(`${[program, ...args].join(' ')}: ${(stderr || stdout).trim() || `exit ${status}`}`);
  return stdout;
}
