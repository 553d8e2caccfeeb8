import fc from 'fast-check';
import { expect, test } from 'vitest';
import { safe, width, wrap } from '../../src/cli/style.ts';
import { distance, nearest } from '../../src/cli/suggest.ts';
import { at, cell, Table } from '../../src/cli/table.ts';

const plain = (_colour: string, text: string) => text;
const word = fc.stringMatching(/^[a-z0-9]{1,12}$/);
const text = fc.array(word, { minLength: 1, maxLength: 6 }).map((words) => words.join(' '));

test('a table that can be broken to fit fits, and loses nothing', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(word, text, text), { minLength: 1, maxLength: 6 }),
      fc.integer({ min: 45, max: 120 }),
      (rows, most) => {
        const table = new Table([{ title: 'NAME' }, { title: 'A' }, { title: 'B' }], plain, most);
        const printed = table.whole(rows.map((row) => [...row]));
        for (const line of printed.split('\n')) expect(width(line)).toBeLessThanOrEqual(most);
        const words = printed.split(/\s+/).sort();
        expect(words).toEqual(['NAME', 'A', 'B', '', ...rows.flat().flatMap((one) => one.split(' '))].sort());
      },
    ),
  );
});

test('names are never cut, however narrow the terminal', () => {
  const name = 'a-rather-long-name-of-a-port-in-some-network';
  const table = new Table([{ title: 'NAME' }, { title: 'IPS' }], plain, 20);
  expect(table.whole([[name, '10.0.0.1,10.0.0.2']])).toContain(`${name}  10.0.0.1,\n`);
});

test('wrapping keeps every character but the blanks at breaks', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.integer({ min: 1, max: 40 }), (one, most) => {
      expect(wrap(one, most).join('').replace(/\s/g, '')).toBe(one.replace(/\s/g, ''));
    }),
  );
});

test('nothing in a cell steers the terminal', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (one) => {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not be there
      expect(safe(one)).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/);
    }),
  );
  expect(cell('\x1b[31mred\x07')).toBe('\\u001b[31mred\\u0007');
});

test('cells', () => {
  expect([undefined, null, '', [], {}].map(cell)).toEqual(['-', '-', '-', '-', '-']);
  expect([true, false, 7, ['a', 'b'], { tier: 'web' }, { any: true }, { a: 'x', b: 'y' }].map(cell)).toEqual([
    'yes',
    'no',
    '7',
    'a,b',
    'tier=web',
    'any',
    'a=x,b=y',
  ]);
  expect(at({ a: { 'b/c': [1] } }, '/a/b~1c')).toEqual([1]);
  expect(at({ a: 1 }, '/a/b')).toBeUndefined();
  expect(at({}, '/constructor')).toBeUndefined();
  expect(width('日本')).toBe(4);
});

test('distance counts swaps once', () => {
  expect(distance('list', 'lsit')).toBe(1);
  expect(distance('', 'abc')).toBe(3);
  fc.assert(fc.property(word, word, (a, b) => distance(a, b) === distance(b, a)));
  expect(nearest('xyzzy', ['port', 'rule'])).toBeUndefined();
});
