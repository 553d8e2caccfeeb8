/** Help, from the commands themselves. */
import { type Command, type Flag, flagsOf, type Group, sharedFlags } from './command.ts';
import { commandsOf, findCommand, findGroup, firstWords, groups, verbsOf } from './commands/index.ts';
import { exitCodes, UsageError } from './errors.ts';
import type { Io, Output } from './io.ts';
import { type Paint, pad, paintFor, width, wrap } from './style.ts';
import { didYouMean } from './suggest.ts';

export type HelpStyle = { paint: Paint; columns: number };

function twoColumns(rows: readonly (readonly [string, string])[], style: HelpStyle): string {
  const widest = Math.max(0, ...rows.map(([left]) => width(left)));
  const left = Math.min(widest, 34);
  const right = Math.max(30, style.columns - left - 4);
  return rows
    .map(([name, text]) => {
      const lines = wrap(text, right);
      const first = width(name) > left ? [`  ${name}\n`, ' '.repeat(left + 4)] : [`  ${pad(name, left)}  `];
      return `${first.join('')}${lines.join(`\n${' '.repeat(left + 4)}`)}\n`;
    })
    .join('');
}

function paragraph(text: string, style: HelpStyle): string {
  return `${wrap(text, style.columns).join('\n')}\n`;
}

function flagText(flag: Flag): string {
  const short = flag.short ? `-${flag.short}, ` : '';
  if (flag.type === 'switch') return `${short}--${flag.name}`;
  const value = flag.placeholder ?? 'VALUE';
  return `${short}--${flag.name}${flag.type === 'optional' ? `[=${value}]` : ` ${value}`}`;
}

/** `keyway port create TENANT/NETWORK/NAME --tier TIER [flags]`. */
export function usage(command: Command): string {
  const positionals = command.positionals.map((one) => {
    const name = one.many ? `${one.name}…` : one.name;
    return one.required ? name : `[${name}]`;
  });
  const required = flagsOf(command).filter((flag) => flag.required);
  return [
    'keyway',
    ...command.words,
    ...positionals,
    ...required.map((flag) => `--${flag.name} ${flag.placeholder ?? ''}`),
    '[flags]',
  ].join(' ');
}

function flagSection(title: string, flags: readonly Flag[], style: HelpStyle): string {
  if (flags.length === 0) return '';
  const rows = flags.map((flag): [string, string] => [
    flagText(flag),
    `${flag.description}${flag.required ? ' (required)' : ''}`,
  ]);
  return `\n${style.paint('bold', title)}\n${twoColumns(rows, style)}`;
}

function examplesSection(command: Command, style: HelpStyle): string {
  const lines = command.examples.map((example) => `  ${style.paint('dim', `# ${example.says}`)}\n  ${example.line}\n`);
  return `\n${style.paint('bold', 'Examples')}\n${lines.join('')}`;
}

/** Help of one command. */
export function commandHelp(command: Command, style: HelpStyle): string {
  const { paint } = style;
  let text = paragraph(`${command.summary}.`, style);
  for (const one of command.details ?? []) text += `\n${paragraph(one, style)}`;
  text += `\n${paint('bold', 'Usage')}\n  ${usage(command)}\n`;
  if (command.positionals.length > 0) {
    const rows = command.positionals.map((one): [string, string] => [one.name, one.description]);
    text += `\n${paint('bold', 'Arguments')}\n${twoColumns(rows, style)}`;
  }
  text += examplesSection(command, style);
  text += flagSection('Flags', command.flags, style);
  const shared = command.shared.filter((set) => set !== 'connection').flatMap((set) => sharedFlags[set]);
  text += flagSection('How it runs and what it prints', shared, style);
  if (command.shared.includes('connection')) text += flagSection('Which controller', sharedFlags.connection, style);
  return text;
}

/** Help of a first word with verbs. */
export function groupHelp(group: Group, style: HelpStyle): string {
  const single = findCommand([group.word]);
  if (single) return commandHelp(single, style);
  const all = commandsOf(group.word);
  const rows = all.map((command): [string, string] => [command.words.join(' '), command.summary]);
  const example = all.flatMap((command) => command.examples)[0];
  return (
    paragraph(`${group.summary}.`, style) +
    `\n${style.paint('bold', 'Commands')}\n${twoColumns(rows, style)}` +
    (example ? `\n${style.paint('bold', 'Example')}\n  ${example.line}\n` : '') +
    `\nMore: keyway help ${group.word} ${all[0]?.words[1] ?? ''}\n`
  );
}

/** `keyway --help`. */
export function overview(style: HelpStyle): string {
  let text = `${style.paint('bold', 'keyway')}: a network order becomes deny-by-default flows on Open vSwitch\n`;
  text += `\n${style.paint('bold', 'Usage')}\n  keyway COMMAND [flags]\n`;
  for (const section of ['Resources', 'Inspection', 'Upkeep', 'Other'] as const) {
    const rows = groups
      .filter((group) => group.section === section)
      .map((group): [string, string] => [group.word, group.summary]);
    text += `\n${style.paint('bold', section)}\n${twoColumns(rows, style)}`;
  }
  const resource = commandsOf(groups[0]?.word ?? '');
  const verbs = resource.map((command) => command.words[1]).join(', ');
  text += `\nVerbs of every resource: ${verbs}. Help of each: keyway help port create\n`;
  text += `\n${style.paint('bold', 'Examples')}\n`;
  for (const word of ['port', 'flows', 'plan']) {
    const example = commandsOf(word)[0]?.examples[0];
    if (example) text += `  ${example.line}\n`;
  }
  text += flagSection('Which controller', sharedFlags.connection, style);
  const codes = Object.entries(exitCodes).map(([code, means]): [string, string] => [code, means]);
  text += `\n${style.paint('bold', 'Exit status')}\n${twoColumns(codes, style)}`;
  return text;
}

/** Width and colours of help on a stream. */
export function helpStyle(io: Io, output: Output): HelpStyle {
  return { paint: paintFor(io, output), columns: Math.min(output.isTTY ? (output.columns ?? 80) : 100, 120) };
}

/** Help of a command, of a first word, or of everything. @throws UsageError naming the nearest word. */
export function helpFor(words: readonly string[], style: HelpStyle): string {
  const [first, second] = words;
  if (first === undefined) return overview(style);
  const group = findGroup(first);
  if (!group) throw unknownCommand(first);
  if (second === undefined) return groupHelp(group, style);
  const command = findCommand([group.word, second]);
  if (command) return commandHelp(command, style);
  if (verbsOf(group.word).length === 0) return groupHelp(group, style);
  throw unknownVerb(group, second);
}

export function unknownCommand(word: string): UsageError {
  return new UsageError(`keyway has no command ${word}.${didYouMean(word, firstWords)}`, 'All of them: keyway --help');
}

export function unknownVerb(group: Group, word: string): UsageError {
  const verbs = verbsOf(group.word);
  return new UsageError(
    `keyway ${group.word} has no command ${word}.${didYouMean(word, verbs)}`,
    `There are ${verbs.join(', ')}: keyway help ${group.word}`,
  );
}
