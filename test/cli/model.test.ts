import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { flagsOf } from '../../src/cli/command.ts';
import { commands } from '../../src/cli/commands/index.ts';
import { shortcuts } from '../../src/cli/commands/resource.ts';
import { kebab, modelText, singular } from '../../src/cli/derive.ts';
import { kindModel, model } from '../../src/cli/model.ts';
import { cliPage } from '../../src/cli/page.ts';
import { definitions, kinds } from '../../src/intent/resources/index.ts';

const here = (path: string) => readFile(new URL(`../../${path}`, import.meta.url), 'utf8');

test('the model kept beside the CLI is what the definitions give now (else: node src/cli/generate.ts)', async () => {
  expect(await here('src/cli/model.generated.json')).toBe(modelText());
});

test('docs/cli.md is what the commands give now (else: node src/cli/generate.ts)', async () => {
  expect(await here('docs/cli.md')).toBe(cliPage());
});

test('every kind has every verb, and a flag for every member of its spec', () => {
  expect(model.kinds.map(({ kind }) => kind)).toEqual(kinds);
  for (const kind of kinds) {
    const verbs = commands.filter((command) => command.words[0] === kind).map((command) => command.words[1]);
    expect(verbs).toEqual(expect.arrayContaining(['create', 'get', 'list', 'set', 'delete']));
    const create = commands.find((command) => command.words.join(' ') === `${kind} create`)!;
    const members = Object.keys(definitions[kind].spec.properties);
    expect(kindModel(kind).fields.map(({ name }) => name)).toEqual(members);
    for (const { flag } of kindModel(kind).fields) expect(create.flags.map(({ name }) => name)).toContain(flag);
  }
});

test('no two flags of a command share a name, an alias or a letter', () => {
  for (const command of commands) {
    const names = flagsOf(command).flatMap((flag) => [
      flag.name,
      ...(flag.aliases ?? []),
      ...(flag.short ? [flag.short] : []),
    ]);
    expect(names, command.words.join(' ')).toEqual([...new Set(names)]);
  }
});

test('members of a spec never share a name with what stands beside a spec in a file', () => {
  for (const kind of model.kinds) {
    const beside = ['path', 'kind', 'name', 'spec', 'labels', 'delete', 'uid', 'revision', 'status', ...kind.parents];
    for (const { name } of kind.fields) expect(beside, `${kind.kind} ${name}`).not.toContain(name);
  }
});

test('what shortcuts set is a member and a value of the definition', () => {
  for (const [kind, all] of Object.entries(shortcuts)) {
    for (const { member, value } of all) {
      expect(kindModel(kind).fields.find(({ name }) => name === member)?.values).toContain(value);
    }
  }
});

test('names of flags', () => {
  expect(kebab('allowedAddressPairs')).toBe('allowed-address-pairs');
  expect(['ips', 'policies', 'addresses', 'prefixes', 'class', 'mtu'].map(singular)).toEqual([
    'ip',
    'policy',
    'address',
    'prefix',
    'class',
    'mtu',
  ]);
});
