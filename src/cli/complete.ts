/** Completion of command lines, for the shells and for `keyway shell`. */
import { type Command, type Flag, flagsOf, globalFlags, type Source } from './command.ts';
import { commands, commandsOf, findCommand, findGroup, groups } from './commands/index.ts';
import type { Io } from './io.ts';
import { LiveNames, levels } from './live-names.ts';
import { findKind, type KindModel, kindModel } from './model.ts';
import { resolve } from './names.ts';
import { splitLine } from './shell-words.ts';

/** A value that ends in `/` or `=` is to be continued. */
export type Candidate = { value: string; description?: string };

type Line = {
  command: Command;
  /** Flags given before the word under the cursor. */
  given: Map<string, string[]>;
  positionals: string[];
  /** Flag whose value the word under the cursor is. */
  pending: Flag | undefined;
};

function flagNamed(flags: readonly Flag[], word: string): Flag | undefined {
  const name = word.replace(/^--?/, '');
  if (!word.startsWith('--')) return flags.find((flag) => flag.short === name);
  return flags.find((flag) => flag.name === name || flag.aliases?.includes(name));
}

/** Takes the words before the cursor apart, forgiving what is wrong in them. */
function read(flags: readonly Flag[], words: readonly string[]): Omit<Line, 'command'> {
  const given = new Map<string, string[]>();
  const positionals: string[] = [];
  let pending: Flag | undefined;
  for (const word of words) {
    if (pending) {
      given.set(pending.name, [...(given.get(pending.name) ?? []), word]);
      pending = undefined;
      continue;
    }
    if (!word.startsWith('-') || word === '-') {
      positionals.push(word);
      continue;
    }
    const at = word.indexOf('=');
    const flag = flagNamed(flags, at < 0 ? word : word.slice(0, at));
    if (!flag) continue;
    if (at < 0 && flag.type === 'value') pending = flag;
    else given.set(flag.name, [...(given.get(flag.name) ?? []), at < 0 ? 'true' : word.slice(at + 1)]);
  }
  return { given, positionals, pending };
}

function flagCandidates(flags: readonly Flag[], given: ReadonlyMap<string, unknown>): Candidate[] {
  return flags
    .filter((flag) => flag.many || !given.has(flag.name))
    .map((flag) => ({ value: `--${flag.name}`, description: flag.description }));
}

class Completer {
  readonly #live: LiveNames;
  readonly #io: Io;
  readonly #line: Line;

  constructor(io: Io, line: Line) {
    this.#io = io;
    this.#line = line;
    this.#live = new LiveNames(io, line.given);
  }

  close(): Promise<void> {
    return this.#live.close();
  }

