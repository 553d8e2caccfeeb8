import { describe, expect, test } from 'vitest';
import { Audit, type AuditOptions, type AuditQuery, type Deed } from '../../src/auth/audit.ts';
import { MemoryDisk, openMemoryStore } from '../../src/store/memory.ts';

const deed = (n: number, more: Partial<Deed> = {}): Deed => ({
  by: { token: n % 3 === 0 ? 'third' : 'other', role: 'admin', tenant: undefined },
  action: 'put',
  target: `tenants/t${n}`,
  ...more,
});

function setUp(options: AuditOptions = {}, disk = new MemoryDisk()) {
  const store = openMemoryStore({ disk });
  let clock = 1_000;
  const load = () => Audit.load(store, { now: () => clock++, ...options });
  const keep = async (audit: Audit, n: number, more?: Partial<Deed>) => {
    const result = await store.commit({ put: new Map([audit.record(deed(n, more)), [`change/${n % 5}`, `${n}`]]) });
    if (!result.ok) throw new Error('conflict');
    return result.revision;
  };
  return { store, disk, load, keep };
}

async function pages(audit: Audit, query: AuditQuery): Promise<string[][]> {
  const all: string[][] = [];
  let cursor: string | undefined;
  do {
    const page = await audit.list({ ...query, cursor });
    all.push(page.records.map(({ target }) => target.slice('tenants/t'.length)));
    cursor = page.cursor;
  } while (cursor !== undefined);
  return all;
}

const down = (from: number, to: number) => Array.from({ length: from - to + 1 }, (_, at) => `${from - at}`);

describe('the audit', () => {
  test('finds the record of a revision, wherever it is, and none that is no longer kept', async () => {
    const { load, keep, store } = setUp();
    const audit = await load();
    const revisions: number[] = [];
    for (let n = 0; n < 400; n++) {
      revisions.push(await keep(audit, n));
      // Revisions that are no change of anybody's.
      if (n % 7 === 0) await store.commit({ put: new Map([['other', `${n}`]]) });
    }
    for (const n of [0, 1, 63, 64, 65, 200, 398, 399])
      expect((await audit.at(revisions[n]!))?.target, `${n}`).toBe(`tenants/t${n}`);
    expect(await audit.at(revisions[7]! + 1)).toBe(undefined);
    expect(await audit.at(100_000)).toBe(undefined);
  });

  test('says who did what when, in the commit of the change', async () => {
    const { load, keep } = setUp();
    const audit = await load();
    const more = { tenant: 'acme', request: 'req-7', from: '127.0.0.1' };
    const revision = await keep(audit, 1, more);
    expect(await audit.list({ limit: 10 })).toEqual({
      records: [
        {
          by: { token: 'other', role: 'admin' },
          action: 'put',
          target: 'tenants/t1',
          ...more,
          at: 1_000,
          sequence: 1,
          revision,
        },
      ],
      cursor: undefined,
    });
  });

  test('has no record of what the disk refused, and goes on', async () => {
    const { load, keep, disk } = setUp();
    const audit = await load();
    await keep(audit, 1);
    disk.refusal = new Error('full');
    await expect(keep(audit, 2)).rejects.toMatchObject({ code: 'store.unavailable' });
    disk.refusal = undefined;
    for (let tries = 0; ; tries++) {
      try {
        await keep(audit, 3);
        break;
      } catch (error) {
        if (tries > 100) throw error;
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
    expect((await pages(audit, { limit: 10 })).flat()).toEqual(['3', '1']);
  });

  test('is told newest first, page by page, also while it grows and across restarts', async () => {
    const { load, keep } = setUp();
    let audit = await load();
    expect(await audit.list({ limit: 5 })).toEqual({ records: [], cursor: undefined });
    for (let n = 1; n <= 12; n++) await keep(audit, n);
    audit = await load();
    for (let n = 13; n <= 25; n++) await keep(audit, n);
    expect(await pages(audit, { limit: 10 })).toEqual([down(25, 16), down(15, 6), down(5, 1)]);
    expect(await pages(audit, { limit: 25 })).toEqual([down(25, 1)]);
    expect(await pages(audit, { limit: 5 })).toHaveLength(5);
    const first = await audit.list({ limit: 3 });
    await keep(audit, 26);
    const second = await audit.list({ limit: 2, cursor: first.cursor });
    expect(second.records.map(({ sequence }) => sequence)).toEqual([22, 21]);
  });

  test('can be asked for one token, or one tenant', async () => {
    const { load, keep } = setUp();
    const audit = await load();
    for (let n = 1; n <= 2_000; n++) await keep(audit, n, n % 7 === 0 ? { tenant: 'seven' } : {});
    const multiples = (of: number) => down(Math.floor(2_000 / of), 1).map((n) => `${Number(n) * of}`);
    expect((await pages(audit, { limit: 100, by: 'third' })).flat()).toEqual(multiples(3));
    expect((await pages(audit, { limit: 7, tenant: 'seven' })).flat()).toEqual(multiples(7));
    expect((await pages(audit, { limit: 500, by: 'third', tenant: 'seven' })).flat()).toEqual(multiples(21));
    expect(await audit.list({ limit: 5, by: 'nobody' })).toEqual({ records: [], cursor: undefined });
  });

  test('is bounded, and stays so over restarts and refusals', async () => {
    const errors: unknown[] = [];
    const { load, keep, store, disk } = setUp({ records: 100, onError: (error) => errors.push(error) });
    let audit = await load();
    for (let n = 1; n <= 1_000; n++) {
      if (n % 150 === 0) {
        await audit.settled();
        audit = await load();
      }
      await keep(audit, n);
      expect((await store.list('audit/')).entries.length).toBeLessThanOrEqual(112);
    }
    await audit.settled();
    const kept = (await pages(audit, { limit: 1000 })).flat();
    expect(kept.length).toBeGreaterThanOrEqual(100);
    expect(kept).toEqual(down(1_000, 1_001 - kept.length));
    expect(errors).toEqual([]);
    disk.refusal = new Error('full');
    for (let n = 0; n < 20; n++) await expect(keep(audit, n)).rejects.toThrow();
    await audit.settled();
    expect(errors[0]).toMatchObject({ code: 'store.unavailable' });
    expect((await setUp({ records: 100 }, disk).load()).record(deed(1))[0]).toBe('audit/000000000001001');
  });

  test('is cut to a smaller bound in steps a commit can hold', async () => {
    const { load, keep, store, disk } = setUp();
    const audit = await load();
    for (let n = 1; n <= 2_500; n++) await keep(audit, n);
    const smaller = setUp({ records: 10 }, disk);
    const later = await smaller.load();
    await smaller.keep(later, 2_501);
    await later.settled();
    expect((await smaller.store.list('audit/')).entries).toHaveLength(10);
    await store.close();
  });

  test.each([
    '',
    'x',
    '!!!!',
    Buffer.from('12').toString('base64url'),
    Buffer.from('000000000000001x').toString('base64url'),
  ])('refuses the cursor %j', async (cursor) => {
    const audit = await setUp().load();
    await expect(audit.list({ limit: 1, cursor })).rejects.toMatchObject({ code: 'cursor.invalid' });
  });
});
