/** Values of flags and the members of a spec they stand for, both ways. */
import type { Arguments } from './arguments.ts';
import type { Flag, Source } from './command.ts';
import { UsageError } from './errors.ts';
import type { FieldModel, KindModel } from './model.ts';
import { didYouMean } from './suggest.ts';

/** What stands for a value in help. */
export function placeholder(field: FieldModel): string {
  if (field.type === 'map') return 'KEY=VALUE';
  if (field.type === 'object') {
    const members = flat(field).map(({ name, field: one }) => {
      const written = `${name}=${placeholder(one)}`;
      if (one.array) return `${written},…`;
      return isMark(one) ? name : written;
    });
    return members.join(field.oneOf ? '|' : ',');
  }
  if (field.values) return field.values.length > 5 ? field.flag.toUpperCase() : field.values.join('|');
  if (field.reference) return field.reference.kind.toUpperCase();
  if (field.type === 'integer') return 'N';
  return field.flag.toUpperCase();
}

/** Members of an object as they are written: those of objects in it as `fromVm.rateKbps`. */
function flat(field: FieldModel): { name: string; steps: string[]; field: FieldModel }[] {
  return (field.members ?? []).flatMap((one) =>
    one.type === 'object' && !one.array
      ? flat(one).map(({ name, steps, field: inner }) => ({
          name: `${one.name}.${name}`,
          steps: [one.name, ...steps],
          field: inner,
        }))
      : [{ name: one.name, steps: [one.name], field: one }],
  );
}

/** A member that is only ever true: written by its bare name. */
function isMark(field: FieldModel): boolean {
  return field.type === 'boolean' && field.values?.length === 1 && field.values[0] === true;
}

function describe(field: FieldModel): string {
  const notes: string[] = [];
  if (field.array || field.type === 'map') notes.push('repeatable');
  if (field.restricted) notes.push('admin and orchestrator only');
  if (field.serverFilled) notes.push('chosen by Keyway when left out');
  const known = field.values && field.values.length > 5 ? field.values : field.suggestions;
  const values = known ? `: ${known.join(', ')}` : '';
  const example = field.example && !field.suggestions ? `, such as ${field.example}` : '';
  const text = field.description || (field.oneOf ? 'One end' : field.flag);
  return `${text}${values}${example}${notes.length > 0 ? ` (${notes.join('; ')})` : ''}`;
}

function source(field: FieldModel): Source | undefined {
  if (field.reference) return { names: field.reference.kind };
  if (field.suggestions) return { suggestions: field.suggestions };
  if (field.type !== 'object') return undefined;
  return {
    members: flat(field).map(({ name, field: one }) => ({
      name,
      ...(isMark(one) ? { bare: true } : {}),
      ...(one.values ? { values: one.values.map(String) } : {}),
      ...(one.reference ? { names: one.reference.kind } : {}),
    })),
  };
}

/** The flag of a member of the spec. */
export function fieldFlag(field: FieldModel, required: boolean): Flag {
  const complete = source(field);
  const plural = field.name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  return {
    name: field.flag,
    ...(plural === field.flag ? {} : { aliases: [plural] }),
    type: 'value',
    ...(field.array || field.type === 'map' ? { many: true } : {}),
    ...(required ? { required } : {}),
    placeholder: placeholder(field),
    description: describe(field),
    ...(field.values && field.type !== 'boolean' ? { values: field.values.map(String) } : {}),
    ...(complete ? { complete } : {}),
  };
}

function scalar(field: FieldModel, text: string, flag: string): string | number | boolean {
  const found = field.values?.find((value) => String(value) === text);
  if (found !== undefined) return found;
  if (field.values) {
    const values = field.values.map(String);
    throw new UsageError(`${flag} ${text}: not one of ${values.join(', ')}.${didYouMean(text, values)}`);
  }
  if (field.type === 'integer') {
    if (!/^-?\d{1,15}$/.test(text)) throw new UsageError(`${flag} ${text}: not a whole number`);
    return Number(text);
  }
  if (field.type === 'boolean') {
    if (text !== 'true' && text !== 'false') throw new UsageError(`${flag} ${text}: true or false`);
    return text === 'true';
  }
  return text;
}

