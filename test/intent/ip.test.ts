import { isIP, isIPv6 } from 'node:net';
import fc from 'fast-check';
import { Address4, Address6 } from 'ip-address';
import { describe, expect, it } from 'vitest';
import {
  bitsOf,
  canonicalIp,
  containsIpPrefix,
  formatIp,
  formatIpPrefix,
  formatIpv6,
  hostPrefix,
  type Ip,
  ipAt,
  isIn,
  lastIpOf,
  offsetIn,
  parseIp,
  parseIpCidr,
  parseIpPrefix,
  parseIpv6,
  prefixesOverlap,
  prefixOf,
} from '../../src/intent/ip.ts';

const group = fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(0xffff) });
const value6 = fc
  .array(group, { minLength: 8, maxLength: 8 })
  .map((groups) => groups.reduce((value, one) => value * 65_536n + BigInt(one), 0n));
const ip: fc.Arbitrary<Ip> = fc.oneof(
  fc.nat(0xffffffff).map((value): Ip => ({ family: 4, value })),
  value6.map((value): Ip => ({ family: 6, value })),
);
const prefix = fc
  .tuple(ip, fc.integer({ min: 0, max: 128 }))
  .map(([one, length]) => prefixOf(one, length % (bitsOf(one) + 1)));
const numbers = (p: Ip) => [BigInt(p.value), BigInt(lastIpOf({ length: bitsOf(p), ...p }).value)] as const;

describe('IPv6 addresses', () => {
  it('are written as RFC 5952 has it, and read back, as ip-address does both', () => {
    fc.assert(
      fc.property(value6, (value) => {
        const text = formatIpv6(value);
        expect(text).toBe(Address6.fromBigInt(value).correctForm());
        expect(parseIpv6(text)).toBe(value);
      }),
      { numRuns: 2000 },
    );
  });

  it('are read in every form there is', () => {
    fc.assert(
      fc.property(value6, fc.nat(3), (value, form) => {
        const address = Address6.fromBigInt(value);
        const low = new Address4(
          Number(value & 0xffffffffn)
            .toString(16)
            .padStart(8, '0')
            .match(/../g)!
            .map((h) => Number.parseInt(h, 16))
            .join('.'),
        );
        const forms = [
          address.canonicalForm(),
          address.correctForm().toUpperCase(),
          address.canonicalForm().replace(/\b0{1,3}/g, ''),
          `${address.canonicalForm().slice(0, 30)}${low.correctForm()}`,
        ];
        expect(parseIpv6(forms[form]!), forms[form]).toBe(value);
        expect(canonicalIp(forms[form]!)).toBe(address.correctForm());
      }),
      { numRuns: 2000 },
    );
  });

  it('of any other form are refused, as node:net refuses them; zones and lengths are no part of them', () => {
    const noise = fc.oneof(fc.string(), fc.stringMatching(/^[0-9a-f:.]{0,20}$/), fc.ipV6(), fc.ipV4());
    fc.assert(
      fc.property(noise, (text) => {
        expect(parseIpv6(text) !== undefined, text).toBe(isIPv6(text));
        expect(parseIp(text)?.family ?? 0).toBe(isIP(text));
      }),
      { numRuns: 3000 },
    );
    for (const text of [
      'fe80::1%eth0',
      '::1/128',
      '1::2::3',
      ':::',
      '1:2:3:4:5:6:7:8:9',
      '::1.2.3',
      '::01.2.3.4',
      ' ::1',
    ])
      expect(parseIp(text), text).toBeUndefined();
  });
});

describe('prefixes of both versions', () => {
  it('are read, written back, and bounded as ip-address says', () => {
    fc.assert(
      fc.property(prefix, (p) => {
        const text = formatIpPrefix(p);
        const oracle = p.family === 4 ? new Address4(text) : new Address6(text);
        expect(parseIpPrefix(text)).toEqual(p);
        expect(BigInt(p.value)).toBe(oracle.startAddress().bigInt());
        expect(BigInt(lastIpOf(p).value)).toBe(oracle.endAddress().bigInt());
      }),
      { numRuns: 1000 },
    );
  });

  it('with host bits, or longer than an address, are none', () => {
    expect(parseIpCidr('fd00::1/64')).toEqual({ ip: parseIp('fd00::1'), length: 64 });
    for (const text of ['fd00::1/64', '10.0.0.1/8', '10.0.0.0/33', '::/129', '::/064', '::/', '::', '::/0/0', 'x/8'])
      expect(parseIpPrefix(text), text).toBeUndefined();
  });

  it('contain and overlap as their bounds do, and never across versions', () => {
    const near = prefix.chain((a) =>
      fc.tuple(
        fc.constant(a),
        fc.oneof(
          prefix,
          fc.nat(128).map((length) => prefixOf(lastIpOf(a), length % (bitsOf(a) + 1))),
        ),
      ),
    );
    fc.assert(
      fc.property(near, ip, ([a, b], x) => {
        const [a1, b1] = [numbers(a)[0], numbers(b)[0]];
        const [a2, b2] = [BigInt(lastIpOf(a).value), BigInt(lastIpOf(b).value)];
        const alike = a.family === b.family;
        expect(containsIpPrefix(a, b)).toBe(alike && b1 >= a1 && b2 <= a2);
        expect(prefixesOverlap(a, b)).toBe(alike && a1 <= b2 && b1 <= a2);
        expect(isIn(a, x)).toBe(a.family === x.family && BigInt(x.value) >= a1 && BigInt(x.value) <= a2);
        expect(containsIpPrefix(a, hostPrefix(x))).toBe(isIn(a, x));
      }),
      { numRuns: 2000 },
    );
  });

  it('count their addresses from the first', () => {
    fc.assert(
      fc.property(prefix, fc.nat(2 ** 24), (p, offset) => {
        const size = BigInt(lastIpOf(p).value) - BigInt(p.value) + 1n;
        fc.pre(BigInt(offset) < size);
        const at = ipAt(p, offset);
        expect(isIn(p, at), formatIp(at)).toBe(true);
        expect(offsetIn(p, at)).toBe(offset);
      }),
    );
    const wide = parseIpPrefix('fd00::/64')!;
    expect(offsetIn(wide, lastIpOf(wide))).toBe(Number.POSITIVE_INFINITY);
  });
});
