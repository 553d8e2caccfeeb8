/** What the router tells a VM of packets it does not pass on; the VM's own kernel and ping are the judges. */
import { expect, test } from 'vitest';
import type { Outcome } from '../../src/sandbox/run.ts';
import { type LabVm, openLabOrSkip } from '../support/lab.ts';

const network = 'tenants/acme/networks/shop';

const orders = [
  { path: 'tenants/acme', spec: {} },
  { path: network, spec: { offering: 'basic', cidr: '10.0.0.0/16', ipv6Cidr: 'fd00:10::/48' } },
  { path: `${network}/tiers/web`, spec: { cidr: '10.0.1.0/24', ipv6Cidr: 'fd00:10:0:1::/64' } },
  { path: `${network}/tiers/db`, spec: { cidr: '10.0.2.0/24', ipv6Cidr: 'fd00:10:0:2::/64' } },
  {
    path: `${network}/ports/web1`,
    spec: { tier: 'web', mac: '02:00:00:00:01:11', ips: ['10.0.1.11', 'fd00:10:0:1::11'], ifaceId: 'web1' },
  },
  {
    path: `${network}/ports/db1`,
    spec: { tier: 'db', mac: '02:00:00:00:02:11', ips: ['10.0.2.11', 'fd00:10:0:2::11'], ifaceId: 'db1' },
  },
  ...(['icmp', 'icmpv6'] as const).map((protocol) => ({
    path: `${network}/rules/${protocol}`,
    spec: { action: 'allow', priority: 100, from: { tier: 'web' }, to: { any: true }, protocol },
  })),
];

async function output(vm: LabVm, program: string, args: string[]): Promise<Outcome> {
  return await vm.exec(program, args, { timeout: 10_000 });
}

test('time exceeded and unreachable, of both IP versions, from the gateway of the sender', async (context) => {
  await using lab = await openLabOrSkip(context);
  await lab.startController();
  await lab.join(await lab.addHypervisor('hv1'));
  await lab.admin('POST', '/v1/apply', { resources: orders, wait: 'programmed', timeout: '20s' });
  const vm = async (name: string, tier: number): Promise<LabVm> => {
    const made = await lab.addVm({
      name,
      hypervisor: 'hv1',
      mac: `02:00:00:00:0${tier}:11`,
      address: `10.0.${tier}.11/24`,
      gateway: `10.0.${tier}.1`,
      ifaceId: name,
    });
    await made.plug();
    const ipv6 = [
      'for f in all default eth0; do echo 0 > /proc/sys/net/ipv6/conf/$f/disable_ipv6; done',
      `ip -6 addr add fd00:10:0:${tier}::11/64 dev eth0 nodad`,
      `ip -6 route add default via fd00:10:0:${tier}::1 dev eth0`,
    ];
    expect(await made.exec('sh', ['-e'], { input: ipv6.join('\n') })).toMatchObject({ status: 0 });
    await lab.portReady(`${network}/ports/${name}`);
    return made;
  };
  const web1 = await vm('web1', 1);
  await vm('db1', 2);
  expect(await web1.ping('10.0.2.11')).toBe(true);
  expect(await web1.ping('fd00:10:0:2::11')).toBe(true);

  const told = async (...args: string[]): Promise<string> =>
    (await output(web1, 'ping', ['-n', '-c', '1', '-W', '2', ...args])).stdout;
  expect(await told('-t', '1', '10.0.2.11')).toMatch(/From 10\.0\.1\.1 icmp_seq=1 Time to live exceeded/);
  expect(await told('10.0.2.99')).toMatch(/From 10\.0\.1\.1 icmp_seq=1 Destination Host Unreachable/);
  expect(await told('10.9.9.9')).toMatch(/From 10\.0\.1\.1 icmp_seq=1 Destination Net Unreachable/);
  expect(await told('-t', '1', 'fd00:10:0:2::11')).toMatch(/From fd00:10:0:1::1 icmp_seq=1 Time exceeded: Hop limit/);
  expect(await told('fd00:10:0:2::99')).toMatch(
    /From fd00:10:0:1::1 icmp_seq=1 Destination unreachable: Address unreachable/,
  );
  expect(await told('fd00:99::1')).toMatch(/From fd00:10:0:1::1 icmp_seq=1 Destination unreachable: No route/);

  // Larger than the network carries, where the VM's interface takes it (1400): what fits goes on.
  await lab.admin('PUT', `/v1/${network}?wait=programmed`, { ...orders[1]!.spec, mtu: 1300 });
  expect(await told('-M', 'do', '-s', '1272', '10.0.2.11')).toMatch(/1 received/);
  expect(await told('-M', 'do', '-s', '1273', '10.0.2.11')).toMatch(
    /From 10\.0\.1\.1 icmp_seq=1 Frag needed and DF set \(mtu = 1300\)/,
  );
  expect(await told('-M', 'do', '-s', '1252', 'fd00:10:0:2::11')).toMatch(/1 received/);
  expect(await told('-M', 'do', '-s', '1253', 'fd00:10:0:2::11')).toMatch(
    /From fd00:10:0:1::1 icmp_seq=1 Packet too big: mtu=1300/,
  );
}, 90_000);
