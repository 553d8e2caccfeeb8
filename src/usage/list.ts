/** Pages of what was written down: what there is by path, then what was deleted, by tenant, oldest first. */
import { Problem } from '../problems.ts';
import { finalsSince } from './finals.ts';
import { type Account, finalPrefix, finalsOf, livePrefix } from './ledger.ts';
import type { UsageItem, UsagePage, UsageQuery } from './service.ts';
import type { UsageStorage } from './storage.ts';

/** Records looked at for one page: a page may be short, and the next one begin where it ended. */
const lookedAt = 10_000;
const readAtOnce = 1_000;

/** @param now milliseconds since the epoch. @throws Problem cursor.invalid, store.unavailable */
export async function listUsage(
  storage: UsageStorage,
  { limit, cursor, since = 0, tenant, asTenant = false }: UsageQuery,
  now: number,
): Promise<UsagePage> {
  const begun = cursor === undefined ? { at: now, after: livePrefix } : parseCursor(cursor);
  const live = tenant === undefined ? livePrefix : `${livePrefix}${tenant}/`;
  const finals = tenant === undefined ? finalPrefix : finalsOf(tenant);
  const items: UsageItem[] = [];
  let looked = 0;
  let last = begun.after;
  const page = (more: boolean): UsagePage => ({
    items,
    next: more ? formatCursor(begun.at, last) : undefined,
    until: begun.at,
  });
  for await (const { key, value } of records(storage, live, finals, since, begun.after)) {
    if (items.length === limit || looked === lookedAt) return page(true);
    looked++;
    last = key;
    const account = JSON.parse(value) as Account;
    if (asTenant && account.hidden === true) continue;
    if ((account.until ?? account.at) >= since) items.push(itemOf(account));
  }
  return page(false);
}

async function* records(
  storage: UsageStorage,
  live: string,
  finals: string,
  since: number,
  after: string,
): AsyncGenerator<{ key: string; value: string }, void, void> {
  if (after.startsWith(livePrefix)) {
    for (let behind = after; ; ) {
      const read = await storage.list({ prefix: live, limit: readAtOnce, after: behind });
      for (const [key, value] of read) yield { key, value };
      if (read.length < readAtOnce) break;
      behind = read.at(-1)![0];
    }
  }
  yield* finalsSince(storage, finals, since, after.startsWith(finalPrefix) ? after : undefined);
}

function itemOf({ kind, path, uid, received, sent, since, at, until }: Account): UsageItem {
  return { kind, path, uid, received, sent, since, at, ...(until === undefined ? {} : { until }) };
}

/** The time of the first page and the last key that was looked at. */
function formatCursor(at: number, after: string): string {
  return Buffer.from(`${at} ${after}`).toString('base64url');
}

function parseCursor(cursor: string): { at: number; after: string } {
  const [, at, after] = /^(\d{1,15}) ([lf]\/[ -~]*)$/.exec(Buffer.from(cursor, 'base64url').toString('latin1')) ?? [];
  if (at === undefined || after === undefined)
    throw new Problem('cursor.invalid', `${JSON.stringify(cursor)} is not a cursor.`);
  return { at: Number(at), after };
}
