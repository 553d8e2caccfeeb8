/** What a command is: parsing, help, completion and the documentation derive from these. */
import type { Arguments } from './arguments.ts';
import type { Io } from './io.ts';
import type { Session } from './session.ts';

/** Where completion finds values beside fixed ones. */
export type Source =
  /** Names of a kind, with their parents: `acme/shop/web1`. */
  | { path: string }
  /** Path of a parent, to list what is in it. */
  | { parent: string }
  /** Plain names of a kind, among siblings in the network the command line speaks of, or at the top. */
  | { names: string }
  /** `member=value` pairs of an object flag. */
  | { members: { name: string; values?: readonly string[]; names?: string; bare?: boolean }[] }
  /** Values to choose from where others may be given too. */
  | { suggestions: readonly string[] }
  | 'profiles'
  | 'commands'
  | 'files';

export type Flag = {
  /** Without dashes. */
  name: string;
  short?: string;
  /** Other spellings that are taken but not shown. */
  aliases?: readonly string[];
  /** `switch` takes no value, `optional` takes one only after `=`. */
  type: 'value' | 'switch' | 'optional';
  /** May be repeated. */
  many?: boolean;
  required?: boolean;
  /** What stands for the value in help. */
  placeholder?: string;
  description: string;
  /** The only values there are. */
  values?: readonly string[];
  complete?: Source;
};

export type Positional = {
  name: string;
  description: string;
  required?: boolean;
  many?: boolean;
  complete?: Source;
  values?: readonly string[];
};

export type Example = { line: string; says: string };

export type Run = { io: Io; args: Arguments; session: Session; command: Command };

/** Does the work and returns the exit status. */
export type Handler = (run: Run) => Promise<number>;

export type Command = {
  /** `['port', 'create']`. */
  words: readonly string[];
  summary: string;
  /** Paragraphs of help beyond the summary. */
  details?: readonly string[];
  positionals: readonly Positional[];
  /** Flags of its own. */
  flags: readonly Flag[];
  /** Sets of flags shared with other commands. */
  shared: readonly (keyof typeof sharedFlags)[];
  examples: readonly Example[];
  /** Imported when the command runs, so that help and completion stay quick. */
  load: () => Promise<Handler>;
};

/** A word before verbs: what `keyway help WORD` says of it. */
export type Group = {
  word: string;
  aliases?: readonly string[];
  summary: string;
  section: 'Resources' | 'Inspection' | 'Upkeep' | 'Other';
};

export const outputFormats = ['table', 'wide', 'json', 'yaml', 'name'] as const;
export type OutputFormat = (typeof outputFormats)[number];

const connection: Flag[] = [
  {
    name: 'url',
    type: 'value',
    placeholder: 'URL',
    description:
      'Controller: http://HOST:PORT, https://HOST:PORT or unix:/PATH; else KEYWAY_URL, the profile, or http://127.0.0.1:8080',
  },
  {
    name: 'token-file',
    type: 'value',
    placeholder: 'FILE',
    description: 'File that holds the token; else KEYWAY_TOKEN, KEYWAY_TOKEN_FILE or the profile',
    complete: 'files',
  },
  {
    name: 'profile',
    type: 'value',
    placeholder: 'NAME',
    description: 'Profile to use; else KEYWAY_PROFILE or the current one',
    complete: 'profiles',
  },
];

const output: Flag[] = [
  {
    name: 'output',
    short: 'o',
    type: 'value',
    placeholder: 'FORMAT',
    description: 'table, wide (more columns), json, yaml or name',
    values: outputFormats,
  },
];

const json: Flag[] = [
  {
    name: 'output',
    short: 'o',
    type: 'value',
    placeholder: 'FORMAT',
    description: 'text, json or yaml',
    values: ['text', 'json', 'yaml'],
  },
];

const timeout: Flag[] = [
  {
    name: 'timeout',
    type: 'value',
    placeholder: 'TIME',
    description: 'How long to wait for the answer: 500ms, 10s, 2m (30s unless told; for switches, 5m at most)',
  },
];

const wait: Flag[] = [
  {
    name: 'wait',
    type: 'optional',
    placeholder: 'programmed|all',
    description:
      'Return once every connected switch concerned has acknowledged; =all waits for the disconnected ones too',
    values: ['programmed', 'all'],
  },
];

const dryRun: Flag[] = [
  { name: 'dry-run', type: 'switch', description: 'Show what would change, flows per switch included; change nothing' },
];

/** Flags that several commands share, by what they are about. */
export const sharedFlags = { connection, output, json, timeout, wait, dryRun };

export const helpFlag: Flag = { name: 'help', short: 'h', type: 'switch', description: 'Show this help' };

/** Flags taken before the first word as well. */
export const globalFlags: readonly Flag[] = [...connection, ...output, ...timeout, helpFlag];

export function flagsOf(command: Command): Flag[] {
  return [...command.flags, ...command.shared.flatMap((set) => sharedFlags[set]), helpFlag];
}
