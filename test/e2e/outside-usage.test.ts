/** Usage and trace of the way out and in, held against packets that were really sent: two tenants with the same addresses. */
import { expect } from 'vitest';
import { outside } from '../../src/sandbox/outside.ts';
import {
  networkOf,
  type OutsideCloud,
  type Resource,
  sharedOutsideCloud,
  type Tenant,
  tenants,
} from './outside-cloud.ts';

const run = sharedOutsideCloud();

type Usage = {
  received: { packets: number; bytes: number };
  sent: { packets: number; bytes: number };
  complete: boolean;
};

const usageOf = async ({ lab }: OutsideCloud, path: string): Promise<Usage> =>
  (await lab.admin('GET', `/v1/${path}/usage`)) as Usage;
const front = (tenant: Tenant): string => `${networkOf(tenant)}/public-ips/front`;

function published(tenant: Tenant): Resource[] {
  const network = networkOf(tenant);
  const nat = (name: string, spec: object): Resource => ({
    path: `${network}/nat-rules/${name}`,
    spec: { publicIp: 'front', ...spec },
  });
  return [
    { path: front(tenant), spec: {} },
    nat('out', { type: 'source' }),
    nat('http', { type: 'port-forward', port: 'web1', protocol: 'tcp', publicPorts: '80', privatePorts: '8080' }),
    nat('shut', { type: 'port-forward', port: 'web2', protocol: 'tcp', publicPorts: '81', privatePorts: '8080' }),
    {
      path: `${network}/rules/http`,
      spec: {
        action: 'allow',
        priority: 100,
        from: { any: true },
        to: { port: 'web1' },
        protocol: 'tcp',
        ports: ['8080'],
      },
    },
  ];
}

run('bytes and packets of a public address are those that passed, of each tenant its own', async (cloud) => {
  const { apply, vms, client, lab } = cloud;
  await apply(tenants.flatMap(published));
  const count = { acme: 7, umbrella: 4 };
  for (const t of tenants) {
    // 56 bytes of data, ICMP, IPv4 and Ethernet headers: 98 bytes each.
    const { stdout } = await vms[t].web1.exec('ping', [
      ...['-c', String(count[t]), '-i', '0.05', '-W', '2', '-s', '56', outside.client.address],
    ]);
    expect(stdout).toContain(`${count[t]} received`);
  }
  for (const t of tenants) {
    const echoes = { packets: count[t], bytes: 98 * count[t] };
    await expect
      .poll(() => usageOf(cloud, front(t)), { timeout: 10_000, interval: 300 })
      .toMatchObject({ received: echoes, sent: echoes, complete: true });
    const port = await usageOf(cloud, `${networkOf(t)}/ports/web1`);
    // Its ARP beside that.
    expect(port.sent.packets).toBeGreaterThanOrEqual(count[t]);
    expect(port.received.packets).toBeGreaterThanOrEqual(count[t]);
  }
  // From outside, to a port that is published: what comes in, and what goes back.
  await vms.acme.web1.serve(8080, 'x'.repeat(400));
  const { address } = (await lab.admin('GET', `/v1/${front('acme')}`)) as { address: string };
  const before = await usageOf(cloud, front('acme'));
  expect(await client.tcp(address, 80)).toEqual({ answer: 'x'.repeat(400) });
  await expect
    .poll(async () => (await usageOf(cloud, front('acme'))).sent.bytes - before.sent.bytes, { timeout: 10_000 })
    .toBeGreaterThan(400);
  expect((await usageOf(cloud, front('acme'))).received.packets).toBeGreaterThan(before.received.packets + 2);
  expect((await usageOf(cloud, front('umbrella'))).sent.packets).toBe(count.umbrella);
  const { items } = (await lab.admin('GET', '/v1/usage?tenant=acme')) as { items: { path: string }[] };
  for (const { path } of items) expect(path).toMatch(/^tenants\/acme\//);
});

run('what trace foretells is what becomes of real packets, out and in', async (cloud) => {
  const { vms, client, lab } = cloud;
  const { address } = (await lab.admin('GET', `/v1/${front('umbrella')}`)) as { address: string };
  await vms.umbrella.web1.serve(8080, 'umbrella');
  await vms.umbrella.web2.serve(8080, 'shut');
  const trace = async (body: object): Promise<string> => {
    const { verdict } = (await lab.admin('POST', '/v1/trace', body)) as {
      verdict: { outcome: string; reason: string };
    };
    return verdict.outcome;
  };
  for (const port of [80, 81, 82]) {
    const really = await client.tcp(address, port, { patience: 1_200 });
    const foretold = await trace({
      from: `outside:${outside.client.address}`,
      to: address,
      protocol: 'tcp',
      ports: { destination: port },
    });
    expect([port, foretold]).toEqual([port, 'answer' in really ? 'delivered' : 'refused']);
  }
  for (const t of tenants) {
    const really = await vms[t].web2.ping(outside.client.address);
    expect([really, await trace({ from: `${networkOf(t)}/ports/web2`, to: outside.client.address })]).toEqual([
      true,
      'delivered',
    ]);
  }
});

run('a packet that is really sent is seen on every switch up to where it leaves', async ({ lab }) => {
  const { verdict, live, hops } = (await lab.admin('POST', '/v1/trace', {
    from: `${networkOf('acme')}/ports/web2`,
    to: outside.client.address,
    protocol: 'udp',
    ports: { source: 50_321, destination: 9 },
    live: true,
  })) as { verdict: { reason: string }; live: { arrived: boolean; text: string }; hops: { seen: boolean }[] };
  expect(verdict.reason).toBe('outside');
  expect(live, live.text).toMatchObject({ sent: true, arrived: true });
  expect(hops.map(({ seen }) => seen)).toEqual([true, true]);
});

run('a gateway that dies takes no usage with it: the figures go on with the other', async (cloud) => {
  const { vms, gateways, lab } = cloud;
  const before = await usageOf(cloud, front('umbrella'));
  const { address } = (await lab.admin('GET', `/v1/${front('umbrella')}`)) as { address: string };
  const { publicIps } = (await lab.admin('GET', `/v1/where?q=${address}`)) as {
    publicIps: { hypervisors: string[] }[];
  };
  const first = gateways.find(({ name }) => name === publicIps[0]!.hypervisors[0])!;
  await first.kill('ovs-vswitchd');
  await expect
    .poll(() => vms.umbrella.web1.ping(outside.client.address, { patience: 1_000 }), { timeout: 15_000 })
    .toBe(true);
  const passed = async (): Promise<number> => (await usageOf(cloud, front('umbrella'))).sent.packets;
  await vms.umbrella.web1.exec('ping', ['-c', '3', '-i', '0.05', outside.client.address]);
  const after = await usageOf(cloud, front('umbrella'));
  expect(after.sent.packets).toBeGreaterThanOrEqual(before.sent.packets);
  await expect.poll(passed, { timeout: 10_000 }).toBeGreaterThanOrEqual(before.sent.packets + 3);
});
