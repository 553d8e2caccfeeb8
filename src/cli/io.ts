/** What a run of the CLI touches of the world, so that tests and the shell can give their own. */

export type Output = {
  write(text: string): unknown;
  isTTY?: boolean;
  /** Width in characters, on a terminal. */
  columns?: number;
};

export type Io = {
  stdout: Output;
  stderr: Output;
  stdin: NodeJS.ReadableStream & { isTTY?: boolean };
  env: Record<string, string | undefined>;
  /** Ends what would go on for ever (`--watch`, `events`). */
  signal?: AbortSignal;
};

/** The streams and environment of this process. */
export function processIo(): Io {
  return { stdout: process.stdout, stderr: process.stderr, stdin: process.stdin, env: process.env };
}
