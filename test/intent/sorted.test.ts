import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SortedMap } from '../../src/intent/sorted.ts';

const key = fc.integer({ min: 0, max: 2000 });
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ op: fc.constant('set' as const), key }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('delete' as const), key }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('fill' as const), key }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('clear' as const), key }) },
);

describe('SortedMap', () => {
  it('does what a sorted list of entries does', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.array(key, { maxLength: 10 }), (steps, probes) => {
        const map = new SortedMap<number, string>();
        const naive = new Map<number, string>();
        const set = (k: number) => {
          map.set(k, `v${k}`);
          naive.set(k, `v${k}`);
        };
        const remove = (k: number) => expect(map.delete(k)).toBe(naive.delete(k));
        for (const { op, key: k } of steps) {
          if (op === 'set') set(k);
          else if (op === 'delete') remove(k);
          // Runs long enough to split and to merge chunks.
          else for (let i = 0; i < 400; i++) op === 'fill' ? set((k + i * 7) % 2001) : remove((k + i * 3) % 2001);
        }
        const sorted = [...naive].sort(([a], [b]) => a - b);
        expect([...map]).toEqual(sorted);
        expect(map.size).toBe(naive.size);
        expect(map.first()).toEqual(sorted[0]);
        expect(map.last()).toEqual(sorted.at(-1));
        for (const p of probes) {
          expect(map.get(p)).toBe(naive.get(p));
          expect(map.floor(p)).toEqual(sorted.findLast(([k]) => k <= p));
          expect(map.ceiling(p)).toEqual(sorted.find(([k]) => k >= p));
          expect([...map.values(p)]).toEqual(sorted.filter(([k]) => k > p).map(([, v]) => v));
        }
      }),
      { numRuns: 200 },
    );
  });

  it('sorts strings by code units, as the store does', () => {
    const names = ['a', 'a-b', 'a0', 'b', 'Z', '0'];
    const map = new SortedMap<string, string>();
    for (const name of names) map.set(name, name);
    expect([...map.values()]).toEqual([...names].sort());
  });
});
