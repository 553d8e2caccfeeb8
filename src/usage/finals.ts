/** Records of what was deleted: by tenant, oldest first, so that those before a time are passed over or removed at once. */
import { finalPrefix, time } from './ledger.ts';
import type { UsageStorage } from './storage.ts';

const atOnce = 1_000;

export type Final = { key: string; value: string };

/**
 * Those that were deleted at the time or later, by tenant.
 * @param prefix of all tenants, or of one
 * @param after behind this key
 */
export async function* finalsSince(
  storage: UsageStorage,
  prefix: string,
  since: number,
  after?: string,
): AsyncGenerator<Final, void, void> {
  for (let behind = after; ; ) {
    const read = await storage.list({ prefix, limit: atOnce, after: behind });
    let passedOver = false;
    for (const [key, value] of read) {
      const begin = beginOf(key) + time(since);
      behind = key < begin ? begin : key;
      passedOver = key < begin;
      if (passedOver) break;
      yield { key, value };
    }
    if (!passedOver && read.length < atOnce) return;
  }
}

/** Removes those that were deleted before the time. Costs what they are, and a look at each tenant. */
export async function forgetFinals(storage: UsageStorage, before: number): Promise<void> {
  for (let behind: string | undefined; ; ) {
    const read = await storage.list({ prefix: finalPrefix, limit: atOnce, after: behind });
    const old: string[] = [];
    for (const [key] of read) {
      const begin = beginOf(key);
      const kept = key >= begin + time(before);
      // To the next tenant: `0` sorts right behind `/`.
      behind = kept ? `${begin.slice(0, -1)}0` : key;
      if (kept) break;
      old.push(key);
    }
    if (old.length > 0) await storage.write({ put: new Map(), delete: old });
    if (read.length === 0) return;
  }
}

/** `f/TENANT/` of a key. */
function beginOf(key: string): string {
  return key.slice(0, key.indexOf('/', finalPrefix.length) + 1);
}
