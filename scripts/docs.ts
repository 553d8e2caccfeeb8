/** Writes what docs/ derives from the code. `npm run docs`; `--check` only says what is out of date. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { generatedDocuments } from './documents.ts';
import { root } from './house.ts';

const check = process.argv.includes('--check');
let stale = 0;
for (const { path, text } of await generatedDocuments()) {
  const file = join(root, path);
  const before = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (before === text) continue;
  stale++;
  if (!check) await writeFile(file, text);
  console.log(`${check ? 'out of date' : 'written'}: ${path}`);
}
if (check && stale > 0) process.exitCode = 1;
