/** `where`: which port has an address, and on which hypervisor it is. */
import type { Handler } from '../command.ts';
import { parsePath } from '../names.ts';
import { safe } from '../style.ts';
import { at, cell, Table } from '../table.ts';

type Found = { path: string; port: Record<string, unknown> };
type FoundAddress = { path: string; publicIp: Record<string, unknown>; hypervisors?: string[] };

export const where: Handler = async ({ session, args }) => {
  const client = await session.client();
  const written = args.positionals[0]!.trim();
  const { body } = await client.request('GET', '/v1/where', { query: { q: written } });
  const { ports, publicIps = [] } = body as { ports: Found[]; publicIps?: FoundAddress[] };
  const none = ports.length === 0 && publicIps.length === 0;
  const format = session.format();
  if (await session.printAs(format, body)) return none ? 1 : 0;
  if (none) {
    session.note(`No port and no public address has ${safe(written)}.\n`);
    return 1;
  }
  const name = ({ path }: { path: string }) => safe(parsePath(path)?.names.join('/') ?? path);
  if (format === 'name') {
    for (const one of [...ports, ...publicIps]) session.print(`${name(one)}\n`);
    return 0;
  }
  const addresses = (found: FoundAddress[]): void => {
    const titles = ['PUBLIC-IP', 'ADDRESS', 'POOL', 'HYPERVISORS'];
    const page = new Table(
      titles.map((title) => ({ title })),
      session.paint,
      session.columns,
    );
    const row = (one: FoundAddress) => [
      name(one),
      cell(one.publicIp.address),
      cell(one.publicIp.pool),
      cell(one.hypervisors),
    ];
    session.print(page.whole(found.map(row)));
  };
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
  if (publicIps.length > 0) addresses(publicIps);
  if (ports.length === 0) return 0;
  const table = new Table(
    columns.map(([title]) => ({ title })),
    session.paint,
    session.columns,
  );
  session.print(table.whole(ports.map((one) => columns.map(([, value]) => value(one)))));
  return 0;
};
