import fc from 'fast-check';
import { expect, test } from 'vitest';
import { maskedPorts } from '../../src/compile/port-ranges.ts';

const range = fc
  .tuple(fc.integer({ min: 1, max: 65_535 }), fc.integer({ min: 1, max: 65_535 }))
  .map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`);
const texts = fc.array(fc.oneof(range, fc.integer({ min: 1, max: 65_535 }).map(String)), {
  minLength: 1,
  maxLength: 5,
});

test('the masks cover the ports of the ranges, each once, and no other', () => {
  fc.assert(
    fc.property(texts, (given) => {
      const wanted = new Set<number>();
      for (const t of given) {
        const [low = 0, high = low] = t.split('-').map(Number);
        for (let p = low; p <= high; p++) wanted.add(p);
      }
      let covered = 0;
      for (const { value, mask } of maskedPorts(given)) {
        expect(value & ~mask).toBe(0);
        const size = (~mask & 0xffff) + 1;
        covered += size;
        for (const edge of [value, value + size - 1]) expect(wanted.has(edge)).toBe(true);
      }
      // Disjoint blocks of the right total, with both edges of each inside: exactly the wanted set.
      expect(covered).toBe(wanted.size);
    }),
    { numRuns: 200 },
  );
});

test('one port is one exact mask, neighbours are joined', () => {
  expect(maskedPorts(['80'])).toEqual([{ value: 80, mask: 0xffff }]);
  expect(maskedPorts(['5000-5003', '5004'])).toEqual([
    { value: 5000, mask: 0xfffc },
    { value: 5004, mask: 0xffff },
  ]);
  expect(maskedPorts(['1-65535']).length).toBe(16);
});
