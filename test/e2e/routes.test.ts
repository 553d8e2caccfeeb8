/** Static routes and peerings with real packets. */
import { expect, test } from 'vitest';
import { pingFrame } from '../support/lab.ts';
import { ipOf, macOf, openRoutedCloud } from './routed-cloud.ts';

const refused = { patience: 1_200 };
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const shop = 'tenants/acme/networks/shop';
const office = 'tenants/acme/networks/office';

test('a VM is the way to a prefix, as far as its address pairs let it speak for that; a peered network is reached', {
  timeout: 120_000,
}, async (context) => {
  await using cloud = await openRoutedCloud(context);
  const { acme, apply, lab } = cloud;
  const behind = '192.168.7.1';
  const allow = (from: unknown, to: unknown) => ({ action: 'allow', priority: 10, from, to, protocol: 'icmp' });
  const db2 = { tier: 'db', mac: macOf('db2'), ips: [ipOf('db2')], ifaceId: 'acme-db2' };
  await acme.db2.exec('ip', ['addr', 'add', `${behind}/32`, 'dev', 'lo']);
  await apply([
    { path: `${shop}/rules/branch`, spec: allow({ any: true }, { cidr: '192.168.7.0/24' }) },
    { path: `${shop}/ports/db2`, spec: db2 },
  ]);
  // Nobody knows the way.
  expect(await acme.web2.ping(behind, refused)).toBe(false);
  await apply([{ path: `${shop}/routes/branch`, spec: { destination: '192.168.7.0/24', nextHop: ipOf('db2') } }]);
  // The VM gets it, and may not answer for the prefix.
  const arrived = await acme.db2.capture({ filter: `icmp and dst ${behind}` });
  expect(await acme.web2.ping(behind, refused)).toBe(false);
  expect((await arrived.stop()).length).toBeGreaterThan(0);
  await apply([{ path: `${shop}/ports/db2`, spec: { ...db2, allowedAddressPairs: [{ ip: '192.168.7.0/24' }] } }]);
  for (const vm of [acme.web1, acme.web2, acme.db1]) expect(await vm.ping(behind)).toBe(true);

  // Straight to the VM's MAC, past the router, nothing comes for an address that is not its own.
  const past = await acme.db2.capture({ filter: `icmp and dst ${behind}` });
  const frame = { ethSrc: macOf('db1'), ipSrc: ipOf('db1'), ethDst: macOf('db2'), ipDst: behind };
  await acme.db1.sendFrame(pingFrame(frame));
  await pause(500);
  expect(await past.stop()).toEqual([]);

  // Another network of the tenant, on the same two hypervisors.
  const desk = { tier: 'desks', mac: '02:00:00:00:09:0b', ips: ['10.9.1.11'], ifaceId: 'acme-desk' };
  await apply([
    { path: office, spec: { offering: 'basic', cidr: '10.9.0.0/16' } },
    { path: `${office}/tiers/desks`, spec: { cidr: '10.9.1.0/24' } },
    { path: `${office}/ports/desk`, spec: desk },
    { path: `${office}/rules/in`, spec: allow({ cidr: '10.0.1.0/24' }, { tier: 'desks' }) },
    { path: `${shop}/rules/out`, spec: allow({ tier: 'web' }, { cidr: '10.9.0.0/16' }) },
    // An address that a VM has beside its own.
    {
      path: `${shop}/ports/web2`,
      spec: {
        tier: 'web',
        mac: macOf('web2'),
        ips: [ipOf('web2')],
        ifaceId: 'acme-web2',
        allowedAddressPairs: [{ ip: '10.0.1.100' }],
      },
    },
    { path: `${shop}/rules/more`, spec: allow({ cidr: '10.9.0.0/16' }, { cidr: '10.0.1.100/32' }) },
    { path: `${office}/rules/more`, spec: allow({ tier: 'desks' }, { cidr: '10.0.1.100/32' }) },
  ]);
  const vm = await lab.addVm({
    name: 'acme-desk',
    hypervisor: 'hv1',
    mac: desk.mac,
    address: '10.9.1.11/24',
    gateway: '10.9.1.1',
    ifaceId: desk.ifaceId,
  });
  await vm.plug();
  await lab.portReady(`${office}/ports/desk`);
  expect(await acme.web2.ping('10.9.1.11', refused)).toBe(false);
  await apply([{ path: 'tenants/acme/peerings/both', spec: { networks: ['shop', 'office'] } }]);
  await lab.killController();
  expect(await acme.web1.ping('10.9.1.11')).toBe(true);
  expect(await acme.web2.ping('10.9.1.11')).toBe(true);
  await acme.web2.exec('ip', ['addr', 'add', '10.0.1.100/24', 'dev', 'eth0']);
  expect(await vm.ping('10.0.1.100')).toBe(true);
  // Neither the other way nor from another tier did anybody order it, nor does it lead on to the shop's own routes.
  expect(await vm.ping(ipOf('web1'), refused)).toBe(false);
  expect(await acme.db1.ping('10.9.1.11', refused)).toBe(false);
  expect(await vm.ping(behind, refused)).toBe(false);
});
