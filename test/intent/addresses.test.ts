import { isIPv4 } from 'node:net';
import fc from 'fast-check';
import { Address4 } from 'ip-address';
import { describe, expect, it } from 'vitest';
import {
  formatIpv4,
  formatMac,
  generatedMac,
  isMulticastMac,
  parseIpv4,
  parseMac,
} from '../../src/intent/addresses.ts';

const address = fc.oneof(
  fc.nat(0xffffffff),
  fc.constantFrom(0, 1, 0x7fffffff, 0x80000000, 0xc0a80001, 0xfffffffe, 0xffffffff),
);
describe('IPv4 addresses', () => {
  it('are read and written back, as ip-address reads them', () => {
    fc.assert(
      fc.property(address, (a) => {
        const text = formatIpv4(a);
        expect(new Address4(text).bigInt()).toBe(BigInt(a));
        expect(parseIpv4(text)).toBe(a);
      }),
    );
  });

  it('of any other form are refused, as node:net refuses them', () => {
    const noise = fc.oneof(
      fc.string(),
      fc.stringMatching(/^[0-9.]{0,16}$/),
      fc.array(fc.integer({ min: 0, max: 300 }), { minLength: 3, maxLength: 5 }).map((o) => o.join('.')),
      fc.ipV4(),
    );
    fc.assert(
      fc.property(noise, (text) => {
        expect(parseIpv4(text) !== undefined).toBe(isIPv4(text));
      }),
      { numRuns: 2000 },
    );
    for (const text of ['01.2.3.4', '1.2.3.00', '1.2.3', '1.2.3.4.', '.1.2.3.4', '1..2.3', '256.1.1.1', ' 1.2.3.4', ''])
      expect(parseIpv4(text), text).toBeUndefined();
  });
});

describe('MACs', () => {
  it('are read in either case and written in lower case', () => {
    fc.assert(
      fc.property(fc.nat(2 ** 48 - 1), (mac) => {
        const text = formatMac(mac);
        expect(text).toMatch(/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/);
        expect(parseMac(text)).toBe(mac);
        expect(parseMac(text.toUpperCase())).toBe(mac);
        expect(isMulticastMac(mac)).toBe((Number.parseInt(text.slice(0, 2), 16) & 1) === 1);
      }),
    );
    for (const text of ['0a:00:00:00:00', '0a-00-00-00-00-00', '0a:00:00:00:00:0g', ''])
      expect(parseMac(text)).toBeUndefined();
  });

  it('made from resource numbers begin with 0a and hold the number', () => {
    expect(formatMac(generatedMac(1))).toBe('0a:00:00:00:00:01');
    expect(formatMac(generatedMac(2 ** 40 - 1))).toBe('0a:ff:ff:ff:ff:ff');
  });
});
