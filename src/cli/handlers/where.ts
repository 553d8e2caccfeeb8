/** `where`: which port has an address, and on which hypervisor it is. */
import type { Handler } from '../command.ts';
import { parsePath } from '../names.ts';
import { safe } from '../style.ts';
import { at, cell, Table } from '../table.ts';

type Found = { path: string; port: Record<string, unknown> };

export const where: Handler = async ({ session, args }) => {
  const client = await session.client();
  const written = args.positionals[0]!.trim();
  const { body } = await client.request('GET', '/v1/where', { query: { q: written } });
  const { ports } = body as { ports: Found[] };
  const none = ports.length === 0;
  const format = session.format();
  if (await session.printAs(format, body)) return none ? 1 : 0;
  if (none) {
    session.note(`No port has ${safe(written)}.\n`);
    return 1;
  }
  const name = ({ path }: Found) => safe(parsePath(path)?.names.join('/') ?? path);
  if (format === 'name') {
    for (const one of ports) session.print(`${name(one)}\n`);
    return 0;
  }
  const columns: [title: string, value: (found: Found) => string][] = [
    ['PORT', name],
    ['MAC', ({ port }) => cell(port.mac)],
    ['IPS', ({ port }) => cell(port.ips)],
    ['HYPERVISOR', ({ port }) => cell(at(port, '/binding/hypervisor'))],
    ['INTERFACE', ({ port }) => cell(at(port, '/binding/interface'))],
    ['OFPORT', ({ port }) => cell(at(port, '/binding/ofport'))],
  ];
  if (format === 'wide')
    columns.push(
      ['ZONE', ({ port }) => cell(at(port, '/binding/zone'))],
      ['IFACE-ID', ({ port }) => cell(port.ifaceId)],
    );
  const table = new Table(
    columns.map(([title]) => ({ title })),
    session.paint,
    session.columns,
  );
  session.print(table.whole(ports.map((one) => columns.map(([, value]) => value(one)))));
  return 0;
};
