import { expect, test } from 'vitest';
import { openLabOrSkip, pingFrame } from '../support/lab.ts';
import { buildStaticLab, key, makeBridge, programByHand } from './static-lab.ts';

test('two VMs on two hypervisors reach one another through GRE under the key, and only where flows say so', async (context) => {
  await using lab = await openLabOrSkip(context);
  const { hypervisors, vms } = await buildStaticLab(lab);
  const [hv1, hv2] = [hypervisors[0]!, hypervisors[1]!];
  const [vm1, vm2] = [vms[0]!, vms[1]!];

  const wire = await hv2.capture({ filter: 'proto gre' });
  expect(await vm1.ping('10.0.1.12')).toBe(true);
  const packets = await wire.stop();
  expect(packets.length).toBeGreaterThan(0);
  for (const packet of packets) expect(packet).toContain(`key=0x${key.toString(16)}`);

  await vm2.serve(80, 'vm2 answers');
  expect(await vm1.tcp('10.0.1.12', 80)).toEqual({ answer: 'vm2 answers' });
  expect(await vm1.tcp('10.0.1.12', 81, { patience: 300 })).toEqual({ failure: 'refused' });

  const arrived = await vm2.capture({ filter: 'icmp' });
  const spoofed = { ethSrc: '02:00:00:00:00:77', ethDst: vm2.mac, ipSrc: '10.0.1.66', ipDst: '10.0.1.12' };
  await vm1.sendFrame(pingFrame(spoofed));
  await expect.poll(async () => (await hv1.ofctl('dump-flows', 'table=0')).includes('n_packets=0')).toBe(false);
  await vm1.ping('10.0.1.12');
  expect((await arrived.stop())[0]).toMatch(/^02:00:00:00:00:77 > .*10\.0\.1\.66 > 10\.0\.1\.12: ICMP echo request/);

  await hv2.ofctl('del-flows');
  expect(await vm1.ping('10.0.1.12', { patience: 1_000 })).toBe(false);
  expect(await vm1.tcp('10.0.1.12', 80, { patience: 1_000 })).toEqual({ failure: 'timeout' });
});

test('a hypervisor comes back after ovs-vswitchd was killed, and a VM moves to another hypervisor', async (context) => {
  await using lab = await openLabOrSkip(context);
  const { hypervisors, vms } = await buildStaticLab(lab);
  const [hv1, hv2] = [hypervisors[0]!, hypervisors[1]!];

  await hv2.kill('ovs-vswitchd');
  expect(await vms[0]!.ping('10.0.1.12', { patience: 1_000 })).toBe(false);
  await hv2.start('ovs-vswitchd');
  await programByHand(hv2, 'iface-2');
  expect(await vms[0]!.ping('10.0.1.12')).toBe(true);

  const hv3 = await lab.addHypervisor('hv3');
  await makeBridge(hv3);
  await vms[1]!.move('hv3');
  expect(await hv2.vsctl('list-ports', 'br-int')).not.toContain('vif');
  await hv3.vsctl(
    ...['add-port', 'br-int', 'gre0', '--', 'set', 'Interface', 'gre0', 'type=gre'],
    ...['options:key=flow', `options:remote_ip=${hv1.encapIp}`],
  );
  await hv1.vsctl('set', 'Interface', 'gre0', `options:remote_ip=${hv3.encapIp}`);
  await programByHand(hv3, 'iface-2');
  expect(await vms[0]!.ping('10.0.1.12', { patience: 5_000 })).toBe(true);
});
