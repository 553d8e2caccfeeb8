/** The commands of every resource, derived from the model: no kind is named here. */
import type { Command, Example, Flag, Group, Positional } from '../command.ts';
import { type ExampleModel, type KindModel, kindModel, model } from '../model.ts';
import { defaultVariable, notation } from '../names.ts';
import { fieldFlag, flagsFor, quoted } from '../values.ts';

const label: Flag = {
  name: 'label',
  type: 'value',
  many: true,
  placeholder: 'KEY=VALUE',
  description: 'Free label (repeatable)',
};

function article(kind: KindModel): string {
  return /^[aeiou]/.test(kind.kind) ? `an ${kind.kind}` : `a ${kind.kind}`;
}

/** `--tenant` and `--network`, for kinds that live there. */
function parentFlags(kind: KindModel): Flag[] {
  return kind.parents.map((parent) => ({
    name: parent,
    type: 'value',
    placeholder: 'NAME',
    description: `${parent[0]!.toUpperCase()}${parent.slice(1)} it is in, where the path does not say; else ${defaultVariable(parent)} or the profile`,
    complete: { names: parent },
  }));
}

function itself(kind: KindModel, many = false): Positional {
  const rest = kind.parents.length > 0 ? '; parents may be left out where flags, environment or profile give them' : '';
  return {
    name: notation(kind),
    description: `Path of the ${kind.kind}${rest}${many ? '; several may be given' : ''}`,
    required: true,
    ...(many ? { many } : {}),
    complete: { path: kind.kind },
  };
}

function nameOf(example: ExampleModel): string {
  return [...example.parents, example.name].map(quoted).join('/');
}

function lines(kind: KindModel, verb: string, says: (example: ExampleModel) => string, rest = ''): Example[] {
  const example = kind.examples[0];
  if (!example) return [];
  return [{ line: `keyway ${kind.kind} ${verb} ${nameOf(example)}${rest}`, says: says(example) }];
}

function create(kind: KindModel): Command {
  const examples = kind.examples.map((example): Example => {
    const flags = flagsFor(kind, example.spec);
    return {
      line: ['keyway', kind.kind, 'create', nameOf(example), ...flags].join(' '),
      says: `Create ${kind.kind} ${example.name}`,
    };
  });
  const first = kind.examples[0];
  const flags = first && kind.parents.length > 0 ? flagsFor(kind, first.spec) : undefined;
  if (first && flags) {
    const parents = kind.parents.map((parent, i) => `--${parent} ${quoted(first.parents[i] ?? '')}`);
    examples.push({
      line: ['keyway', kind.kind, 'create', quoted(first.name), ...parents, ...flags].join(' '),
      says: 'The same, with the parents as flags',
    });
  }
  return {
    words: [kind.kind, 'create'],
    summary: `Create ${article(kind)}; refused when it is there already`,
    positionals: [itself(kind)],
    flags: [...kind.fields.map((field) => fieldFlag(field, field.required)), label, ...parentFlags(kind)],
    shared: ['wait', 'dryRun', 'output', 'timeout', 'connection'],
    examples,
    load: async () => (await import('../handlers/write.ts')).create,
  };
}

function set(kind: KindModel): Command {
  const fields = kind.fields.filter((field) => !field.immutable);
  const lists = fields.filter((field) => field.array);
  const optional = fields.filter((field) => !field.required);
  const changes = lists.flatMap((field): Flag[] =>
    (['add', 'remove'] as const).map((word) => ({
      ...fieldFlag(field, false),
      name: `${word}-${field.flag}`,
      aliases: [],
      description: `${word === 'add' ? 'Add to' : 'Remove from'} ${field.name} and keep the rest (repeatable)`,
    })),
  );
  const unset: Flag[] =
    optional.length === 0
      ? []
      : [
          {
            name: 'unset',
            type: 'value',
            many: true,
            placeholder: 'FLAG',
            description: `Leave out what was set before: ${optional.map((field) => field.flag).join(', ')} (repeatable)`,
            values: optional.map((field) => field.flag),
          },
        ];
  return {
    words: [kind.kind, 'set'],
    summary: `Change what flags name of ${article(kind)} and keep the rest`,
    details: [
      'Reads, changes and writes under the ETag of what was read; tried again when somebody else wrote meanwhile.',
    ],
    positionals: [itself(kind)],
    flags: [
      ...fields.map((field) => fieldFlag(field, false)),
      ...changes,
      ...unset,
      { ...label, description: 'Set a label, or remove it: KEY- (repeatable)' },
      ...parentFlags(kind),
    ],
    shared: ['wait', 'dryRun', 'output', 'timeout', 'connection'],
    examples: lines(kind, 'set', (example) => `Label ${kind.kind} ${example.name}`, ' --label stage=production'),
    load: async () => (await import('../handlers/write.ts')).set,
  };
}

function get(kind: KindModel): Command {
  return {
    words: [kind.kind, 'get'],
    summary: `Show ${article(kind)} with its status`,
    positionals: [itself(kind)],
    flags: parentFlags(kind),
    shared: ['output', 'timeout', 'connection'],
    examples: lines(kind, 'get', (example) => `Everything about ${kind.kind} ${example.name}`, ' -o yaml'),
    load: async () => (await import('../handlers/read.ts')).get,
  };
}