  /** Parents given by flags, else by defaults, outermost first, up to the first that is not known. */
  async #known(kind: KindModel): Promise<string[]> {
    const defaults = await this.#live.defaults();
    const known: string[] = [];
    for (const parent of kind.parents) {
      const name = this.#line.given.get(parent)?.at(-1) ?? defaults.get(parent);
      if (name === undefined) break;
      known.push(name);
    }
    return known;
  }

  /** Paths: written from the outermost parent, or from where the known parents end. */
  async #paths(kind: KindModel, word: string): Promise<Candidate[]> {
    const all = levels(kind);
    const written = word.split('/').slice(0, -1);
    const known = await this.#known(kind);
    const found: Candidate[] = [];
    for (let start = 0; start <= known.length && start + written.length < all.length; start++) {
      const level = all[start + written.length]!;
      const names = await this.#live.names(level, [...known.slice(0, start), ...written]);
      const last = level === kind;
      found.push(
        ...names.map((name) => ({
          value: `${[...written, name].join('/')}${last ? '' : '/'}`,
          description: level.kind,
        })),
      );
    }
    return found;
  }

  /** Plain names of a kind, among what the line speaks of. */
  async #names(kindName: string): Promise<Candidate[]> {
    if (kindName === 'token') return (await this.#live.tokenIds()).map((value) => ({ value }));
    const kind = kindModel(kindName);
    const { command, positionals, given } = this.#line;
    const own = findKind(command.words[0] ?? '');
    let parents = await this.#known(kind);
    if (own && kind.parents.length > 0 && positionals[0] !== undefined) {
      try {
        const flags = (parent: string) => given.get(parent)?.at(-1);
        parents = resolve(own, positionals[0], flags, await this.#live.defaults()).names;
      } catch {
        // The line does not say where yet.
      }
    }
    return (await this.#live.names(kind, parents.slice(0, kind.parents.length))).map((value) => ({ value }));
  }

  async #profiles(): Promise<Candidate[]> {
    const { readProfiles } = await import('./profiles.ts');
    try {
      return Object.keys((await readProfiles(this.#io)).profiles).map((value) => ({ value }));
    } catch {
      // A broken configuration file is told by the commands that need it, not in the middle of a line.
      return [];
    }
  }

  async fromSource(source: Source | undefined, word: string): Promise<Candidate[]> {
    if (source === undefined || source === 'files') return [];
    if (source === 'profiles') return this.#profiles();
    if (source === 'commands') return commandWords(this.#line.positionals);
    if ('path' in source) return this.#paths(kindModel(source.path), word);
    if ('parent' in source) {
      const parent = kindModel(source.parent).parents.at(-1);
      return parent === undefined ? [] : this.#paths(kindModel(parent), word);
    }
    if ('suggestions' in source) return source.suggestions.map((value) => ({ value }));
    if ('names' in source) return this.#names(source.names);
    const open = source.members.find((one) => one.name.endsWith(':') && one.names && word.startsWith(one.name));
    if (open?.names) return (await this.#names(open.names)).map(({ value }) => ({ value: open.name + value }));
    const at = word.indexOf('=');
    if (at < 0) {
      return source.members.map((member) => ({
        value: member.bare || member.name.endsWith(':') ? member.name : `${member.name}=`,
      }));
    }
    const member = source.members.find((one) => one.name === word.slice(0, at));
    const values = member?.names ? await this.#names(member.names) : (member?.values ?? []).map((value) => ({ value }));
    return values.map(({ value }) => ({ value: `${word.slice(0, at + 1)}${value}` }));
  }

  /** Values of a flag; of several separated by commas, the last. */
  async ofFlag(flag: Flag, word: string): Promise<Candidate[]> {
    const comma =
      flag.many && !(typeof flag.complete === 'object' && 'members' in flag.complete) ? word.lastIndexOf(',') + 1 : 0;
    const before = word.slice(0, comma);
    const candidates: Candidate[] = flag.values
      ? flag.values.map((value) => ({ value }))
      : await this.fromSource(flag.complete, word.slice(comma));
    return candidates.map(({ value, ...rest }) => ({ value: before + value, ...rest }));
  }
}

function commandWords(before: readonly string[]): Candidate[] {
  const group = before[0] === undefined ? undefined : findGroup(before[0]);
  if (before.length === 0) return groups.map(({ word, summary }) => ({ value: word, description: summary }));
  if (!group || before.length > 1) return [];
  return commandsOf(group.word).flatMap((command) =>
    command.words[1] === undefined ? [] : [{ value: command.words[1], description: command.summary }],
  );
}

async function candidates(words: readonly string[], io: Io): Promise<Candidate[]> {
  const before = words.slice(0, -1);
  const word = words.at(-1) ?? '';
  const outer = read(globalFlags, before);
  const first = outer.positionals[0];
  const group = first === undefined ? undefined : findGroup(first);
  const single = group && findCommand([group.word]);
  const verb = outer.positionals[1];
  const command = single ?? (group && verb !== undefined ? findCommand([group.word, verb]) : undefined);
  const line: Line = command
    ? { command, ...read([...flagsOf(command), ...globalFlags], before) }
    : { command: commands[0]!, ...outer };
  if (command) line.positionals.splice(0, command.words.length);
  const completer = new Completer(io, line);
  try {
    const flags = command ? flagsOf(command) : globalFlags;
    if (line.pending) return await completer.ofFlag(line.pending, word);
    const inline = /^(--[^=]+)=(.*)$/s.exec(word);
    const flag = inline && flagNamed(flags, inline[1]!);
    if (inline && flag) {
      const values = await completer.ofFlag(flag, inline[2]!);
      return values.map(({ value, ...rest }) => ({ value: `${inline[1]}=${value}`, ...rest }));
    }
    if (word.startsWith('-')) return flagCandidates(flags, line.given);
    if (!command) return commandWords(outer.positionals);
    const place = Math.min(line.positionals.length, command.positionals.length - 1);
    const positional = command.positionals[place];
    if (!positional || (line.positionals.length > place && !positional.many)) return flagCandidates(flags, line.given);
    if (positional.values) return positional.values.map((value) => ({ value }));
    return await completer.fromSource(positional.complete, word);
  } finally {
    await completer.close();
  }
}

/** What the last word can become; the words before it are complete. The program's name is not among them. */
export async function complete(words: readonly string[], io: Io): Promise<Candidate[]> {
  const word = words.at(-1) ?? '';
  const seen = new Set<string>();
  return (await candidates(words, io)).filter(({ value }) => {
    if (!value.startsWith(word) || seen.has(value)) return false;
    seen.add(value);
    return true;
  });
}

/**
 * `__complete -- WORD…` or `__complete --line LINE`: a candidate on each line, its description after a tab.
 * Silent when there is nothing to offer, whatever the reason.
 */
export async function answerCompletion(args: readonly string[], io: Io): Promise<number> {
  let words: string[];
  if (args[0] === '--line') {
    const split = splitLine(args[1] ?? '');
    words = split.words.slice(1);
    if (!split.open) words.push('');
  } else words = args[0] === '--' ? args.slice(1) : [...args];
  const found = await complete(words, io);
  io.stdout.write(
    found
      .map(({ value, description }) => `${value}${description ? `\t${description.replace(/\s+/g, ' ')}` : ''}\n`)
      .join(''),
  );
  return 0;
}
