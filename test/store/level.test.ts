import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { Level } from 'level';
import { describe, expect, test } from 'vitest';
import { until } from '../../src/sandbox/ephemeral.ts';
import { openLevelStore } from '../../src/store/level.ts';
import { type Migration, schema } from '../../src/store/schema.ts';
import { VoidMark } from '../../src/store/void-mark.ts';
import { type LevelPlace, levelPlace } from './places.ts';

const put = (...pairs: [string, string][]) => ({ put: new Map(pairs) });

async function withDatabase<T>(place: LevelPlace, use: (database: Level<string, string>) => Promise<T>): Promise<T> {
  await mkdir(place.directory, { recursive: true });
  const database = new Level<string, string>(`${place.directory}/journal`);
  await database.open();
  try {
    return await use(database);
  } finally {
    await database.close();
  }
}

describe('the directory', () => {
  test('is made with mode 0700, parents and all', async () => {
    await using place = levelPlace();
    const store = await openLevelStore(`${place.directory}/deeper`);
    for (const path of ['', '/deeper', '/deeper/journal']) {
      expect((await stat(place.directory + path)).mode & 0o777, path).toBe(0o700);
    }
    for (const path of ['/deeper/void', '/deeper/holder.json']) {
      expect((await stat(place.directory + path)).mode & 0o077, path).toBe(0);
    }
    await store.close();
  });

  test('keeps what it holds from others also where it was made by somebody else', async () => {
    await using place = levelPlace();
    await mkdir(place.directory, { mode: 0o755 });
    await (await place.open()).close();
    expect((await stat(`${place.directory}/journal`)).mode & 0o777).toBe(0o700);
  });

  test('that cannot be made is a problem', async () => {
    await using place = levelPlace();
    await mkdir(place.directory);
    await writeFile(`${place.directory}/file`, '');
    await expect(openLevelStore(`${place.directory}/file/store`)).rejects.toMatchObject({
      code: 'store.unavailable',
      detail: expect.stringMatching(/ENOTDIR/),
    });
  });
});

