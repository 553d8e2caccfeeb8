/**
 * IPv6 from gateway hosts, asked by clients of other people: leases, routers. And what happens to services when a gateway
 * dies while there is no controller.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { askForLease, findDhcpClient } from '../../src/sandbox/dhcp-client.ts';
import { until } from '../../src/sandbox/ephemeral.ts';
import type { LabHypervisor, LabVm } from '../support/lab.ts';
import { toolOrSkip } from '../support/network-tools.ts';
import { type OutsideCloud, sharedOutsideCloud, type Tenant, tenants } from './outside-cloud.ts';

const test = sharedOutsideCloud();

const address = 'fd00:5::66';
const six = (tenant: Tenant): string => `tenants/${tenant}/networks/six`;
const vms = new Map<Tenant, LabVm>();

/** A network with IPv6 for each tenant, with the same addresses, and a VM in it that has none. */
async function sixOf(cloud: OutsideCloud): Promise<ReadonlyMap<Tenant, LabVm>> {
  if (vms.size > 0) return vms;
  await cloud.apply(
    tenants.flatMap((tenant) => [
      { path: six(tenant), spec: { offering: 'basic', cidr: '10.5.0.0/16', ipv6Cidr: 'fd00:5::/48' } },
      { path: `${six(tenant)}/tiers/a`, spec: { cidr: '10.5.1.0/24', ipv6Cidr: 'fd00:5::/64' } },
      {
        path: `${six(tenant)}/ports/vm`,
        spec: {
          tier: 'a',
          mac: '02:00:00:00:05:01',
          ips: ['10.5.1.9', address],
          ifaceId: `${tenant}-six`,
          hostname: `v6-${tenant}`,
        },
      },
    ]),
  );
  for (const tenant of tenants) {
    const vm = await cloud.lab.addVm({
      name: `${tenant}-six`,
      hypervisor: tenant === 'acme' ? 'hv1' : 'hv2',
      mac: '02:00:00:00:05:01',
      address: '10.5.1.9/24',
      gateway: '10.5.1.1',
      ifaceId: `${tenant}-six`,
    });
    await vm.plug();
    await cloud.lab.portReady(`${six(tenant)}/ports/vm`);
    await vm.exec('sh', ['-c', 'for f in all default eth0; do echo 0 > /proc/sys/net/ipv6/conf/$f/disable_ipv6; done']);
    vms.set(tenant, vm);
  }
  return vms;
}

test('a router is solicited and says that addresses come by DHCP', async (cloud, context) => {
  const [program, ...before] = await toolOrSkip('rdisc6', context);
  // The same package calls itself by how it is called.
  for (const [, vm] of await sixOf(cloud)) {
    await until(
      'a link-local address',
      async () => {
        const { stdout } = await vm.exec('ip', ['-6', 'addr', 'show', 'dev', 'eth0', 'scope', 'link', '-tentative']);
        return stdout.includes('fe80');
      },
      10_000,
      100,
    );
    let said = '';
    await until(
      'an advertisement',
      async () => {
        said = (await vm.exec(program, [...before, '-1', '-r', '2', '-w', '1000', 'eth0'])).stdout;
        return said.includes('from fe80::');
      },
      15_000,
      100,
    );
    expect(said).toMatch(/Stateful address conf\.\s*:\s*Yes/);
    expect(said).toMatch(/Router lifetime\s*:\s*1800/);
    expect(said).toMatch(/MTU\s*:\s*1458 bytes/);
    expect(said).toMatch(/Prefix\s*:\s*fd00:5::\/64/);
    expect(said).toMatch(/On-link\s*:\s*Yes/);
    expect(said).toMatch(/Autonomous address conf\.\s*:\s*No/);
    // The kernel takes it for what it is.
    const { stdout } = await vm.exec('ip', ['-6', 'route', 'show', 'default']);
    expect(stdout).toContain('proto ra');
  }
});

test('a lease of IPv6 is the address of the port, and what it reaches by its router answers', async (cloud, context) => {
  const client = await findDhcpClient();
  if ('unavailable' in client) return context.skip(`no dhclient: ${client.unavailable}`);
  for (const [, vm] of await sixOf(cloud)) {
    const holder = askForLease(client, vm, cloud.lab.directory, 6);
    try {
      await until('a lease', () => holder.lease()?.ip6_address !== undefined, 15_000, 50);
      expect(holder.lease()).toMatchObject({ ip6_address: address });
      expect(await vm.ping('fd00:5::1', { patience: 5_000 })).toBe(true);
    } finally {
      await holder.stop();
    }
  }
});

/** Which of the two has answered requests of the network: by what its flow has counted. */
async function inCharge({ gateways }: OutsideCloud, vm: LabVm, ask: () => Promise<unknown>): Promise<LabHypervisor> {
  const counts = () =>
    Promise.all(
      gateways.map(async (gateway) => {
        const text = await gateway.ofctl('dump-flows', 'table=75');
        return [...text.matchAll(/n_packets=(\d+)/g)].reduce((sum, [, n]) => sum + Number(n), 0);
      }),
    );
  const before = await counts();
  await ask();
  let at = -1;
  // Counters of flows follow those of the datapath after a second or so.
  await until(
    `somebody who was asked by ${vm.name}`,
    async () => {
      const after = await counts();
      at = after.findIndex((n, i) => n > before[i]!);
      return at >= 0;
    },
    10_000,
    200,
  );
  return gateways[at]!;
}

test('names and leases go on when a gateway dies, with no controller', async (cloud, context) => {
  const [program, ...before] = await toolOrSkip('dig', context);
  const client = await findDhcpClient();
  if ('unavailable' in client) return context.skip(`no dhclient: ${client.unavailable}`);
  const { lab } = cloud;
  const ask = async (vm: LabVm, name: string) =>
    (await vm.exec(program, [...before, '@169.254.169.254', '+short', '+tries=1', '+time=1', name])).stdout.trim();
  for (const tenant of tenants) {
    const vm = cloud.vms[tenant].web1;
    await until('names', async () => (await ask(vm, 'web2.shop.internal')) === '10.0.1.12', 15_000, 100);
  }
  const vm = cloud.vms.acme.web1;
  // What was asked before is counted by then.
  await sleep(2_000);
  const address = await cloud.publicIp('acme', 'front');
  const first = await inCharge(cloud, vm, () => ask(vm, 'web2.shop.internal'));
  await lab.killController();
  try {
    const capture = await cloud.router.capture({ filter: `arp and arp[24:4] = arp[14:4] and src host ${address}` });
    await first.setLinks('down');
    const started = performance.now();
    for (const tenant of tenants)
      await until(
        'names of the other',
        async () => (await ask(cloud.vms[tenant].web1, 'web2.shop.internal')) === '10.0.1.12',
        10_000,
        20,
      );
    expect(performance.now() - started).toBeLessThan(8_000);
    // The other one has told everybody outside, in both forms, several times.
    const told = await capture.stop();
    expect(told.length).toBeGreaterThanOrEqual(4);
    expect(told.filter((line) => line.includes('Reply')).length).toBeGreaterThanOrEqual(2);
    const holder = askForLease(client, cloud.vms.umbrella.web2, lab.directory);
    try {
      await until('a lease', () => holder.lease()?.ip_address !== undefined, 15_000, 20);
      expect(holder.lease()?.ip_address).toBe('10.0.1.12');
    } finally {
      await holder.stop();
    }
  } finally {
    await first.setLinks('up');
    await lab.startController();
  }
});
