/**
 * How long the short answers of the CLI take, against Node doing nothing: `node bench/cli-start.ts`.
 * Prints one line of JSON per command: milliseconds (median of the runs) and the ratio to `node -e 0`.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const runs = 15;
const program = fileURLToPath(new URL('../src/keyway.mjs', import.meta.url));

/** The command line every ratio is against. */
export const baseline = ['-e', '0'];

export const commandLines: Record<string, string[]> = {
  '--help': [program, '--help'],
  'port create --help': [program, 'port', 'create', '--help'],
  'completion of flags': [program, '__complete', '--', 'port', 'create', '--'],
  'completion of names, nobody there': [program, '__complete', '--', 'port', 'get', ''],
};

/** Milliseconds of each run of Node, sorted. Throws when one fails. */
export function times(args: readonly string[], count = runs): number[] {
  const taken: number[] = [];
  for (let i = 0; i <= count; i++) {
    const start = performance.now();
    const { status, stderr } = spawnSync(process.execPath, args, {
      env: { ...process.env, KEYWAY_URL: 'http://127.0.0.1:9', KEYWAY_PROFILE: '', XDG_CONFIG_HOME: '/nonexistent' },
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(`${args.join(' ')}: exit ${status}: ${stderr}`);
    // The first run fills the compile cache.
    if (i > 0) taken.push(performance.now() - start);
  }
  return taken.sort((a, b) => a - b);
}

function report(command: string, milliseconds: number, nothing: number): void {
  const ratio = Number((milliseconds / nothing).toFixed(2));
  console.log(JSON.stringify({ command, milliseconds: Math.round(milliseconds), ratio }));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const median = (args: readonly string[]) => times(args)[runs >> 1]!;
  const nothing = median(baseline);
  report('node -e 0', nothing, nothing);
  for (const [command, args] of Object.entries(commandLines)) report(command, median(args), nothing);
}
