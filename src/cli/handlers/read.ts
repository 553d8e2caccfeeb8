/** `get` and `list` of every kind. */
import type { Handler, Run } from '../command.ts';
import { kindOf } from '../commands/resource.ts';
import { UsageError } from '../errors.ts';
import { filtersOf, queryOf } from '../filter.ts';
import type { KindModel } from '../model.ts';
import { notation, resolve } from '../names.ts';
import { listAll, listEverywhere, rowOf } from '../resources.ts';
import { describeItem, fullName, printItem, ResourceTable } from '../show.ts';
import { safe } from '../style.ts';
import { target } from './target.ts';

export const get: Handler = async (run) => {
  const { session } = run;
  const { kind, names, path } = await target(run);
  const client = await session.client();
  const { body } = await client.request('GET', `/v1/${path}`);
  const row = rowOf(kind, names.slice(0, -1), body as object);
  const format = session.format('text');
  if (!(await printItem(session, format, kind, row))) session.print(describeItem(session, kind, row));
  return 0;
};

/** Parents that the command line names; with `--all`, as many as it names from the outermost. */
async function parentsOf(run: Run, kind: KindModel): Promise<string[]> {
  const written = run.args.positionals[0];
  const flags = (parent: string) => run.args.value(parent);
  if (!run.args.has('all')) {
    const { defaults } = await run.session.settings();
    return resolve(kind, written, flags, defaults, false).names;
  }
  const names = written === undefined ? [] : written.replace(/\/$/, '').split('/');
  for (const parent of kind.parents.slice(names.length)) {
    const name = flags(parent);
    if (name === undefined) break;
    names.push(name);
  }
  if (names.length > kind.parents.length || names.includes('')) {
    throw new UsageError(`"${written}" is no place to list ${kind.segment} in`, `Write ${notation(kind, '')}`);
  }
  return names;
}

export const list: Handler = async (run) => {
  const { session, args } = run;
  const kind = kindOf(run.command);
  const filter = filtersOf(kind, args.all('filter'), args.all('label'));
  const query = queryOf(kind, args.all('filter'), args.all('label'));
  const parents = await parentsOf(run, kind);
  const client = await session.client();
  const format = session.format();
  const read = async () => {
    const listing = await (args.has('all') ? listEverywhere : listAll)(client, kind, parents, query);
    return { ...listing, rows: listing.rows.filter(({ item }) => filter(item)) };
  };
  if (args.has('watch')) {
    const { watch } = await import('./watch.ts');
    return watch({ session, client, kind, parents, filter, format, read });
  }
  const { rows, revision } = await read();
  const items = rows.map(({ item }) => item);
  if (await session.printAs(format, { items, revision })) return 0;
  if (format === 'name') {
    for (const row of rows) session.print(`${safe(fullName(row))}\n`);
    return 0;
  }
  if (rows.length === 0) {
    const filtered = args.has('filter') || args.has('label') ? ' that fit' : '';
    const where = parents.length > 0 ? ` in ${parents.join('/')}` : '';
    session.note(`No ${kind.segment}${where}${filtered}.\n`);
    return 0;
  }
  session.print(new ResourceTable(session, kind, format === 'wide', parents.length).whole(rows));
  return 0;
};
