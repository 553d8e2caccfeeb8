/** `connectivity check`: which tunnels carry frames. */
import type { Handler } from '../command.ts';
import { type Colour, safe } from '../style.ts';
import { Table } from '../table.ts';

type Way = { from: string; to: string; probes: string; sizes: { size: number; arrived: boolean }[]; bfd?: string };

type Found = {
  a: string;
  b: string;
  state: 'ok' | 'warn' | 'fail';
  ways: [Way, Way];
  found: string;
  advice: string;
};

type Connectivity = { worst: 'ok' | 'warn' | 'fail'; pairs: Found[] };

const colours: Record<string, Colour> = { ok: 'green', warn: 'yellow', fail: 'red' };

/** Milliseconds: every pair has its turn. */
const usualTimeout = 300_000;

export const check: Handler = async ({ session, args }) => {
  const hypervisors = args
    .value('hypervisors')
    ?.split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  const client = await session.client();
  const { body } = await client.request('POST', '/v1/connectivity', {
    body: hypervisors === undefined ? {} : { hypervisors },
    timeout: session.timeout() ?? usualTimeout,
  });
  const { worst, pairs } = body as Connectivity;
  const status = worst === 'fail' ? 1 : 0;
  if (await session.printAs(session.format('text'), body)) return status;
  if (pairs.length === 0) {
    session.note('There is no tunnel: hypervisors have one where they share a tenant.\n');
    return status;
  }
  const paint = (state: string) => session.paint(colours[state] ?? 'bold', state);
  const columns = [
    { title: 'STATE', paint },
    ...['BETWEEN', 'THERE', 'BACK', 'SIZES', 'BFD', 'FOUND', 'WHAT TO DO'].map((title) => ({ title })),
  ];
  const rows = pairs.map(({ a, b, state, ways: [there, back], found, advice }) =>
    [
      state,
      `${a}, ${b}`,
      there.probes,
      back.probes,
      `${largest(there)}, ${largest(back)}`,
      there.bfd === undefined && back.bfd === undefined ? '-' : `${there.bfd ?? '-'}, ${back.bfd ?? '-'}`,
      found,
      advice === '' ? '-' : advice,
    ].map(safe),
  );
  session.print(new Table(columns, session.paint, session.columns).whole(rows));
  return status;
};

function largest({ sizes }: Way): string {
  const arrived = sizes.filter((one) => one.arrived).map((one) => one.size);
  return arrived.length === 0 ? '-' : String(Math.max(...arrived));
}
