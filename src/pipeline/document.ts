/** Makes docs/pipeline.md from the declarations, so that the page can't disagree with the flows. */
import { generation } from './cookie.ts';
import { connection, type Register, registers } from './registers.ts';
import { tables } from './tables.ts';

function bits(r: Register): string {
  return `${r.field}[${r.offset}..${r.offset + r.bits - 1}]`;
}

export function pipelineDocument(): string {
  const lines = [
    '# The pipeline',
    '',
    'Generated from `src/pipeline` by `npm run docs`; a test holds the two together. A miss is a drop in every table.',
    '',
    '## Tables',
    '',
  ];
  for (const table of Object.values(tables)) {
    lines.push(`### ${table.id} ${table.name}`, '', `${table.purpose}.`, '');
    lines.push(
      table.next.length > 0 ? `A hit goes on to ${table.next.join(' or ')}.` : 'The packet leaves the pipeline here.',
      '',
    );
    if (table.back !== undefined)
      lines.push(`What is sent through the tables anew goes to ${table.back.join(' or ')}.`, '');
    if (table.controller !== undefined) lines.push(`To the controller: ${table.controller}.`, '');
    lines.push('| priority | what |', '| --- | --- |');
    for (const p of table.priorities) lines.push(`| ${p.from === p.to ? p.from : `${p.from}-${p.to}`} | ${p.what} |`);
    lines.push('');
  }
  lines.push('## Registers', '', '| name | bits | what |', '| --- | --- | --- |');
  for (const r of [...Object.values(registers), ...Object.values(connection)])
    lines.push(`| ${r.name} | \`${bits(r)}\` | ${r.purpose} |`);
  lines.push(
    '',
    '## Cookie',
    '',
    `\`generation 12 | stage 8 | reserved 4 | resource number 40\`, most significant first. The generation is ${generation}, the stage the`,
    'number of the table, the resource number that of the object the flow serves (0: the pipeline itself).',
    '',
  );
  return lines.join('\n');
}
