/** `keyway shell`: commands one after another, with completion, history and a place to stand in. */
import { appendFile, chmod, mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import type { Handler } from './command.ts';
import { complete } from './complete.ts';
import { UsageError } from './errors.ts';
import type { Io } from './io.ts';
import { model } from './model.ts';
import { type Defaults, defaultVariable } from './names.ts';
import { historyFile, parentKinds, readIfThere } from './profiles.ts';
import { report } from './report.ts';
import { runCli } from './run.ts';
import { splitLine } from './shell-words.ts';
import { paintFor, safe } from './style.ts';

const historySize = 1000;

/** A kind that lives in all others that something lives in. */
const innermost = model.kinds.find((kind) => kind.parents.length === parentKinds.length)?.kind ?? '';

const words = [
  { value: 'use', description: 'Tenant and network that are meant from here on: use acme/shop' },
  { value: 'exit', description: 'Leave' },
];

/** Where the shell stands: environment of every command typed. */
class Place {
  readonly #io: Io;
  #names: string[];
  #env: Io['env'];

  constructor(io: Io, defaults: Defaults) {
    this.#io = io;
    this.#env = { ...io.env };
    this.#names = [];
    for (const kind of parentKinds) {
      const name = defaults.get(kind);
      if (name === undefined) break;
      this.#names.push(name);
    }
  }

  get text(): string {
    return this.#names.join('/');
  }

  /** @throws UsageError */
  use(path: string | undefined): void {
    const names = path === undefined || path === '/' ? [] : path.replace(/^\/|\/$/g, '').split('/');
    if (names.length > parentKinds.length || names.some((name) => !/^[a-z0-9-]+$/.test(name))) {
      throw new UsageError(
        `use ${path}: no place`,
        `Write it as ${parentKinds.map((kind) => kind.toUpperCase()).join('/')}`,
      );
    }
    this.#names = names;
    this.#env = { ...this.#env };
    // Empty, not missing: the profile's defaults stay out when nothing is meant.
    parentKinds.forEach((kind, i) => {
      this.#env[defaultVariable(kind)] = names[i] ?? '';
    });
  }

  /** As if nothing were meant. */
  outside(): Io {
    const nowhere = Object.fromEntries(parentKinds.map((kind) => [defaultVariable(kind), '']));
    return { ...this.#io, env: { ...this.#env, ...nowhere } };
  }

  io(signal?: AbortSignal): Io {
    return { ...this.#io, env: this.#env, ...(signal ? { signal } : {}) };
  }
}

/** Flags the shell was started with go to every command that takes them. */
function inherited(io: Io, values: (name: string) => string | undefined): Io {
  const env = { ...io.env };
  const url = values('url');
  const file = values('token-file');
  const profile = values('profile');
  if (profile !== undefined) env.KEYWAY_PROFILE = profile;
  if (url !== undefined) env.KEYWAY_URL = url;
  if (file !== undefined) {
    delete env.KEYWAY_TOKEN;
    env.KEYWAY_TOKEN_FILE = file;
  }
  return { ...io, env };
}

async function readHistory(path: string): Promise<string[]> {
  const text = (await readIfThere(path)) ?? '';
  return text.split('\n').filter(Boolean).slice(-historySize).reverse();
}

async function remember(path: string, line: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await appendFile(path, `${line}\n`, { mode: 0o600 });
  await chmod(path, 0o600);
}

async function candidatesFor(line: string, place: Place): Promise<[string[], string]> {
  const split = splitLine(line);
  const all = split.open ? split.words : [...split.words, ''];
  const last = all.at(-1) ?? '';
  // `use` takes what a list of an innermost kind takes, from the outermost name on.
  const found =
    all[0] === 'use' && all.length > 1
      ? await complete([innermost, 'list', last], place.outside())
      : await complete(all, place.io());
  const own = all.length === 1 ? words.map(({ value }) => value).filter((value) => value.startsWith(last)) : [];
  const values = [...own, ...found.map(({ value }) => (/[/=:]$/.test(value) ? value : `${value} `))];
  return [values, last];
}

/** Runs one line and returns its exit status; undefined when it asks to leave. */
async function runLine(line: string, place: Place, signal: AbortSignal): Promise<number | undefined> {
  const io = place.io(signal);
  const { words: argv, quote } = splitLine(line);
  try {
    if (quote) throw new UsageError(`The quote ${quote} is not closed`);
    if (argv[0] === 'keyway') argv.shift();
    const [first, second] = argv;
    if (first === undefined || first.startsWith('#')) return 0;
    if (first === 'exit' || first === 'quit') return undefined;
    if (first === 'use') place.use(second);
    else if (first === 'shell') throw new UsageError('This is the shell');
    else return await runCli(argv, io);
    return 0;
  } catch (error) {
    return report(io, error);
  }
}

export const shell: Handler = async ({ io, args, session }) => {
  const own = inherited(io, (name) => args.value(name));
  const { defaults } = await session.settings();
  const place = new Place(own, defaults);
  const paint = paintFor(own, own.stdout);
  const terminal = own.stdin.isTTY === true && own.stdout.isTTY === true;
  const file = historyFile(own);
  let running: AbortController | undefined;
  let status = 0;
  let left = false;
  const readline: Interface = createInterface({
    input: own.stdin,
    output: terminal ? (own.stdout as NodeJS.WriteStream) : undefined,
    terminal,
    historySize,
    history: terminal ? await readHistory(file) : [],
    removeHistoryDuplicates: true,
    completer: (line: string, done: (error: Error | null, result: [string[], string]) => void) => {
      candidatesFor(line, place).then(
        (result) => done(null, result),
        // A completion that fails must not take the line with it.
        () => done(null, [[], line]),
      );
    },
  });
  if (terminal) own.stdout.write('Type help for the commands there are, Tab to complete, exit to leave.\n');
  const prompt = () => {
    const at = place.text === '' ? '' : ` ${paint('cyan', safe(place.text))}`;
    readline.setPrompt(`keyway${at}> `);
    if (terminal) readline.prompt();
  };
  readline.on('SIGINT', () => {
    if (running) running.abort();
    else {
      own.stdout.write('\n');
      prompt();
    }
  });
  prompt();
  for await (const line of readline) {
    if (terminal && line.trim() !== '') await remember(file, line);
    running = new AbortController();
    const done = await runLine(line, place, running.signal);
    running = undefined;
    if (done === undefined) {
      left = true;
      break;
    }
    status = done;
    prompt();
  }
  readline.close();
  if (terminal && !left) own.stdout.write('\n');
  // Of a script, the status of its last command, as a shell has it.
  return terminal ? 0 : status;
};
