/** The documents that derive from the code, as they should be now. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { problemsDocument } from '../src/api/problems-doc.ts';
import { cliPage } from '../src/cli/page.ts';
import { pipelineDocument } from '../src/pipeline/document.ts';
import { picture, readHouse, root } from './house.ts';

export type GeneratedDocument = { path: string; text: string };

const begin = '<!-- picture: begin -->';
const end = '<!-- picture: end -->';

async function architecture(): Promise<GeneratedDocument> {
  const path = 'docs/architecture.md';
  const text = await readFile(join(root, path), 'utf8');
  const [head, rest] = [text.slice(0, text.indexOf(begin) + begin.length), text.slice(text.indexOf(end))];
  if (!text.includes(begin) || !text.includes(end)) throw new Error(`${path} has no place for the picture`);
  const { imports } = await readHouse();
  return { path, text: `${head}\n${picture(imports)}\n${rest}` };
}

export async function generatedDocuments(): Promise<GeneratedDocument[]> {
  return [
    { path: 'docs/pipeline.md', text: pipelineDocument() },
    { path: 'docs/problems.md', text: problemsDocument() },
    { path: 'docs/cli.md', text: cliPage() },
    await architecture(),
  ];
}
