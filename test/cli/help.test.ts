import { expect, test } from 'vitest';
import { parseArguments, requireAll } from '../../src/cli/arguments.ts';
import { commands, groups } from '../../src/cli/commands/index.ts';
import { locate } from '../../src/cli/run.ts';
import { splitLine } from '../../src/cli/shell-words.ts';
import { cli } from './support.ts';

const all = commands.map((command) => [command.words.join(' '), command] as const);

test.each(all)('%s: help shows its examples, and each example is a command line of it', async (name, command) => {
  const asked = await cli([...command.words, '--help']);
  expect(asked).toMatchObject({ status: 0, stderr: '' });
  expect(await cli(['help', ...command.words])).toEqual(asked);
  expect(command.examples.length).toBeGreaterThan(0);
  for (const { line } of command.examples) {
    expect(asked.stdout).toContain(line);
    // Of a pipeline, the last part is the one the example is about.
    const { words, quote } = splitLine(line.split(' | ').at(-1)!);
    expect(quote).toBeUndefined();
    expect(words[0]).toBe('keyway');
    const found = locate(words.slice(1));
    expect(found.command?.words.join(' ')).toBe(name);
    requireAll(command, parseArguments(command, found.rest));
  }
});

test('the overview names every first word, serve and sandbox among them', async () => {
  const { status, stdout } = await cli(['--help']);
  expect(status).toBe(0);
  for (const { word } of groups) expect(stdout).toMatch(new RegExp(`^  ${word} `, 'm'));
  expect(await cli([])).toMatchObject({ status: 0, stdout });
  expect(await cli(['help'])).toMatchObject({ status: 0, stdout });
  for (const word of ['serve', 'sandbox']) expect(groups.map((group) => group.word)).toContain(word);
});

test('a noun alone shows its verbs, by its plural too', async () => {
  const { status, stdout } = await cli(['port']);
  expect(status).toBe(0);
  expect(stdout).toContain('port create');
  for (const words of [['ports'], ['port', '--help'], ['help', 'port'], ['help', 'ports']]) {
    expect(await cli(words)).toMatchObject({ status: 0, stdout });
  }
});

test.each([
  [['porrt', 'list'], 'Did you mean port?'],
  [['port', 'lst'], 'Did you mean list?'],
  [['port', 'rm', 'web1'], 'Did you mean delete?'],
  [['constructor'], 'keyway has no command constructor'],
  [['help', 'flow'], 'Did you mean flows?'],
  [['help', 'port', 'crate'], 'Did you mean create?'],
  [['port', 'list', '--tennant', 'acme'], 'Did you mean --tenant?'],
  [['port', '--tennant', 'acme', 'list'], 'has no flag --tennant'],
  [['port', 'create'], 'keyway port create needs TENANT/NETWORK/NAME'],
  [['port', 'create', 'acme/shop/web1'], 'needs --tier TIER'],
  [['flows', 'dump', 'hv1', 'hv2'], 'takes 1 argument'],
  [['port', 'list', '-o', 'jsno'], 'Did you mean json?'],
  [['port', 'list', '--watch=now'], '--watch takes no value'],
  [['port', 'create', 'acme/shop/web1', '--tier', 'web', '--wait=al'], 'Did you mean all?'],
  [['health', '--timeout', 'soon'], 'Write it as 500ms, 10s, 2m, 1h or 30d.'],
  [['completion', 'powershell'], 'not one of bash, zsh, fish'],
])('%j is refused with what to do', async (argv, message) => {
  const { status, stdout, stderr } = await cli(argv);
  expect(status).toBe(2);
  expect(stdout).toBe('');
  expect(stderr).toContain(message);
  expect(stderr).toMatch(/^(Next: |.*Did you mean|.*takes no value)/m);
});
