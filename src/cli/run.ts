/** The CLI: from the words of a command line to an exit status. */
import { parseArguments, requireAll } from './arguments.ts';
import { type Command, type Flag, globalFlags } from './command.ts';
import { commandsOf, findCommand, findGroup } from './commands/index.ts';
import { helpFor, helpStyle, unknownCommand, unknownVerb } from './help.ts';
import type { Io } from './io.ts';
import { report } from './report.ts';
import { Session } from './session.ts';

/** How many of the words a flag before a command takes: 0 when it is none of those taken there. */
function globalFlagLength(words: readonly string[]): number {
  const word = words[0] ?? '';
  if (!word.startsWith('-') || word === '-' || word === '--') return 0;
  const [name = ''] = word.split('=');
  const flag = globalFlags.find(
    (one: Flag) =>
      name === `--${one.name}` || (one.short && word.startsWith(`-${one.short}`) && !word.startsWith('--')),
  );
  if (!flag) return 0;
  const inline = word.startsWith('--') ? word.includes('=') : word.length > 2;
  return flag.type === 'value' && !inline ? 2 : 1;
}

export type Found = {
  /** The command, or the words that lead to several. */
  command: Command | undefined;
  words: string[];
  /** Flags before the command and everything after it. */
  rest: string[];
};

/** Finds the command the words begin with; flags that every command takes may stand before. @throws UsageError */
export function locate(argv: readonly string[]): Found {
  const before: string[] = [];
  const words: string[] = [];
  let rest = [...argv];
  const skip = () => {
    for (let n = globalFlagLength(rest); n > 0; n = globalFlagLength(rest)) before.push(...rest.splice(0, n));
  };
  skip();
  const first = rest[0];
  if (first === undefined || first.startsWith('-')) return { command: undefined, words, rest: [...before, ...rest] };
  const group = findGroup(first);
  if (!group) throw unknownCommand(first);
  words.push(group.word);
  rest.shift();
  const single = findCommand(words);
  if (single) return { command: single, words, rest: [...before, ...rest] };
  skip();
  const second = rest[0];
  if (second === undefined || second.startsWith('-')) return { command: undefined, words, rest: [...before, ...rest] };
  const command = commandsOf(group.word).find((one) => one.words[1] === second);
  if (!command) throw unknownVerb(group, second);
  rest = rest.slice(1);
  return { command, words: [...command.words], rest: [...before, ...rest] };
}

function asksHelp(rest: readonly string[]): boolean {
  const end = rest.indexOf('--');
  return (end < 0 ? rest : rest.slice(0, end)).some((word) => word === '--help' || word === '-h');
}

async function dispatch(argv: readonly string[], io: Io): Promise<number> {
  if (argv[0] === '__complete') {
    const { answerCompletion } = await import('./complete.ts');
    return answerCompletion(argv.slice(1), io);
  }
  const { command, words, rest } = locate(argv);
  if (!command || asksHelp(rest)) {
    const stray = command ? undefined : rest.find((word) => word.startsWith('-') && word !== '--help' && word !== '-h');
    if (stray !== undefined && globalFlagLength([stray]) === 0) parseArguments({ ...emptyCommand, words }, [stray]);
    io.stdout.write(helpFor(words, helpStyle(io, io.stdout)));
    return 0;
  }
  const args = parseArguments(command, rest);
  requireAll(command, args);
  const session = new Session(io, args);
  try {
    const handler = await command.load();
    return await handler({ io, args, session, command });
  } finally {
    await session.close();
  }
}

const emptyCommand: Command = {
  words: [],
  summary: '',
  positionals: [],
  flags: [],
  shared: ['output', 'timeout', 'connection'],
  examples: [],
  load: () => Promise.reject(new Error('nothing to run')),
};

const watched = new WeakMap<object, AbortController>();

/** Ends what goes on for ever once nobody reads any more (`keyway events | head`). One listener per stream stays for good: EPIPE may come after the last write. */
function endWithReader(io: Io): Io {
  const stream = io.stdout as Partial<NodeJS.WritableStream>;
  if (typeof stream.on !== 'function') return io;
  let ended = watched.get(stream);
  if (!ended) {
    const controller = new AbortController();
    ended = controller;
    watched.set(stream, ended);
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
      controller.abort();
    });
  }
  return { ...io, signal: io.signal ? AbortSignal.any([io.signal, ended.signal]) : ended.signal };
}

/**
 * Runs one command line (without the program's own name) and returns its exit status, one of `exitCodes`.
 * Nothing is thrown: what goes wrong is told on standard error.
 */
export async function runCli(argv: readonly string[], io: Io): Promise<number> {
  const own = endWithReader(io);
  try {
    return await dispatch(argv, own);
  } catch (error) {
    return report(own, error);
  }
}
