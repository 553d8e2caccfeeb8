/** `where`: which port has an address, and on which hypervisor it is. */
import type { Handler } from '../command.ts';
import { parsePath } from '../names.ts';
import { safe } from '../style.ts';
import { at, cell, Table } from '../table.ts';

type Found = Record<string, unknown> & { path: string };

export const where: Handler = async ({ session, args }) => {
  const client = await session.client();
  const written = args.positionals[0]!.trim();
  const { body } = await client.request('GET', '/v1/where', { query: { q: written } });
  const { items } = body as { items: Found[] };
  const none = items.length === 0;
  const format = session.format();
  if (await session.printAs(format, body)) return none ? 1 : 0;
  if (none) {
    session.note(`No port has ${safe(written)}.\n`);
    return 1;
  }
  const name = ({ path }: Found) => safe(parsePath(path)?.names.join('/') ?? path);
  if (format === 'name') {
    for (const one of items) session.print(`${name(one)}\n`);
    return 0;
  }
  const columns: [title: string, value: (found: Found) => string][] = [
    ['PORT', name],
    ['MAC', (one) => cell(one.mac)],
    ['IPS', (one) => cell(one.ips)],
    ['HYPERVISOR', (one) => cell(at(one, '/binding/hypervisor'))],
    ['INTERFACE', (one) => cell(at(one, '/binding/interface'))],
    ['OFPORT', (one) => cell(at(one, '/binding/ofport'))],
  ];
  if (format === 'wide')
    columns.push(['ZONE', (one) => cell(at(one, '/binding/zone'))], ['IFACE-ID', (one) => cell(one.ifaceId)]);
  const table = new Table(
    columns.map(([title]) => ({ title })),
    session.paint,
    session.columns,
  );
  session.print(table.whole(items.map((one) => columns.map(([, value]) => value(one)))));
  return 0;
};