describe('the lock', () => {
  test('names the process that holds it, and goes with it', async () => {
    await using place = levelPlace();
    const program = fileURLToPath(new URL('writer.ts', import.meta.url));
    const args = ['--pdeathsig', 'KILL', '--', process.execPath, program, place.directory, '0'];
    const holder = spawn('setpriv', args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let output = '';
    holder.stdout.on('data', (data: Buffer) => {
      output += data;
    });
    await until('the other process opens the store', () => output.startsWith('open'));
    await expect(place.open()).rejects.toMatchObject({
      code: 'store.unavailable',
      detail: expect.stringMatching(new RegExp(`in use, by process ${holder.pid} on .*, since 20`)),
    });
    const ended = once(holder, 'close');
    holder.kill('SIGKILL');
    await ended;
    await (await place.open()).close();
  });

  test('holds within a process too, and stands without the note', async () => {
    await using place = levelPlace();
    const store = await place.open();
    await expect(place.open()).rejects.toMatchObject({ detail: expect.stringMatching(/in use, by this process/) });
    await writeFile(`${place.directory}/holder.json`, '');
    await expect(place.open()).rejects.toMatchObject({ detail: expect.stringMatching(/left no note/) });
    await store.commit(put(['a', '1']));
    await store.close();
    await expect(readFile(`${place.directory}/holder.json`)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  test('a process that waited for it and wrote is never overwritten by one whose disk comes back', async () => {
    await using place = levelPlace();
    const store = await place.open();
    await store.commit(put(['a', '1']));
    place.refuse('before');
    await expect(store.commit(put(['a', '2']))).rejects.toMatchObject({ code: 'store.unavailable' });
    // The lock is free while the disk refuses; the other process sees another disk.
    await until('the lock is free', async () => {
      try {
        const other = await openLevelStore(place.directory);
        expect(await other.commit(put(['a', '3']))).toEqual({ ok: true, revision: 2 });
        await other.close();
        return true;
      } catch {
        // Still locked.
        return false;
      }
    });
    place.heal();
    await new Promise((resolve) => setTimeout(resolve, 300));
    await expect(store.commit(put(['a', '4']))).rejects.toMatchObject({ code: 'store.unavailable' });
    await store.close();
    const again = await place.open();
    expect(await again.get('a')).toEqual({ key: 'a', value: '3', revision: 2 });
    await again.close();
  });
});

describe('the sync', () => {
  test('every commit has one, and those who wait share it', async () => {
    await using place = levelPlace();
    const store = await place.open();
    place.disk.written = { synced: 0, unsynced: 0 };
    for (let n = 0; n < 5; n++) await store.commit(put([`k${n}`, '1']));
    expect(place.disk.written).toEqual({ synced: 5, unsynced: 0 });
    await Promise.all(Array.from({ length: 100 }, (_, n) => store.commit(put([`k${n}`, '2']))));
    expect(place.disk.written).toEqual({ synced: 6, unsynced: 0 });
    await store.close();
  });

  test('readers wait for what is on the disk and not yet answered', async () => {
    await using place = levelPlace();
    const store = await place.open();
    await store.commit(put(['a', '1']));
    const { promise, resolve } = Promise.withResolvers<void>();
    place.disk.answering = promise;
    const { synced } = place.disk.written;
    const writing = store.commit(put(['a', '2']));
    await until('the write is on the disk', () => place.disk.written.synced > synced);
    let read = 0;
    const reading = [store.list(''), store.get('a')].map(async (one) => {
      await one;
      read++;
      expect(store.revision).toBe(2);
    });
    await new Promise((wait) => setTimeout(wait, 30));
    expect([read, store.revision]).toEqual([0, 1]);
    resolve();
    await Promise.all([writing, ...reading]);
    expect((await store.list('')).revision).toBe(2);
    await store.close();
  });
});

describe('the room on the disk', () => {
  test('is told, and given back by compaction', async () => {
    await using place = levelPlace();
    const store = await place.open();
    const values = Array.from({ length: 2_000 }, (_, n): [string, string] => [
      `k${n}`,
      JSON.stringify(`${n} `.repeat(900)),
    ]);
    for (let at = 0; at < values.length; at += 200) await store.commit(put(...values.slice(at, at + 200)));
    await store.commit({ delete: values.map(([key]) => key) });
    const before = await store.health();
    expect(before).toMatchObject({ state: 'serving', schema: schema.version, free: expect.any(Number) });
    expect(before.bytes).toBeGreaterThan(1 << 20);
    await store.compact(0);
    expect((await store.health()).bytes).toBeLessThan(before.bytes! / 2);
    expect((await store.list('')).entries).toEqual([]);
    await store.close();
    expect((await store.health()).state).toBe('closed');
  });
});

describe('between disk and answer', () => {
  /** Resolves once the next write is on the disk; its answer is held until the function it resolves to is called. */
  async function hold(place: LevelPlace, write: () => Promise<unknown>) {
    const { promise, resolve } = Promise.withResolvers<void>();
    place.disk.answering = promise;
    const { synced } = place.disk.written;
    const writing = write();
    await until('the write is on the disk', () => place.disk.written.synced > synced);
    return { writing, release: resolve };
  }

  test('a commit is judged by the newest write on its way, not by the one just answered', async () => {
    await using place = levelPlace();
    const store = await place.open();
    const { writing, release } = await hold(place, () => store.commit(put(['a', '1'])));
    const second = store.commit(put(['a', '2']));
    release();
    await writing;
    expect(await store.commit({ expect: new Map([['a', 1]]) })).toEqual({ ok: false, conflicts: ['a'] });
    expect(await second).toEqual({ ok: true, revision: 2 });
    expect(await store.commit({ expect: new Map([['a', 2]]) })).toEqual({ ok: true, revision: 3 });
    await store.close();
  });

  test('a watcher at the end of the log that is being cut is told, and skips nothing', async () => {
    await using place = levelPlace();
    await using store = await reopenedWith(place, 3, { changes: 2 });
    const { writing, release } = await hold(place, () => store.commit(put(['a', '4'])));
    expect(store.oldest).toBe(1);
    const watcher = store.watch(1)[Symbol.asyncIterator]();
    await expect(watcher.next()).rejects.toMatchObject({ code: 'events.compacted' });
    release();
    await writing;
  });

  async function reopenedWith(place: LevelPlace, commits: number, limits: { changes: number }) {
    const before = await place.open(limits);
    for (let n = 1; n <= commits; n++) await before.commit(put(['a', `${n}`]));
    await before.close();
    const store = await place.open(limits);
    return Object.assign(store, { [Symbol.asyncDispose]: () => store.close() });
  }
});

describe('the schema', () => {
  test('is written on the first day', async () => {
    await using place = levelPlace();
    await (await place.open()).close();
    expect(await withDatabase(place, (database) => database.get('m/schema'))).toBe(`${schema.version}`);
  });

  test('of a newer Keyway is refused, and nothing is touched', async () => {
    await using place = levelPlace();
    await (await place.open()).close();
    const all = () => withDatabase(place, (database) => database.iterator().all());
    await withDatabase(place, (database) => database.put('m/schema', `${schema.version + 1}`));
    const before = await all();
    await expect(place.open()).rejects.toMatchObject({
      code: 'store.too-new',
      detail: expect.stringMatching(`schema version ${schema.version + 1}; .* up to ${schema.version}`),
    });
    expect(await all()).toEqual(before);
  });

  test.each(['0', '1.5', 'x'])('version %s is none', async (version) => {
    await using place = levelPlace();
    await withDatabase(place, (database) => database.put('m/schema', version));
    await expect(place.open()).rejects.toMatchObject({ code: 'store.unavailable' });
  });

  test("somebody else's database is left alone", async () => {
    await using place = levelPlace();
    await withDatabase(place, (database) => database.put('theirs', '1'));
    await expect(place.open()).rejects.toMatchObject({
      code: 'store.unavailable',
      detail: expect.stringMatching(/not Keyway's .*theirs/),
    });
    expect(await withDatabase(place, (database) => database.iterator().all())).toEqual([['theirs', '1']]);
  });

  test('of an older Keyway is brought up step by step, each once and whole', async () => {
    await using place = levelPlace();
    const old = await place.open();
    await old.commit(put(['a', '1'], ['b', '2']));
    await old.close();
    const ran: number[] = [];
    let broken = true;
    // To 2: every value is doubled. To 3: fails the first time, after 2 is durable.
    const migrations: Migration[] = [
      {
        to: 2,
        async plan(database) {
          ran.push(2);
          const operations = [];
          for await (const [key, text] of database.iterator({ gte: 'd/', lt: 'd0' })) {
            const [revision, value] = text.split(' ');
            operations.push({ type: 'put' as const, key, value: `${revision} ${Number(value) * 2}` });
          }
          return operations;
        },
      },
      {
        to: 3,
        async plan() {
          ran.push(3);
          if (broken) throw new Error('half way');
          return [{ type: 'del', key: 'd/b' }];
        },
      },
    ];
    const open = () => openLevelStore(place.directory, { schema: { version: 3, migrations } });
    await expect(open()).rejects.toMatchObject({ detail: expect.stringMatching(/half way/) });
    broken = false;
    const store = await open();
    expect((await store.list('')).entries).toEqual([{ key: 'a', value: '2', revision: 1 }]);
    await store.close();
    await (await open()).close();
    expect(ran).toEqual([2, 3, 3]);
    await expect(place.open()).rejects.toMatchObject({ code: 'store.too-new' });
    const gap = { schema: { version: 4, migrations } };
    await expect(openLevelStore(place.directory, gap)).rejects.toMatchObject({
      detail: expect.stringMatching(/no migration to schema version 4/),
    });
  });
});

describe('the mark of what is void', () => {
  test('survives, is cleared, and is refused when it is not legible', async () => {
    await using place = levelPlace();
    await mkdir(place.directory, { recursive: true });
    const path = `${place.directory}/void`;
    let mark = await VoidMark.open(path);
    expect(await mark.read()).toBeUndefined();
    await mark.set(123);
    await mark.close();
    mark = await VoidMark.open(path);
    expect(await mark.read()).toBe(123);
    const { size } = await stat(path);
    await mark.set(Number.MAX_SAFE_INTEGER);
    expect(await mark.read()).toBe(Number.MAX_SAFE_INTEGER);
    await mark.clear();
    expect(await mark.read()).toBeUndefined();
    await mark.close();
    expect((await stat(path)).size).toBe(size);

    await writeFile(path, '');
    mark = await VoidMark.open(path);
    expect(await mark.read()).toBeUndefined();
    await mark.close();
    await writeFile(path, 'after all, this is something else entirely');
    await expect(place.open()).rejects.toMatchObject({ code: 'store.unavailable' });
  });
});
