/** Writes what is made from the resource definitions: model.generated.json, then docs/cli.md. `node src/cli/generate.ts` */
import { mkdir, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { modelText } from './derive.ts';

const modelFile = fileURLToPath(new URL('model.generated.json', import.meta.url));
const pageFile = fileURLToPath(new URL('../../docs/cli.md', import.meta.url));

export async function generate(): Promise<void> {
  await writeFile(modelFile, modelText());
  // Imported only now: the page is made from the model just written.
  const { cliPage } = await import('./page.ts');
  await mkdir(new URL('../../docs/', import.meta.url), { recursive: true });
  await writeFile(pageFile, cliPage());
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await generate();
