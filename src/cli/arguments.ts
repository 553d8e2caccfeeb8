/** The words after a command, taken apart by its flags. */
import { parseArgs } from 'node:util';
import { type Command, type Flag, flagsOf } from './command.ts';
import { UsageError } from './errors.ts';
import { didYouMean } from './suggest.ts';

export class Arguments {
  readonly positionals: readonly string[];
  readonly #values: ReadonlyMap<string, readonly string[]>;

  constructor(positionals: readonly string[], values: ReadonlyMap<string, readonly string[]>) {
    this.positionals = positionals;
    this.#values = values;
  }

  /** Whether the flag was given. */
  has(name: string): boolean {
    return this.#values.has(name);
  }

  /** The value given, the last one when repeated. */
  value(name: string): string | undefined {
    return this.#values.get(name)?.at(-1);
  }

  /** All values given. */
  all(name: string): readonly string[] {
    return this.#values.get(name) ?? [];
  }
}

const durationExpression = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/;

/** Milliseconds of `500ms`, `10s`, `2m`, `1h`, `30d` or plain seconds. @throws UsageError */
export function milliseconds(text: string, flag: string): number {
  const found = durationExpression.exec(text);
  if (!found) throw new UsageError(`${flag} ${text}: not a time`, `Write it as 500ms, 10s, 2m, 1h or 30d.`);
  const unit = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }[found[2] ?? 's'] ?? 1000;
  return Math.round(Number(found[1]) * unit);
}

function dashed(flag: Flag): string {
  return `--${flag.name}`;
}

/** Takes apart what follows the words of a command. @throws UsageError naming the flag and the nearest one there is. */
export function parseArguments(command: Command, rest: readonly string[]): Arguments {
  const flags = flagsOf(command);
  const byName = new Map<string, Flag>();
  const options: Record<string, { type: 'string' | 'boolean'; short?: string; multiple: true }> = {};
  for (const flag of flags) {
    for (const name of [flag.name, ...(flag.aliases ?? [])]) {
      byName.set(name, flag);
      options[name] = { type: flag.type === 'value' ? 'string' : 'boolean', multiple: true };
    }
    if (flag.short) options[flag.name]!.short = flag.short;
  }
  const name = `keyway ${command.words.join(' ')}`;
  const { tokens } = parseArgs({ args: [...rest], options, strict: false, allowPositionals: true, tokens: true });
  const values = new Map<string, string[]>();
  const positionals: string[] = [];
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value);
    if (token.kind !== 'option') continue;
    const flag = byName.get(token.name);
    if (!flag) {
      const names = flags.map(dashed);
      throw new UsageError(
        `${name} has no flag ${token.rawName}.${didYouMean(`--${token.name}`, names)}`,
        `The flags there are: ${name} --help`,
      );
    }
    let value: string;
    if (flag.type === 'value') {
      if (token.value === undefined || (token.value.startsWith('--') && !token.inlineValue)) {
        throw new UsageError(`${dashed(flag)} needs a value: ${dashed(flag)} ${flag.placeholder ?? 'VALUE'}`);
      }
      value = token.value;
    } else if (flag.type === 'switch') {
      if (token.value !== undefined) throw new UsageError(`${dashed(flag)} takes no value, but got ${token.value}`);
      value = 'true';
    } else {
      value = token.value ?? flag.values?.[0] ?? 'true';
    }
    // Lists with fixed values are checked one by one by who splits them at commas.
    if (flag.values && !flag.many && !flag.values.includes(value)) {
      throw new UsageError(
        `${dashed(flag)} ${value}: not one of ${flag.values.join(', ')}.${didYouMean(value, flag.values)}`,
      );
    }
    const before = values.get(flag.name);
    if (before && !flag.many) {
      throw new UsageError(`${dashed(flag)} is given twice: ${before[0]} and ${value}`, 'Give it once.');
    }
    if (before) before.push(value);
    else values.set(flag.name, [value]);
  }
  positionals.forEach((written, i) => {
    const allowed = command.positionals[i]?.values;
    if (allowed && !allowed.includes(written)) {
      throw new UsageError(
        `${name} ${written}: not one of ${allowed.join(', ')}.${didYouMean(written, allowed)}`,
        `See ${name} --help`,
      );
    }
  });
  const most = command.positionals.at(-1)?.many ? Number.POSITIVE_INFINITY : command.positionals.length;
  if (positionals.length > most) {
    throw new UsageError(
      `${name} takes ${most === 0 ? 'no arguments' : `${most} argument${most === 1 ? '' : 's'}`}, but got ${positionals.join(' ')}`,
      `See ${name} --help`,
    );
  }
  return new Arguments(positionals, values);
}

/** Refuses a command line in which something required is missing. Help is asked for before this. */
export function requireAll(command: Command, args: Arguments): void {
  const name = `keyway ${command.words.join(' ')}`;
  const missing = [
    ...command.positionals.filter((one, i) => one.required && args.positionals.length <= i).map((one) => one.name),
    ...flagsOf(command)
      .filter((flag) => flag.required && !args.has(flag.name))
      .map((flag) => `--${flag.name} ${flag.placeholder ?? 'VALUE'}`),
  ];
  if (missing.length === 0) return;
  const example = command.examples[0];
  throw new UsageError(
    `${name} needs ${missing.join(' and ')}`,
    example ? `For example: ${example.line}` : `See ${name} --help`,
  );
}
