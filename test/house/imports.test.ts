/** The directions of imports between rooms, and the documents that derive from the code. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { generatedDocuments } from '../../scripts/documents.ts';
import { directions, readHouse, root, trespasses } from '../../scripts/house.ts';

test('imports go only the declared ways', async () => {
  const { files, imports } = await readHouse();
  // A scan that sees nothing would pass for ever.
  expect(files.length).toBeGreaterThan(80);
  expect(imports.length).toBeGreaterThan(100);
  for (const room of ['intent', 'store', 'pipeline', 'compile', 'engine', 'api', 'cli']) {
    expect(
      files.some((f) => f.startsWith(`src/${room}/`)),
      `no file of ${room} was read`,
    ).toBe(true);
  }
  expect(trespasses(imports)).toEqual([]);
});

test('a trespass is noticed', () => {
  const wrong = { from: 'store', to: 'intent', fromFile: 'src/store/x.ts', toFile: 'src/intent/y.ts' };
  expect(trespasses([wrong])).toEqual(['src/store/x.ts imports src/intent/y.ts']);
  expect(trespasses([{ ...wrong, from: 'attic' }])).toHaveLength(1);
  expect(trespasses([{ ...wrong, from: 'api', to: 'plugins/openvswitch' }])).toHaveLength(1);
});

test('no room imports in a circle', () => {
  const done = new Set<string>();
  const visit = (room: string, way: string[]): void => {
    expect(way, `circle: ${[...way, room].join(' -> ')}`).not.toContain(room);
    if (done.has(room)) return;
    for (const next of directions[room] ?? []) if (next !== '*') visit(next, [...way, room]);
    done.add(room);
  };
  for (const room of Object.keys(directions)) visit(room, []);
});

test('generated documents are up to date (npm run docs)', async () => {
  const documents = await generatedDocuments();
  expect(documents.length).toBeGreaterThanOrEqual(2);
  for (const { path, text } of documents) expect(await readFile(join(root, path), 'utf8'), path).toBe(text);
});
