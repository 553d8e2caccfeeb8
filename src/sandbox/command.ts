import { parseArgs } from 'node:util';
import { runSandbox } from './sandbox.ts';

/** `keyway sandbox [--once] [--port PORT] [--hypervisors N]`. @returns exit status; 2 for wrong usage */
export async function sandboxCommand(words: readonly string[]): Promise<number> {
  let options: { once?: boolean; port?: string; hypervisors?: string };
  try {
    options = parseArgs({
      args: [...words],
      options: { once: { type: 'boolean' }, port: { type: 'string' }, hypervisors: { type: 'string' } },
    }).values;
  } catch (error) {
    return wrong((error as Error).message);
  }
  const port = number(options.port ?? '8080', 0, 65_535);
  if (port === undefined) return wrong(`--port ${options.port}: a port from 0 (any) to 65535`);
  const hypervisors = number(options.hypervisors ?? '2', 1, 4);
  if (hypervisors === undefined) return wrong(`--hypervisors ${options.hypervisors}: from 1 to 4`);
  return runSandbox({ once: options.once ?? false, port, hypervisors });
}

function number(text: string, least: number, most: number): number | undefined {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  return value >= least && value <= most ? value : undefined;
}

function wrong(what: string): number {
  console.error(`keyway sandbox: ${what}\nTry: keyway sandbox --help`);
  return 2;
}
