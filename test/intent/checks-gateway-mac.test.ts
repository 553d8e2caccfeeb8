/** MACs that flows trust: of networks' gateways, and of what else is on a provider network. */
import { expect, it } from 'vitest';
import { formatMac, generatedMac } from '../../src/intent/addresses.ts';
import { admin, openWith, problemOf, put, remove, shop } from './support.ts';

it("nobody has the MAC of a network's gateway", async () => {
  const { intent } = await openWith();
  const mac = formatMac(generatedMac(intent.get(shop)!.number));
  const port = put(`${shop}/ports/a`, { tier: 'web', mac });
  expect((await problemOf(admin(intent, [port]))).code).toBe('mac.in-use');
  const pair = put(`${shop}/ports/b`, { tier: 'web', allowedAddressPairs: [{ ip: '10.0.1.99', mac }] });
  expect((await problemOf(admin(intent, [pair]))).code).toBe('mac.in-use');
  // Of another network of the tenant's neither, and of one that is gone anybody.
  await admin(intent, [
    put('tenants/acme/networks/lab', { offering: 'basic', cidr: '10.9.0.0/16' }),
    put('tenants/acme/networks/lab/tiers/web', { cidr: '10.9.1.0/24' }),
  ]);
  const elsewhere = put('tenants/acme/networks/lab/ports/a', { tier: 'web', mac });
  expect((await problemOf(admin(intent, [elsewhere]))).code).toBe('mac.in-use');
  await admin(intent, [remove(`${shop}/tiers/web`), remove(shop)]);
  await admin(intent, [elsewhere]);
});

it('a network whose MAC a port has already gets another number', async () => {
  const { intent } = await openWith();
  const next = intent.get(`${shop}/tiers/web`)!.number + 2;
  await admin(intent, [put(`${shop}/ports/a`, { tier: 'web', mac: formatMac(generatedMac(next)) })]);
  await admin(intent, [put('tenants/acme/networks/lab', { offering: 'basic', cidr: '10.9.0.0/16' })]);
  expect(intent.get('tenants/acme/networks/lab')!.number).not.toBe(next);
});

it('on a provider network a tenant does not choose a MAC: it might be the router out there that has it', async () => {
  const { intent } = await openWith(
    put('provider-networks/campus', { physicalNetwork: 'campus', tenants: ['acme'] }),
    put(`${shop}/tiers/dmz`, { cidr: '198.51.100.0/24', providerNetwork: 'campus' }),
  );
  const port = put(`${shop}/ports/a`, { tier: 'dmz', mac: '02:00:00:00:00:0a' });
  const refused = await problemOf(intent.transact([port]));
  expect([refused.code, refused.errors?.[0]?.field]).toEqual(['request.invalid', '/mac']);
  await intent.transact([put(`${shop}/ports/a`, { tier: 'dmz' })]);
  const { mac } = intent.getAs('port', `${shop}/ports/a`)!.spec;
  expect(mac).toBe(formatMac(generatedMac(intent.get(`${shop}/ports/a`)!.number)));
  // What was read can be put back.
  await intent.transact([put(`${shop}/ports/a`, { tier: 'dmz', mac, groups: [] })]);
  await admin(intent, [put(`${shop}/ports/b`, { tier: 'dmz', mac: '02:00:00:00:00:0b' })]);
});
