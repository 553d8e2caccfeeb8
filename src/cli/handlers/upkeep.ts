/** `doctor`, `recompute` and `compact`. */
import type { Handler } from '../command.ts';
import { UsageError } from '../errors.ts';
import type { Session } from '../session.ts';
import { type Colour, safe } from '../style.ts';
import { record, Table } from '../table.ts';

/** Milliseconds: every switch may have to be read. */
const usualTimeout = 300_000;

type State = 'ok' | 'warn' | 'fail';
type Diagnosis = {
  worst: State;
  checks: { check: string; object: string; state: State; found: string; advice: string }[];
};

const colours: Record<State, Colour> = { ok: 'green', warn: 'yellow', fail: 'red' };

function patience(session: Session): { timeout: number } {
  return { timeout: session.timeout() ?? usualTimeout };
}

export const doctor: Handler = async ({ session, args }) => {
  const client = await session.client();
  const query = args.has('quick') ? { quick: 'true' } : {};
  const { body } = await client.request('GET', '/v1/doctor', { query, ...patience(session) });
  const { worst, checks } = body as Diagnosis;
  const status = worst === 'fail' ? 1 : 0;
  if (await session.printAs(session.format('text'), body)) return status;
  const paint = (state: string) => session.paint(colours[state as State] ?? 'bold', state);
  const columns = [
    { title: 'STATE', paint },
    ...['CHECK', 'OBJECT', 'FOUND', 'WHAT TO DO'].map((title) => ({ title })),
  ];
  const rows = checks.map(({ check, object, state, found, advice }) =>
    [state, check, object, found, advice === '' ? '-' : advice].map(safe),
  );
  session.print(new Table(columns, session.paint, session.columns).whole(rows));
  return status;
};

type Recomputation = {
  subjects: number;
  units: number;
  different: { unit: string; subject?: string; where: string; what: string; hypervisors: string[] }[];
  unsettled: string[];
  mended: boolean;
  took: number;
  longestSlice: number;
};

export const recompute: Handler = async ({ session, args }) => {
  const client = await session.client();
  const rehearsal = args.has('dry-run');
  const { body } = await client.request(rehearsal ? 'GET' : 'POST', '/v1/recompute', patience(session));
  const { subjects, units, different, unsettled, mended, took, longestSlice } = body as Recomputation;
  const status = (different.length > 0 && !mended) || unsettled.length > 0 ? 1 : 0;
  if (await session.printAs(session.format('text'), body)) return status;
  if (different.length > 0) {
    const columns = ['UNIT', 'WHERE', 'DIFFERENCE', 'HYPERVISORS', 'COMPILED FROM'].map((title) => ({ title }));
    const rows = different.map((one) =>
      [one.unit, one.where, one.what, one.hypervisors.join(', ') || '-', one.subject ?? '-'].map(safe),
    );
    session.print(`${new Table(columns, session.paint, session.columns).whole(rows)}\n`);
  }
  for (const subject of unsettled) session.print(`${safe(subject)} kept changing while it was looked at\n`);
  const found =
    different.length === 0
      ? 'nothing differs'
      : `${different.length} differ${different.length === 1 ? 's' : ''}${mended ? ', and sent again' : ''}`;
  const slices = `in slices of ${longestSlice.toFixed(1)} ms at most`;
  session.print(
    `${units} units of ${subjects} subjects compiled anew in ${(took / 1000).toFixed(2)} s, ${slices}: ${found}.\n`,
  );
  return status;
};

type Compacted = { revision: number; oldest: number; before?: number; after?: number };

export const compact: Handler = async ({ session, args }) => {
  const changes = args.value('changes');
  if (changes !== undefined && !/^[1-9]\d{3,8}$/.test(changes))
    throw new UsageError(`--changes ${changes}: not a number of changes`, 'Give 1000 or more.');
  const client = await session.client();
  const { body } = await client.request('POST', '/v1/compact', { query: { changes }, ...patience(session) });
  if (await session.printAs(session.format('text'), body)) return 0;
  const { revision, oldest, before, after } = body as Compacted;
  const entries: [string, string][] = [
    ['Revision', String(revision)],
    ['Changes kept since', String(oldest)],
  ];
  if (before !== undefined && after !== undefined)
    entries.push(['On the disk', `${(before / 2 ** 20).toFixed(1)} MB before, ${(after / 2 ** 20).toFixed(1)} MB now`]);
  session.print(record(entries, session.paint, session.columns));
  return 0;
};