function list(kind: KindModel): Command {
  const example = kind.examples[0];
  const within = example && example.parents.length > 0 ? ` ${example.parents.map(quoted).join('/')}` : '';
  const parents = notation(kind, '');
  const all: Flag[] =
    kind.parents.length === 0
      ? []
      : [{ name: 'all', type: 'switch', description: `Those of every ${kind.parents.join(' and ')} not named` }];
  return {
    words: [kind.kind, 'list'],
    summary: `List ${kind.segment}${kind.parents.length > 0 ? ` of a ${kind.parents.at(-1)}` : ''}`,
    positionals:
      parents === ''
        ? []
        : [
            {
              name: parents,
              description: 'Where to list; else flags, environment or profile',
              complete: { parent: kind.kind },
            },
          ],
    flags: [
      {
        name: 'filter',
        type: 'value',
        many: true,
        placeholder: 'FIELD=VALUE',
        description:
          'Only those whose field, column or label (label.KEY) has the value; != for has not, * for any text (repeatable)',
        complete: { members: filterNames(kind).map((name) => ({ name })) },
      },
      {
        name: 'label',
        type: 'value',
        many: true,
        placeholder: 'KEY[=VALUE]',
        description: 'Only those with the label (repeatable)',
      },
      ...all,
      { name: 'watch', short: 'w', type: 'switch', description: 'List, then print what changes until interrupted' },
      ...parentFlags(kind),
    ],
    shared: ['output', 'timeout', 'connection'],
    examples: [
      { line: `keyway ${kind.kind} list${within}`, says: `All of them${within ? ' in one place' : ''}` },
      {
        line: `keyway ${kind.kind} list${within} --watch -o wide`,
        says: 'More columns, and what changes from then on',
      },
    ],
    load: async () => (await import('../handlers/read.ts')).list,
  };
}

/** Fields a filter knows by name. */
export function filterNames(kind: KindModel): string[] {
  return [
    ...new Set([
      'name',
      'state',
      ...kind.fields.map((field) => field.flag),
      ...kind.columns.map((column) => column.title.toLowerCase()),
    ]),
  ];
}

function remove(kind: KindModel): Command {
  return {
    words: [kind.kind, 'delete'],
    summary: `Delete ${article(kind)}; refused while something depends on it`,
    positionals: [itself(kind, true)],
    flags: parentFlags(kind),
    shared: ['wait', 'dryRun', 'output', 'timeout', 'connection'],
    examples: lines(kind, 'delete', (example) => `Delete ${kind.kind} ${example.name}`, ' --wait'),
    load: async () => (await import('../handlers/write.ts')).remove,
  };
}

/** Verbs that set one member, by kind. The test holds member and value to the definitions. */
export const shortcuts: Record<string, { verb: string; member: string; value: string; summary: string }[]> = {
  hypervisor: [
    {
      verb: 'approve',
      member: 'admission',
      value: 'approved',
      summary: 'Let Keyway program the hypervisor from here on',
    },
    { verb: 'drain', member: 'admission', value: 'drained', summary: 'Keep what is bound there, bind nothing new' },
    {
      verb: 'lost',
      member: 'admission',
      value: 'lost',
      summary: 'Give the hypervisor up; what it held is free for others',
    },
  ],
};

function shortcut(kind: KindModel, verb: string, summary: string): Command {
  return {
    words: [kind.kind, verb],
    summary,
    positionals: [itself(kind)],
    flags: parentFlags(kind),
    shared: ['wait', 'dryRun', 'output', 'timeout', 'connection'],
    examples: lines(kind, verb, () => summary),
    load: async () => (await import('../handlers/write.ts')).shortcut,
  };
}

/** Kinds whose use the switches count. */
const counted: ReadonlySet<string> = new Set(['rule', 'policy']);

function hits(kind: KindModel): Command {
  return {
    words: [kind.kind, 'hits'],
    summary: `How many packets ${article(kind)} decided, and what the connections it allowed carry`,
    details: [
      'Read from the switches now, which bring their counters up to date about once a second. Both ends of a connection judge: what two ports exchange is counted at each.',
    ],
    positionals: [itself(kind)],
    flags: parentFlags(kind),
    shared: ['json', 'timeout', 'connection'],
    examples: lines(kind, 'hits', (example) => `Whether ${kind.kind} ${example.name} is used`),
    load: async () => (await import('../handlers/hits.ts')).hits,
  };
}

/** Kinds whose traffic is counted for billing. */
const metered: ReadonlySet<string> = new Set(['port', 'public-ip']);

function used(kind: KindModel): Command {
  return {
    words: [kind.kind, 'usage'],
    summary: `What ${article(kind)} has received and sent since it was ordered`,
    details: [
      'Read from the switches now, which bring their counters up to date about once a second. The figures only grow, whichever hypervisor a VM moves to.',
    ],
    positionals: [itself(kind)],
    flags: parentFlags(kind),
    shared: ['json', 'timeout', 'connection'],
    examples: lines(kind, 'usage', (example) => `Packets and bytes of ${kind.kind} ${example.name}`),
    load: async () => (await import('../handlers/usage.ts')).usage,
  };
}

export const resourceCommands: Command[] = model.kinds.flatMap((kind) => [
  create(kind),
  get(kind),
  list(kind),
  set(kind),
  remove(kind),
  ...(counted.has(kind.kind) ? [hits(kind)] : []),
  ...(metered.has(kind.kind) ? [used(kind)] : []),
  ...(shortcuts[kind.kind] ?? []).map(({ verb, summary }) => shortcut(kind, verb, summary)),
]);

export const resourceGroups: Group[] = model.kinds.map((kind) => ({
  word: kind.kind,
  aliases: [kind.segment],
  summary: kind.summary,
  section: 'Resources',
}));

/** The kind a resource command is about. */
export function kindOf(command: Command): KindModel {
  return kindModel(command.words[0] ?? '');
}
