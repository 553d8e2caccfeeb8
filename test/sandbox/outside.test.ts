/** What a lab has outside of its cloud, without a controller: flows by hand, or a bridge that learns. */
import { expect, test } from 'vitest';
import { buildOutside, outside, publicLink } from '../../src/sandbox/outside.ts';
import { openLabOrSkip } from '../support/lab.ts';

test('a client reaches what is on the public bridge of a hypervisor, untagged and on a VLAN, each alone, until the wires are cut', async (context) => {
  await using lab = await openLabOrSkip(context);
  const { router, client } = await buildOutside(lab);
  const hv1 = await lab.addHypervisor('hv1', { physical: [publicLink] });
  expect(await hv1.vsctl('get', 'Open_vSwitch', '.', 'external_ids:keyway-bridge-mappings')).toContain('physnet:br-ex');
  const vm = (name: string, address: string, gateway: string) =>
    lab.addVm({ name, hypervisor: 'hv1', mac: `02:00:00:00:09:0${name.at(-1)}`, address, gateway, ifaceId: name });
  const [flat, tagged] = [
    await vm('vm1', '203.0.113.10/25', outside.flat.gateway),
    await vm('vm2', '203.0.113.140/25', outside.tagged.gateway),
  ];
  await flat.plug(outside.bridge);
  await tagged.plug(outside.bridge);
  const vif = (name: string) =>
    hv1.vsctl('--bare', '--columns=name', 'find', 'Interface', `external_ids:iface-id=${name}`).then((s) => s.trim());
  await hv1.vsctl('set', 'Port', await vif('vm1'), 'tag=0');
  await hv1.vsctl('set', 'Port', await vif('vm2'), `tag=${outside.tagged.vlan}`);
  expect(await client.ping('203.0.113.10')).toBe(true);
  expect(await client.ping('203.0.113.140')).toBe(true);
  await flat.serve(80);
  expect(await client.tcp('203.0.113.10', 80)).toEqual({ answer: 'vm1' });
  // Each in its own VLAN: the router of the other one does not answer there.
  await hv1.vsctl('set', 'Port', await vif('vm1'), `tag=${outside.tagged.vlan}`);
  await hv1.vsctl('set', 'Port', await vif('vm2'), 'tag=0');
  await router.exec('ip', ['neigh', 'flush', 'all']);
  const [one, two] = await Promise.all([
    client.ping('203.0.113.10', { patience: 1_000 }),
    client.ping('203.0.113.140', { patience: 1_000 }),
  ]);
  expect([one, two]).toEqual([false, false]);
  await hv1.vsctl('set', 'Port', await vif('vm1'), 'tag=0');
  expect(await client.ping('203.0.113.10')).toBe(true);
  await hv1.setLinks('down');
  expect(await client.ping('203.0.113.10', { patience: 1_000 })).toBe(false);
  await hv1.setLinks('up');
  expect(await client.ping('203.0.113.10')).toBe(true);
});

test('a device behind a trunk sees each VLAN on a side of its own, with the same addresses', async (context) => {
  await using lab = await openLabOrSkip(context);
  await lab.addSegment('trunk');
  await lab.addSegment('appliance', { trunkTo: 'trunk' });
  const side = (vlan: number, name = `side${vlan}`) =>
    lab.addHost({ name, links: [{ segment: 'appliance', vlan, address: '10.0.1.200/24' }] });
  const [a, b] = [await side(101), await side(102)];
  const peer = (vlan: number) =>
    lab.addHost({ name: `peer${vlan}`, links: [{ segment: 'trunk', vlan, address: '10.0.1.11/24' }] });
  const [first] = [await peer(101), await peer(102)];
  await using seen = await b.capture({ filter: 'icmp' });
  expect(await a.ping('10.0.1.11')).toBe(true);
  expect(await seen.stop()).toEqual([]);
  await first.exec('ip', ['link', 'set', 'eth0', 'down']);
  expect(await a.ping('10.0.1.11', { patience: 1_000 })).toBe(false);
  expect(await b.ping('10.0.1.11')).toBe(true);
});

test('a program of a hypervisor has a /run of its own and ends with a signal, telling how', async (context) => {
  await using lab = await openLabOrSkip(context);
  const hv1 = await lab.addHypervisor('hv1');
  const program = await hv1.startKeyway(['no-such-command']);
  expect(await program.ended()).toMatch(/^exit status [1-9]/);
});
