/** Both storages alike; what is deleted is found by tenant and time, and forgotten in time; pages tell everything once. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { forgetFinals } from '../../src/usage/finals.ts';
import { Ledger, type Owner } from '../../src/usage/ledger.ts';
import { openUsageStorage } from '../../src/usage/level-storage.ts';
import { listUsage } from '../../src/usage/list.ts';
import type { UsageItem } from '../../src/usage/service.ts';
import { MemoryStorage, type UsageStorage } from '../../src/usage/storage.ts';

const key = fc.stringMatching(/^[lfc]\/[a-z0-9/-]{0,6}$/);
const batches = fc.array(
  fc.record({ put: fc.dictionary(key, fc.stringMatching(/^[0-9]{1,4}$/)), delete: fc.array(key, { maxLength: 4 }) }),
  { maxLength: 5 },
);

test('LevelDB keeps what memory keeps, over a restart too', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'keyway-usage-'));
  let run = 0;
  try {
    await fc.assert(
      fc.asyncProperty(batches, key, key, async (list, prefix, after) => {
        const place = join(directory, String(run++));
        const memory = new MemoryStorage();
        let level = await openUsageStorage(place);
        for (const { put, delete: gone } of list) {
          const batch = { put: new Map(Object.entries(put)), delete: gone.filter((k) => !(k in put)) };
          await memory.write(batch);
          await level.write(batch);
        }
        await level.close();
        level = await openUsageStorage(place);
        for (const range of [
          { prefix: 'l/', limit: 100 },
          { prefix: prefix.slice(0, 3), limit: 2, after },
          { prefix: 'f/', limit: 3, after },
        ])
          expect(await level.list(range)).toEqual(await memory.list(range));
        await level.close();
      }),
      { numRuns: 25 },
    );
  } finally {
    await rm(directory, { recursive: true });
  }
});

test('a directory that another process has open is refused with a word', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'keyway-usage-'));
  try {
    const storage = await openUsageStorage(directory);
    await expect(openUsageStorage(directory)).rejects.toMatchObject({ code: 'store.unavailable' });
    await storage.close();
  } finally {
    await rm(directory, { recursive: true });
  }
});

const tenants = ['acme', 'acme-b', 'acme0', 'zeta'];

type Had = { tenant: string; used: number; until: number | undefined };

/** @returns what each should be told as, by path */
async function filled(storage: UsageStorage, all: readonly Had[]): Promise<void> {
  let seconds = 1;
  const ledger = new Ledger({ now: () => seconds * 1_000, monotonic: () => seconds * 1_000 });
  all.forEach(({ tenant, used, until }, i) => {
    const owner: Owner = { kind: 'public-ip', path: pathOf(tenant, i), uid: `uid-${i}`, createdAt: 0 };
    seconds = 5;
    ledger.take(
      owner,
      1,
      `a${i}.x`,
      { received: { packets: used, bytes: used }, sent: { packets: 0, bytes: 0 } },
      ledger.ask(),
    );
    if (until !== undefined) ledger.end(owner, until * 1_000);
  });
  await storage.write(ledger.takeBatch() ?? { put: new Map(), delete: [] });
}

const pathOf = (tenant: string, i: number): string => `tenants/${tenant}/networks/n/public-ips/a${i}`;

const population = fc.array(
  fc.record({
    tenant: fc.constantFrom(...tenants),
    used: fc.integer({ min: 1, max: 9 }),
    until: fc.option(fc.integer({ min: 6, max: 30 }), { nil: undefined }),
  }),
  { minLength: 1, maxLength: 25 },
);

async function wholeList(storage: UsageStorage, query: { tenant?: string; since?: number; limit: number }) {
  const items: UsageItem[] = [];
  for (let cursor: string | undefined, pages = 0; ; pages++) {
    expect(pages).toBeLessThan(60);
    const page = await listUsage(storage, { ...query, cursor }, 77_000);
    expect(page.items.length).toBeLessThanOrEqual(query.limit);
    expect(page.until).toBe(77_000);
    items.push(...page.items);
    if (page.next === undefined) return items;
    cursor = page.next;
  }
}

test('every page size tells the same, once each: by tenant, and since a time', async () => {
  await fc.assert(
    fc.asyncProperty(
      population,
      fc.integer({ min: 1, max: 9 }),
      fc.option(fc.constantFrom(...tenants), { nil: undefined }),
      fc.option(fc.integer({ min: 0, max: 31 }), { nil: undefined }),
      async (all, limit, tenant, since) => {
        const storage = new MemoryStorage();
        await filled(storage, all);
        const found = await wholeList(storage, {
          limit,
          ...(tenant === undefined ? {} : { tenant: `tenants/${tenant}` }),
          ...(since === undefined ? {} : { since: since * 1_000 }),
        });
        const wanted = all.flatMap((had, i) =>
          (tenant === undefined || had.tenant === tenant) && (had.until ?? 5) >= (since ?? 0)
            ? [pathOf(had.tenant, i)]
            : [],
        );
        expect(found.map(({ path }) => path).sort()).toEqual(wanted.sort());
        for (const { path, until, received } of found) {
          const had = all[Number(/\d+$/.exec(path)![0])]!;
          expect(until).toBe(had.until === undefined ? undefined : had.until * 1_000);
          expect(received.packets).toBe(had.used);
        }
      },
    ),
    { numRuns: 150 },
  );
});

test('what was deleted before a time is forgotten, and nothing else', async () => {
  await fc.assert(
    fc.asyncProperty(population, fc.integer({ min: 0, max: 31 }), async (all, before) => {
      const storage = new MemoryStorage();
      await filled(storage, all);
      await forgetFinals(storage, before * 1_000);
      const found = await wholeList(storage, { limit: 100 });
      const kept = all.flatMap((had, i) => ((had.until ?? 99) >= before ? [pathOf(had.tenant, i)] : []));
      expect(found.map(({ path }) => path).sort()).toEqual(kept.sort());
    }),
    { numRuns: 100 },
  );
});

test('what is no cursor is refused', async () => {
  const bad = ['x', Buffer.from('12').toString('base64url'), Buffer.from('1 c/1/p1').toString('base64url')];
  for (const cursor of bad)
    await expect(listUsage(new MemoryStorage(), { limit: 1, cursor }, 0)).rejects.toMatchObject({
      code: 'cursor.invalid',
    });
});
