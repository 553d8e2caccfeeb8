import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { splitLine } from '../../src/cli/shell-words.ts';
import { Double } from './double.ts';
import { cli } from './support.ts';

let double: Double;
beforeEach(async () => {
  double = await Double.start();
  double.put('tenants/acme');
  double.put('tenants/acme/networks/shop');
  double.put('tenants/acme/networks/shop/ports/web1', { tier: 'web' });
});
afterEach(() => double.stop());

const shell = (lines: string[], flags: string[] = []) =>
  cli(['shell', '--url', double.url, ...flags], { stdin: `${lines.join('\n')}\n` });

test('commands one after another, with a place to stand in', async () => {
  const { status, stdout, stderr } = await shell([
    '# a comment',
    'tenant list -o name',
    'use acme/shop',
    'port list -o name',
    'keyway port get web1 -o name',
    'use acme',
    'network list -o name',
    'use',
    'port list',
    'exit',
    'tenant list -o name',
  ]);
  expect(stdout).toBe('acme\nacme/shop/web1\nacme/shop/web1\nacme/shop\n');
  expect(stderr).toContain('Error: Which tenant and network?');
  expect(status).toBe(2);
});

test('what goes wrong in one line leaves the next one alone', async () => {
  const { status, stdout, stderr } = await shell([
    "port get 'open",
    'use a/b/c',
    'use ../x',
    'nonsense',
    'shell',
    '',
    'tenant list -o name',
  ]);
  expect(stderr).toContain("The quote ' is not closed");
  expect(stderr).toContain('use a/b/c: no place');
  expect(stderr).toContain('keyway has no command nonsense');
  expect(stderr).toContain('This is the shell');
  expect(stdout).toBe('acme\n');
  expect(status).toBe(0);
});

test('a script ends with the status of its last command', async () => {
  expect(await shell(['tenant list -o name', 'tenant get nobody'])).toMatchObject({ status: 3 });
  expect(await shell(['nonsense', 'exit'])).toMatchObject({ status: 2 });
});

test('lines are taken apart as a shell does', () => {
  const cases: [string, string[]][] = [
    [`a  b\tc`, ['a', 'b', 'c']],
    [`--description 'two words'`, ['--description', 'two words']],
    [`a"b c"d '' e\\ f`, ['ab cd', '', 'e f']],
    [`"it's"`, ["it's"]],
  ];
  for (const [line, words] of cases) expect(splitLine(line).words).toEqual(words);
  expect(splitLine('a "b')).toMatchObject({ words: ['a', 'b'], open: true, quote: '"' });
  expect(splitLine('a ')).toMatchObject({ words: ['a'], open: false });
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (line) => {
      splitLine(line);
    }),
  );
});
