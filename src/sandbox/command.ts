/** `keyway sandbox`: its flags, then the show. */
import { parseArgs } from 'node:util';
import { runSandbox } from './sandbox.ts';

/** @returns exit status: 0 when every probe went as expected, 2 on wrong usage */
export async function sandboxCommand(words: readonly string[]): Promise<number> {
  let values: { once?: boolean; port?: string; hypervisors?: string };
  try {
    const options = { once: { type: 'boolean' }, port: { type: 'string' }, hypervisors: { type: 'string' } } as const;
    ({ values } = parseArgs({ args: [...words], options }));
  } catch (error) {
    return usage((error as Error).message);
  }
  const port = number(values.port, 1, 65_535);
  const hypervisors = number(values.hypervisors, 2, 4);
  if (port === null) return usage('--port is a number from 1 to 65535');
  if (hypervisors === null) return usage('--hypervisors is a number from 2 to 4');
  return runSandbox({
    once: values.once ?? false,
    ...(port === undefined ? {} : { port }),
    ...(hypervisors === undefined ? {} : { hypervisors }),
  });
}

/** undefined: not given; null: not a number in the range. */
function number(text: string | undefined, low: number, high: number): number | undefined | null {
  if (text === undefined) return undefined;
  const value = Number(text);
  return Number.isInteger(value) && value >= low && value <= high ? value : null;
}

function usage(message: string): number {
  console.error(`keyway sandbox: ${message}\nTry: keyway sandbox --help`);
  return 2;
}
