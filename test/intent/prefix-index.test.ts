import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  bitsOf,
  containsIpPrefix,
  formatIpPrefix,
  type Ip,
  type IpPrefix,
  prefixesOverlap,
  prefixOf,
} from '../../src/intent/ip.ts';
import { Log } from '../../src/intent/log.ts';
import { PrefixIndex } from '../../src/intent/prefix-index.ts';

/** Few bits that differ, so that prefixes lie in each other; at both ends of each version's numbers. */
const prefix: fc.Arbitrary<IpPrefix> = fc
  .tuple(fc.constantFrom(4, 6), fc.constantFrom(0, 1, 2, 3, 128, 255), fc.boolean(), fc.nat(128))
  .map(([family, low, high, length]) => {
    const ip: Ip =
      family === 4
        ? { family: 4, value: high ? 0xffffff00 + low : 0x0a000000 + low }
        : { family: 6, value: (high ? 2n ** 128n - 256n : 0xfd00n << 112n) + BigInt(low) };
    return prefixOf(ip, length % (bitsOf(ip) + 1));
  });
const step = fc.record({
  add: fc.constantFrom(true, true, false),
  network: fc.constantFrom('m', 'n'),
  prefix,
  path: fc.constantFrom('a', 'b', 'a/b'),
});

describe('PrefixIndex', () => {
  it('finds what a search through all of them finds, and is as before once it is taken back', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.constantFrom('m', 'n'), prefix, (steps, network, asked) => {
        const index = new PrefixIndex();
        const log = new Log();
        const all = new Map<string, { prefix: IpPrefix; path: string }>();
        for (const one of steps) {
          const key = `${one.network} ${formatIpPrefix(one.prefix)} ${one.path}`;
          if (one.add) all.set(key, one);
          else all.delete(key);
          index[one.add ? 'add' : 'remove'](log, one.network, one.prefix, one.path);
        }
        const shown = (found: Iterable<{ prefix: IpPrefix; path: string }>) =>
          [...found].map((one) => `${formatIpPrefix(one.prefix)} ${one.path}`).sort();
        const there = [...all].filter(([key]) => key.startsWith(`${network} `)).map(([, one]) => one);
        const those = (fits: (one: IpPrefix) => boolean) => shown(there.filter((one) => fits(one.prefix)));
        expect(shown(index.around(network, asked))).toEqual(those((one) => containsIpPrefix(one, asked)));
        expect(shown(index.inside(network, asked))).toEqual(those((one) => containsIpPrefix(asked, one)));
        expect(shown(index.overlapping(network, asked))).toEqual(those((one) => prefixesOverlap(one, asked)));
        expect([...index.same(network, asked)].sort()).toEqual(
          there
            .filter((one) => formatIpPrefix(one.prefix) === formatIpPrefix(asked))
            .map(({ path }) => path)
            .sort(),
        );
        log.undo();
        expect([index.byAddress.size, index.lengths.size]).toEqual([0, 0]);
      }),
      { numRuns: 1000 },
    );
  });
});
