/** From a store to a backup to a store: the same, or none. */
import { createHash } from 'node:crypto';
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ephemeralDirectory } from '../../src/sandbox/ephemeral.ts';
import { BackupError, backupOf } from '../../src/store/backup.ts';
import { openLevelStore } from '../../src/store/level.ts';
import { MemoryDisk, openMemoryStore } from '../../src/store/memory.ts';
import { restoreLevelStore } from '../../src/store/restore.ts';
import { schema } from '../../src/store/schema.ts';
import type { Entry, Store } from '../../src/store/store.ts';

async function backup(store: Store): Promise<Buffer> {
  await using snapshot = await store.snapshot();
  const pieces: Buffer[] = [];
  for await (const piece of backupOf(snapshot, '9.9.9')) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** In pieces of the size, as a stream gives them. */
async function* pieces(bytes: Buffer, size = 1000): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** The backup with another last line that fits what stands before it. */
function sealed(text: string, entries: number): Buffer {
  const body = Buffer.from(text);
  const end = JSON.stringify({ entries, sha256: createHash('sha256').update(body).digest('hex') });
  return Buffer.concat([body, Buffer.from(`${end}\n`)]);
}

async function withSome(): Promise<Store> {
  const store = openMemoryStore();
  await store.commit({ put: new Map([['a', '1']]) });
  await store.commit({
    put: new Map([
      ['b', '"\u2028\u{1f600}\\n"'],
      ['c', '"ä"'],
    ]),
  });
  await store.commit({ delete: ['a'] });
  return store;
}

test('what comes out is what went in: entries, their revisions, where the store goes on', async () => {
  await using place = ephemeralDirectory('kw-backup-');
  let run = 0;
  const key = fc.stringMatching(/^[ -~]{1,12}$/);
  const value = fc.oneof(
    fc.json({ maxDepth: 2 }),
    fc.string({ unit: 'binary' }).map((s) => JSON.stringify(s)),
  );
  const commits = fc.array(fc.array(fc.tuple(key, fc.option(value, { freq: 4 })), { maxLength: 12 }), {
    maxLength: 12,
  });
  await fc.assert(
    fc.asyncProperty(commits, fc.integer({ min: 1, max: 300 }), async (all, size) => {
      const store = openMemoryStore({ disk: new MemoryDisk() });
      for (const writes of all) {
        const put = new Map<string, string>();
        const gone = new Set<string>();
        for (const [k, v] of writes) {
          if (v === null) gone.add(k);
          else put.set(k, v);
        }
        await store.commit({ put, delete: [...gone].filter((k) => !put.has(k)) });
      }
      const before = await store.list('');
      const directory = `${place.path}/${run++}/store`;
      const restored = await restoreLevelStore(directory, pieces(await backup(store), size));
      expect(restored).toMatchObject({ keyway: '9.9.9', revision: before.revision, entries: before.entries.length });
      const again = await openLevelStore(directory);
      try {
        expect(await again.list('')).toEqual(before);
        expect([again.revision, again.oldest, again.next]).toEqual([
          before.revision,
          before.revision,
          before.revision + 1,
        ]);
        // Expectations are judged by the revisions there were.
        const expected = new Map(before.entries.map((entry: Entry) => [entry.key, entry.revision]));
        const next = await again.commit({ expect: expected, put: new Map([['new', '1']]) });
        expect(next).toEqual({ ok: true, revision: before.revision + 1 });
        for await (const change of again.watch(before.revision)) {
          expect(change.writes.map(({ key: k }) => k)).toEqual(['new']);
          break;
        }
        if (before.revision > 0) {
          const older = again.watch(before.revision - 1)[Symbol.asyncIterator]();
          await expect(older.next()).rejects.toMatchObject({ code: 'events.compacted' });
        }
      } finally {
        await again.close();
      }
    }),
    { numRuns: 25 },
  );
});

test('a backup made of a level store while it is written to is one revision of it', async () => {
  await using place = ephemeralDirectory('kw-backup-');
  const store = await openLevelStore(`${place.path}/store`);
  const states = new Map<number, Entry[]>();
  let writing = true;
  const writer = (async () => {
    for (let r = 1; r <= 400; r++) {
      // All keys in each commit: two revisions in one backup would show.
      await store.commit({ put: new Map(['a', 'b', 'z'].map((k) => [k, `${r}`])) });
      states.set(r, (await store.list('')).entries);
    }
    writing = false;
  })();
  let made = 0;
  while (writing) {
    const bytes = await backup(store);
    const directory = `${place.path}/copy${made++}`;
    const { revision } = await restoreLevelStore(directory, pieces(bytes));
    if (revision === 0) continue;
    const copy = await openLevelStore(directory);
    const { entries } = await copy.list('');
    expect(entries).toEqual(['a', 'b', 'z'].map((key) => ({ key, value: `${revision}`, revision })));
    await copy.close();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await writer;
  expect(made).toBeGreaterThan(2);
  await store.close();
});

describe('is refused, and nothing is left behind,', () => {
  async function refused(bytes: Buffer, message: RegExp, directory?: string): Promise<void> {
    await using place = ephemeralDirectory('kw-backup-');
    const target = directory ?? `${place.path}/deep/store`;
    const restoring = restoreLevelStore(target, pieces(bytes));
    await expect(restoring).rejects.toBeInstanceOf(BackupError);
    await expect(restoring).rejects.toThrow(message);
    if (directory === undefined) expect(await readdir(`${place.path}/deep`)).toEqual([]);
  }

  test('a backup that was cut off, wherever that was', async () => {
    const whole = await backup(await withSome());
    // The last byte is the line feed of the last line.
    for (let length = 0; length < whole.length; length += 7) {
      await refused(whole.subarray(0, length), /cut off|is empty|no backup/);
    }
    await refused(whole.subarray(0, -1), /cut off/);
  });

  test('a backup in which any byte was changed', async () => {
    const whole = await backup(await withSome());
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), async (at, by) => {
        const changed = Buffer.from(whole);
        changed[at] = changed[at]! ^ by;
        await refused(changed, /./);
      }),
      { numRuns: 60 },
    );
  });

  test.each<[string, string, number, RegExp]>([
    ['another file', 'name,mac\nweb1,02:00\n', 0, /no backup of Keyway/],
    ['a header without a revision', '{"keyway":"1","schema":1,"at":"x"}\n', 0, /no backup of Keyway/],
    [
      'an entry from beyond the revision',
      '{"keyway":"1","schema":1,"revision":1,"at":"x"}\n{"key":"a","revision":2,"value":"1"}\n',
      1,
      /Line 2/,
    ],
    [
      'a key twice',
      `{"keyway":"1","schema":1,"revision":1,"at":"x"}\n${'{"key":"a","revision":1,"value":"1"}\n'.repeat(2)}`,
      2,
      /Line 3/,
    ],
    [
      'a key that is none',
      '{"keyway":"1","schema":1,"revision":1,"at":"x"}\n{"key":"ä","revision":1,"value":"1"}\n',
      1,
      /cannot be stored/,
    ],
    ['another number of entries', '{"keyway":"1","schema":1,"revision":1,"at":"x"}\n', 1, /has 0 entries and says 1/],
  ])('%s', async (_, text, entries, message) => {
    await refused(sealed(text, entries), message);
  });

  test('what goes on behind its end', async () => {
    const whole = await backup(await withSome());
    await refused(Buffer.concat([whole, Buffer.from('\n')]), /behind its last line/);
  });

  test('a directory in which there is something, of another store or not', async () => {
    await using place = ephemeralDirectory('kw-backup-');
    const whole = await backup(await withSome());
    await mkdir(`${place.path}/full`);
    await writeFile(`${place.path}/full/file`, 'x');
    await refused(whole, /not empty/, `${place.path}/full`);
    const store = await openLevelStore(`${place.path}/store`);
    await refused(whole, /not empty/, `${place.path}/store`);
    await store.close();
    expect((await readdir(place.path)).sort()).toEqual(['full', 'store']);
    await mkdir(`${place.path}/empty`);
    expect(await restoreLevelStore(`${place.path}/empty`, pieces(whole))).toMatchObject({ revision: 3, entries: 2 });
  });

  test('a backup of a newer Keyway', async () => {
    await using place = ephemeralDirectory('kw-backup-');
    const header = { keyway: '7.0.0', schema: schema.version + 1, revision: 1, at: 'x' };
    const newer = sealed(`${JSON.stringify(header)}\n`, 0);
    await expect(restoreLevelStore(`${place.path}/store`, pieces(newer))).rejects.toMatchObject({
      code: 'store.too-new',
      detail: expect.stringMatching(/Keyway 7\.0\.0 with schema version 2/),
    });
    expect(await readdir(place.path)).toEqual([]);
  });
});

test('a backup of an older Keyway is brought up when the store is opened', async () => {
  await using place = ephemeralDirectory('kw-backup-');
  const directory = `${place.path}/store`;
  await restoreLevelStore(directory, pieces(await backup(await withSome())));
  const plan = async () => [{ type: 'put' as const, key: 'd/c', value: '3 "brought up"' }];
  const next = { version: schema.version + 1, migrations: [{ to: schema.version + 1, plan }] };
  const store = await openLevelStore(directory, { schema: next });
  expect(await store.get('c')).toEqual({ key: 'c', value: '"brought up"', revision: 3 });
  await store.close();
});

test("what is restored is nobody else's to read", async () => {
  await using place = ephemeralDirectory('kw-backup-');
  await restoreLevelStore(`${place.path}/data/store`, pieces(await backup(await withSome())));
  for (const path of ['data', 'data/store', 'data/store/journal']) {
    expect((await stat(`${place.path}/${path}`)).mode & 0o777, path).toBe(0o700);
  }
});
