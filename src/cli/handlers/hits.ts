/** `rule hits`, `policy hits`: how many packets a rule or policy decided. */
import type { Handler } from '../command.ts';
import { Table } from '../table.ts';
import { target } from './target.ts';

type Counted = { packets: number; bytes: number };
type Hits = Counted & { carried: Counted; complete: boolean };

export const hits: Handler = async (run) => {
  const { session } = run;
  const { path } = await target(run);
  const client = await session.client();
  const { body } = await client.request('GET', `/v1/${path}/hits`);
  if (await session.printAs(session.format('text'), body)) return 0;
  const { carried, complete, ...decided } = body as Hits;
  const columns = ['WHAT', 'PACKETS', 'BYTES'].map((title) => ({ title }));
  const row = (direction: string, { packets, bytes }: Counted) => [direction, String(packets), String(bytes)];
  const table = new Table(columns, session.paint, session.columns);
  session.print(table.whole([row('decided', decided), row('carried', carried)]));
  if (!complete) session.note('Some switches could not be asked: there may be more.\n');
  return 0;
};
