/** `port usage`, `public-ip usage`, `usage list`: what was received and sent. */
import type { Handler, Run } from '../command.ts';
import { UsageError } from '../errors.ts';
import { Table } from '../table.ts';
import { target } from './target.ts';

type Traffic = { packets: number; bytes: number };
type Figures = { received: Traffic; sent: Traffic; since: number; at: number };
type Item = Figures & { kind: string; path: string; uid: string; until?: number };
type Page = { items: Item[]; next?: string; until: number };

export const usage: Handler = async (run) => {
  const { session } = run;
  const { path } = await target(run);
  const client = await session.client();
  const { body } = await client.request('GET', `/v1/${path}/usage`);
  if (await session.printAs(session.format('text'), body)) return 0;
  const { received, sent, since, complete } = body as Figures & { complete: boolean };
  const columns = ['WHAT', 'PACKETS', 'BYTES'].map((title) => ({ title }));
  const row = (direction: string, { packets, bytes }: Traffic) => [direction, String(packets), String(bytes)];
  const table = new Table(columns, session.paint, session.columns);
  session.print(table.whole([row('received', received), row('sent', sent)]));
  session.note(`Since ${new Date(since).toISOString()}.\n`);
  if (!complete) session.note('Some switches could not be asked: there may be more.\n');
  return 0;
};

const pageSize = 1_000;

export const list: Handler = async (run) => {
  const { session, args } = run;
  const client = await session.client();
  const query = new URLSearchParams({ limit: String(pageSize) });
  const tenant = args.value('tenant');
  if (tenant !== undefined) query.set('tenant', tenant);
  const since = sinceOf(run);
  if (since !== undefined) query.set('since', String(since));
  const items: Item[] = [];
  for (;;) {
    const { body } = await client.request('GET', `/v1/usage?${query}`);
    const page = body as Page;
    items.push(...page.items);
    if (page.next !== undefined) {
      query.set('cursor', page.next);
      continue;
    }
    if (await session.printAs(session.format('text'), { items, until: page.until })) return 0;
    break;
  }
  const titles = ['PATH', 'RECEIVED', 'SENT', 'SINCE', 'UNTIL'];
  const table = new Table(
    titles.map((title) => ({ title })),
    session.paint,
    session.columns,
  );
  const day = (time: number | undefined) => (time === undefined ? '' : new Date(time).toISOString().slice(0, 10));
  session.print(
    table.whole(
      items.map(({ path, received, sent, since: begun, until }) => [
        path.replace(/^tenants\//, ''),
        String(received.bytes),
        String(sent.bytes),
        day(begun),
        day(until),
      ]),
    ),
  );
  return 0;
};

/** @throws UsageError */
function sinceOf({ args }: Run): number | undefined {
  const text = args.value('since');
  if (text === undefined) return undefined;
  const time = /^\d+$/.test(text) ? Number(text) : Date.parse(text);
  if (Number.isSafeInteger(time) && time >= 0) return time;
  throw new UsageError(`--since ${text}: not a time`, 'Give 2026-01-31, 2026-01-31T12:00:00Z, or milliseconds.');
}
