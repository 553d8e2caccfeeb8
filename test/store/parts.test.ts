/** The pieces the stores are made of, where the conformance suite does not reach into them. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Feed } from '../../src/store/feed.ts';
import { defaultLimits, Journal } from '../../src/store/journal.ts';
import type { LoggedChange } from '../../src/store/medium.ts';
import { MemoryDisk, MemoryMedium } from '../../src/store/memory.ts';
import { Recent } from '../../src/store/recent.ts';
import { decodeChange, decodeValue, encodeChange, encodeValue } from '../../src/store/records.ts';
import type { CommittedChange } from '../../src/store/store.ts';

const text = fc.string({ unit: 'grapheme', maxLength: 20 });
const optionalText = fc.option(text, { nil: undefined });

test('records are read as they were written', () => {
  const revision = fc.nat(Number.MAX_SAFE_INTEGER);
  fc.assert(
    fc.property(revision, text, (r, value) => {
      expect(decodeValue(encodeValue(r, value))).toEqual({ revision: r, value });
    }),
  );
  const write = fc.record({ key: text, value: optionalText, previous: optionalText, was: revision });
  fc.assert(
    fc.property(revision, fc.nat(), fc.array(write), (r, at, writes) => {
      const change: LoggedChange = { revision: r, at, writes };
      expect(decodeChange(r, encodeChange(change))).toEqual(change);
    }),
  );
});

test('recent changes: a window by number and by size, and never another revision than asked for', () => {
  // Each step is a size; a negative one leaves a gap of revisions first.
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: -3, max: 40 }), { maxLength: 60 }),
      fc.integer({ min: 1, max: 8 }),
      (steps, n) => {
        const recent = new Recent(n, 50);
        let model: CommittedChange[] = [];
        let revision = 0;
        for (const step of steps) {
          if (step < 0) model = [];
          revision += step < 0 ? 1 - step : 1;
          const change = {
            revision,
            at: 0,
            writes: [{ key: '', value: 'x'.repeat(Math.abs(step)), previous: undefined }],
          };
          recent.add(change);
          model.push(change);
          const size = () => model.reduce((sum, { writes }) => sum + writes[0]!.value!.length, 0);
          while (model.length > n || size() > 50) model.shift();
          const first = model[0]?.revision ?? revision + 1;
          expect(recent.read(revision, revision)).toEqual([]);
          expect(recent.read(first - 1, revision)).toEqual(model);
          expect(recent.read(first - 2, revision)).toBeUndefined();
          expect(recent.read(revision, revision + 1)).toBeUndefined();
          expect(recent.read(first - 1, revision - 1)).toEqual(model.slice(0, -1));
        }
      },
    ),
  );
});

test('a watcher whose reading fails because the feed has closed ends; another failure it is told', async () => {
  const { promise, reject } = Promise.withResolvers<never>();
  const feed = new Feed({ revision: 10, oldest: 0, read: () => promise });
  const broken = feed.watch(3).next();
  reject(new Error('unreadable'));
  await expect(broken).rejects.toThrow('unreadable');
  const closing = feed.watch(3).next();
  feed.close();
  expect(await closing).toEqual({ done: true, value: undefined });
});

describe('a disk on which not even the refusal can be noted', () => {
  class Mute extends MemoryMedium {
    override async disown(): Promise<void> {
      throw new Error('the disk is gone');
    }
  }
  const open = (disk: MemoryDisk, report?: (message: string) => void) =>
    new Journal(new Mute(disk), { revision: 0, oldest: 0, revisions: new Map() }, defaultLimits, report);
  const outcome = async (commit: Promise<unknown>) => {
    const waiting = new Promise((resolve) => setTimeout(resolve, 20, 'waits'));
    return await Promise.race([commit.catch((error: unknown) => error), waiting]);
  };

  test('the answer waits until it is known that nothing is left', async () => {
    const disk = new MemoryDisk();
    const reported: string[] = [];
    const store = open(disk, (message) => reported.push(message));
    disk.refusal = new Error('the disk is full');
    const commit = store.commit({ put: new Map([['a', '1']]) });
    expect(await outcome(commit)).toBe('waits');
    expect(await outcome(store.commit({ put: new Map([['b', '1']]) }))).toMatchObject({ code: 'store.unavailable' });
    disk.refusal = undefined;
    await expect(commit).rejects.toMatchObject({ detail: 'The disk refused the write: the disk is full' });
    expect(await store.commit({ put: new Map([['c', '1']]) })).toEqual({ ok: true, revision: 1 });
    expect([...new Set(reported)]).toEqual([
      'The disk refused the write: the disk is full',
      'The refusal could not be noted either, 1 commits wait: the disk is gone',
      'The disk still refuses: the disk is full',
      'The disk takes writes again; nothing is kept beyond revision 0.',
    ]);
    await store.close();
  });

  test('when the store closes before, the answer says that it does not know', async () => {
    const disk = new MemoryDisk();
    const store = open(disk);
    disk.refusal = new Error('the disk is full');
    const commit = store.commit({ put: new Map([['a', '1']]) });
    expect(await outcome(commit)).toBe('waits');
    await store.close();
    await expect(commit).rejects.toMatchObject({ detail: expect.stringMatching(/outcome is unknown/) });
  });
});
