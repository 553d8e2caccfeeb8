/** What may be said of addresses of transit tiers, and by whom. */
import { expect, it } from 'vitest';
import { isHidden } from '../../src/intent/transit.ts';
import { admin, openWith, problemOf, put, shop } from './support.ts';

const edge = [
  put(`${shop}/tiers/edge`, { transit: true, cidr: '169.254.128.0/24' }),
  put(`${shop}/ports/firewall`, { tier: 'edge', ips: ['169.254.128.10'] }),
];
const route = put(`${shop}/routes/beyond`, { destination: '198.51.100.0/24', nextHop: '169.254.128.10' });

it('an operator may lead a route to a port of a transit tier; to a tenant there is no such address', async () => {
  const { intent } = await openWith(...edge);
  const refused = await problemOf(intent.transact([route]));
  expect([refused.code, refused.errors?.[0]?.field]).toEqual(['address.not-unicast', '/nextHop']);
  // The same is said of an address of nobody's.
  const nobody = { destination: '198.51.100.0/24', nextHop: '169.254.128.99' };
  const other = await problemOf(intent.transact([put(`${shop}/routes/beyond`, nobody)]));
  expect(other.message.replace('.99', '.10')).toBe(refused.message);
  await admin(intent, [route]);
  expect(isHidden(intent.getAs('route', `${shop}/routes/beyond`)!)).toBe(true);
  const unknown = await problemOf(admin(intent, [put(`${shop}/routes/beyond`, nobody)]));
  expect(unknown.code).toBe('route.next-hop');
});

it('policies may name transit addresses, rules of tenants may not', async () => {
  const { intent } = await openWith(...edge);
  const said = {
    action: 'allow',
    priority: 10,
    from: { any: true },
    to: { cidr: '169.254.128.0/24' },
    protocol: 'any',
  };
  await admin(intent, [put('policies/manage', said)]);
  expect((await problemOf(admin(intent, [put(`${shop}/rules/manage`, said)]))).code).toBe('address.not-unicast');
  const elsewhere = { ...said, to: { cidr: '169.254.0.0/17' } };
  expect((await problemOf(admin(intent, [put('policies/other', elsewhere)]))).code).toBe('address.not-unicast');
});

it('no transit tier has the address where names and metadata are asked for', async () => {
  const { intent } = await openWith(put(`${shop}/tiers/edge`, { transit: true, cidr: '169.254.128.0/24' }));
  const around = put(`${shop}/tiers/wide`, { transit: true, cidr: '169.254.169.0/24' });
  expect((await problemOf(admin(intent, [around]))).code).toBe('address.not-unicast');
});
