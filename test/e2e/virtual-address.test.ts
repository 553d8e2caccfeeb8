/** An address that two VMs share as VRRP does, and a VM without port security: real packets, the controller away. */
import { expect, test } from 'vitest';
import { gatewayOf, ipOf, macOf, openRoutedCloud } from './routed-cloud.ts';

const network = 'tenants/acme/networks/shop';
const virtual = '10.0.1.100';
const virtualMac = '00:00:5e:00:01:0a';
const refused = { patience: 1_200 };

test('a virtual address follows the VM that has it, without the controller', { timeout: 120_000 }, async (context) => {
  await using cloud = await openRoutedCloud(context);
  const { acme, umbrella, lab, apply } = cloud;
  const { web1, web2, db1, db2 } = acme;
  const shared = (name: 'web1' | 'web2', mac?: string) => ({
    path: `${network}/ports/${name}`,
    spec: {
      tier: 'web',
      mac: macOf(name),
      ips: [ipOf(name)],
      ifaceId: `acme-${name}`,
      allowedAddressPairs: [{ ip: virtual, ...(mac === undefined ? {} : { mac }) }],
    },
  });
  const allow = (name: string, from: object, to: object) => ({
    path: `${network}/rules/${name}`,
    spec: { action: 'allow', priority: 200, from, to, protocol: 'any' },
  });
  // The rule names a port: its virtual address goes with it.
  await apply([shared('web1'), shared('web2'), allow('to-web1', { tier: 'db' }, { port: 'web1' })]);
  const take = (vm: typeof web1) => vm.exec('ip', ['addr', 'add', `${virtual}/24`, 'dev', 'eth0']);
  const give = (vm: typeof web1) => vm.exec('ip', ['addr', 'del', `${virtual}/24`, 'dev', 'eth0']);

  await take(web1);
  await web1.serve(8080, 'web1');
  await web2.serve(8080, 'web2');
  for (const client of [db1, db2]) expect(await client.tcp(virtual, 8080)).toEqual({ answer: 'web1' });
  // As VRRP announces it, nobody objects.
  const probe = await web1.exec('arping', ['-c', '1', '-w', '1', '-A', '-I', 'eth0', virtual]);
  expect(probe.status === 0 || /not found|No such file/.test(probe.stderr)).toBe(true);

  await lab.killController();
  await give(web1);
  expect(await db1.tcp(virtual, 8080, refused)).toEqual({ failure: 'timeout' });
  await take(web2);
  for (const client of [db1, db2]) expect(await client.tcp(virtual, 8080)).toEqual({ answer: 'web2' });
  expect(await umbrella.db1.tcp(virtual, 8080, refused)).toMatchObject({ failure: expect.any(String) });
  await lab.startController();

  // Under a MAC of its own (RFC 9568 section 7.3): frames of the one that has it carry that.
  await apply([shared('web1', virtualMac), shared('web2', virtualMac)]);
  await give(web2);
  for (const vm of [web1, web2])
    await vm.exec('ip', [
      ...['link', 'add', 'link', 'eth0', 'name', 'vrrp', 'address', virtualMac, 'type', 'macvlan', 'mode', 'private'],
    ]);
  const up = async (vm: typeof web1) => {
    const made = await vm.exec('ip', ['link', 'set', 'vrrp', 'up']);
    if (made.status !== 0) return false;
    await vm.exec('ip', ['addr', 'add', `${virtual}/32`, 'dev', 'vrrp']);
    for (const of of ['all', 'eth0', 'vrrp']) await vm.exec('sysctl', ['-w', `net.ipv4.conf.${of}.rp_filter=0`]);
    return true;
  };
  if (!(await up(web1)))
    return context.skip('no macvlan in this kernel: the virtual MAC is held by compiled flows only');
  expect(await db1.tcp(virtual, 8080)).toEqual({ answer: 'web1' });
});

test('a VM without port security sends and gets what it likes; rules hold', { timeout: 120_000 }, async (context) => {
  await using cloud = await openRoutedCloud(context);
  const { acme, apply } = cloud;
  const { web1, web2, db1 } = acme;
  const foreign = '10.0.1.77';
  const port = { tier: 'web', mac: macOf('web1'), ips: [ipOf('web1')], ifaceId: 'acme-web1' };
  await web1.exec('ip', ['addr', 'add', `${foreign}/24`, 'dev', 'eth0']);
  await web1.exec('ip', ['route', 'replace', 'default', 'via', gatewayOf('web')]);
  const sends = async () => {
    const seen = await db1.capture();
    await web1.exec('ping', ['-c', '3', '-i', '0.2', '-W', '1', '-I', foreign, ipOf('db1')]);
    return (await seen.frames()).some(({ hex }) => hex.slice(52, 60) === '0a00014d');
  };
  expect(await sends()).toBe(false);
  await apply([{ path: `${network}/ports/web1`, spec: { ...port, portSecurity: false } }]);
  expect(await sends()).toBe(true);
  await apply([{ path: `${network}/ports/web1`, spec: { ...port, portSecurity: true } }]);
  expect(await sends()).toBe(false);
  expect(await web2.ping(ipOf('db1'))).toBe(true);
});
