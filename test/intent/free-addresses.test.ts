import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { lowestFree, nextFree, release, take } from '../../src/intent/free-addresses.ts';
import { Log } from '../../src/intent/log.ts';

const size = fc.constantFrom(1, 4, 5, 8, 32, 33, 64, 241, 256, 1024, 2048, 65_536, 2 ** 24);

describe('the lowest free address', () => {
  it('is the one a scan from the start finds', () => {
    const steps = fc.array(fc.tuple(fc.boolean(), fc.nat(2 ** 24)), { maxLength: 300 });
    fc.assert(
      fc.property(size, fc.nat(2100), steps, (n, run, toggles) => {
        const log = new Log();
        const words = new Map<number, number>();
        const taken = new Set<number>();
        const toggle = (offset: number, on: boolean) => {
          if (on === taken.has(offset)) return;
          if (on) take(log, words, n, offset);
          else release(log, words, n, offset);
          on ? taken.add(offset) : taken.delete(offset);
        };
        for (let i = 0; i < Math.min(run, n); i++) toggle(i, true);
        for (const [on, at] of toggles) toggle(at % Math.min(n, 2 * run + 5), on);
        let naive = 0;
        while (taken.has(naive)) naive++;
        expect(lowestFree(words, n)).toBe(naive < n ? naive : undefined);
        for (const [, at] of toggles.slice(0, 20)) {
          const from = at % n;
          let next = from;
          while (taken.has(next)) next++;
          expect(nextFree(words, n, from)).toBe(next < n ? next : undefined);
        }
        for (const offset of taken) release(log, words, n, offset);
        expect(words.size).toBe(0);
      }),
      { numRuns: 300 },
    );
  });

  it('is found to the last address and then no more', () => {
    for (const n of [4, 32, 256, 4096]) {
      const log = new Log();
      const words = new Map<number, number>();
      for (let i = 0; i < n; i++) {
        expect(lowestFree(words, n)).toBe(i);
        take(log, words, n, i);
      }
      expect(lowestFree(words, n)).toBeUndefined();
      release(log, words, n, n - 1);
      expect(lowestFree(words, n)).toBe(n - 1);
      log.undo();
      expect(words.size).toBe(0);
    }
  });
});
