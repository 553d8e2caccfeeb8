import { expect, test } from 'vitest';
import { kindModel } from '../../src/cli/model.ts';
import { parsePath, pathOf, resolve, shortPath } from '../../src/cli/names.ts';

const port = kindModel('port');
const flags = (given: Record<string, string>) => (parent: string) => given[parent];
const none = flags({});
const inShop = new Map([
  ['tenant', 'acme'],
  ['network', 'shop'],
]);

test.each([
  ['acme/shop/web1', {}, new Map()],
  ['tenants/acme/networks/shop/ports/web1', {}, new Map()],
  ['/v1/tenants/acme/networks/shop/ports/web1', {}, new Map()],
  ['web1', { tenant: 'acme', network: 'shop' }, new Map()],
  ['web1', {}, inShop],
  ['shop/web1', {}, inShop],
  ['web1', { network: 'shop' }, new Map([...inShop, ['network', 'other']])],
  ['acme/shop/web1', {}, new Map([['tenant', 'other']])],
])('%s with %j', (written, given, defaults) => {
  const { names } = resolve(port, written, flags(given as Record<string, string>), defaults);
  expect(names).toEqual(['acme', 'shop', 'web1']);
  expect(pathOf(port, names)).toBe('tenants/acme/networks/shop/ports/web1');
});

test('a list is asked of parents', () => {
  expect(resolve(port, 'acme/shop', none, new Map(), false).names).toEqual(['acme', 'shop']);
  expect(resolve(port, 'tenants/acme/networks/shop', none, new Map(), false).names).toEqual(['acme', 'shop']);
  expect(resolve(port, undefined, none, inShop, false).names).toEqual(['acme', 'shop']);
  expect(pathOf(port, ['acme', 'shop'])).toBe('tenants/acme/networks/shop/ports');
  expect(pathOf(kindModel('tenant'), [])).toBe('tenants');
});

test.each([
  ['web1', {}, 'Which tenant and network?'],
  ['web1', { tenant: 'acme' }, 'Which network?'],
  ['a/b/c/d', {}, 'too many parts'],
  ['a//c', {}, 'empty or relative'],
  ['acme/../web1', {}, 'empty or relative'],
  ['tenants/acme/networks/shop', {}, 'is a network, not a port'],
  ['acme/shop/web1', { tenant: 'globex' }, '--tenant says globex'],
])('%s with %j is refused', (written, given, message) => {
  expect(() => resolve(port, written, flags(given as Record<string, string>), new Map())).toThrow(message);
});

test('names are escaped in paths, and paths read back', () => {
  expect(pathOf(port, ['a/b', 'c?d', 'e'])).toBe('tenants/a%2Fb/networks/c%3Fd/ports/e');
  expect(parsePath('tenants/acme/ports/web1')).toBeUndefined();
  expect(parsePath('tenant/acme')).toBeUndefined();
  expect(shortPath('tenants/acme/networks/shop/ports/web1')).toBe('port acme/shop/web1');
  expect(shortPath('nowhere')).toBe('nowhere');
});