function object(field: FieldModel, text: string, flag: string): Record<string, unknown> {
  const members = flat(field);
  const made: Record<string, unknown> = {};
  for (const part of text.split(',')) {
    const at = part.indexOf('=');
    const name = at < 0 ? part : part.slice(0, at);
    const member = members.find((one) => one.name === name) ?? members.find((one) => one.field.flag === name);
    if (!member || (at < 0 && !isMark(member.field))) {
      const names = members.map((one) => one.name);
      const hint = member ? '' : didYouMean(name, names);
      throw new UsageError(`${flag} ${text}: written as ${placeholder(field)}.${hint}`);
    }
    const value = at < 0 ? true : scalar(member.field, part.slice(at + 1), `${flag} ${member.name}`);
    if (!place(made, member.steps, value, member.field.array)) {
      throw new UsageError(`${flag} ${text}: ${member.name} is given twice`);
    }
  }
  if (field.oneOf && Object.keys(made).length > 1) {
    throw new UsageError(`${flag} ${text}: only one of ${members.map(({ name }) => name).join(', ')}`);
  }
  return made;
}

/** Puts the value where the steps lead; a list grows by it. @returns false where there is one already */
function place(root: Record<string, unknown>, steps: readonly string[], value: unknown, array: boolean): boolean {
  let here = root;
  for (const step of steps.slice(0, -1)) {
    here[step] ??= {};
    here = here[step] as Record<string, unknown>;
  }
  const name = steps.at(-1)!;
  const before = here[name];
  if (before !== undefined && !array) return false;
  here[name] = array ? [...((before ?? []) as unknown[]), value] : value;
  return true;
}

/** Elements of a list flag: repeated, or separated by commas. */
function elements(field: FieldModel, given: readonly string[], flag: string): unknown[] {
  if (field.type === 'object') return given.map((text) => object(field, text, flag));
  return given.flatMap((text) => text.split(',')).map((text) => scalar(field, text, flag));
}

/** `key=value` pairs. */
export function pairs(given: readonly string[], flag: string): Record<string, string> {
  // Without a prototype, so that no key is special.
  const made: Record<string, string> = Object.create(null);
  for (const text of given) {
    const at = text.indexOf('=');
    if (at < 1) throw new UsageError(`${flag} ${text}: written as KEY=VALUE`);
    made[text.slice(0, at)] = text.slice(at + 1);
  }
  return made;
}

/** The member of the spec a flag gives, undefined when the flag was not given. */
export function fieldValue(field: FieldModel, args: Arguments): unknown {
  if (!args.has(field.flag)) return undefined;
  const flag = `--${field.flag}`;
  const given = args.all(field.flag);
  if (field.array) return elements(field, given, flag);
  if (field.type === 'map') return pairs(given, flag);
  const text = given.at(-1) ?? '';
  return field.type === 'object' ? object(field, text, flag) : scalar(field, text, flag);
}

/** Elements that `--add-X` and `--remove-X` name. */
export function changedElements(field: FieldModel, args: Arguments): { add: unknown[]; remove: unknown[] } {
  const of = (prefix: string) => elements(field, args.all(`${prefix}-${field.flag}`), `--${prefix}-${field.flag}`);
  return {
    add: args.has(`add-${field.flag}`) ? of('add') : [],
    remove: args.has(`remove-${field.flag}`) ? of('remove') : [],
  };
}

/** The members of a spec that flags give. */
export function specFrom(kind: KindModel, args: Arguments): Record<string, unknown> {
  const spec: Record<string, unknown> = {};
  for (const field of kind.fields) {
    const value = fieldValue(field, args);
    if (value !== undefined) spec[field.name] = value;
  }
  return spec;
}

/** A value as it is written after a flag and shown in a table: `tier=web`, `any`, `10.0.0.1`. */
export function notationOf(value: unknown): string {
  if (value === null || value === undefined) return '';
  // Members have commas between them: several objects are told apart by a space.
  if (Array.isArray(value)) return value.map(notationOf).join(value.some(isObject) ? ' ' : ',');
  return isObject(value) ? membersOf(value, '').join(',') : String(value);
}

function membersOf(object: object, prefix: string): string[] {
  return Object.entries(object).flatMap(([member, value]: [string, unknown]) => {
    const name = prefix + member;
    if (value === true) return [name];
    if (Array.isArray(value)) return value.map((one) => `${name}=${notationOf(one)}`);
    return isObject(value) ? membersOf(value, `${name}.`) : [`${name}=${notationOf(value)}`];
  });
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A word as a shell takes it. */
export function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** The flags that give a spec: the inverse of specFrom. */
export function flagsFor(kind: KindModel, spec: Record<string, unknown>): string[] {
  return kind.fields.flatMap((field) => {
    const value = spec[field.name];
    if (value === undefined) return [];
    const each = field.array
      ? (value as unknown[])
      : field.type === 'map'
        ? Object.entries(value as Record<string, string>).map(([key, one]) => ({ [key]: one }))
        : [value];
    return each.flatMap((one) => [`--${field.flag}`, quoted(notationOf(one))]);
  });
}
