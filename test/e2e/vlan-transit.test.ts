/**
 * A device in a transit tier, with real packets: what a static route leads through it passes as the rules say, of two tenants
 * whose transit tiers have the same addresses too; the device itself is out of the tenants' reach, whatever their rules.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { LabHost } from '../../src/sandbox/lab-host.ts';
import { pingThrough } from '../../src/sandbox/pings.ts';
import type { Resource } from './outside-cloud.ts';
import { networkOf, openVlanCloud, places, type Tenant, tenants, type VlanCloud } from './vlan-cloud.ts';

const firewall = { mac: '02:00:00:00:09:01', ip: '169.254.128.10' } as const;
/** Behind the firewalls, each tenant's own. */
const beyond = { prefix: '198.51.100.0/24', router: '198.51.100.1', server: '198.51.100.7' } as const;

type Transit = VlanCloud & { firewalls: Record<Tenant, LabHost>; servers: Record<Tenant, LabHost> };

let cloud: Transit | undefined;
let reason: string | undefined;

beforeAll(async () => {
  const skip = (why?: string): never => {
    reason = why ?? 'no lab';
    throw new Error(reason);
  };
  const made = await openVlanCloud({ skip: skip as never }).catch((error: unknown) => {
    if (reason !== undefined) return undefined;
    throw error;
  });
  if (made === undefined) return;
  cloud = { ...made, ...(await transitOf(made)) };
}, 120_000);
afterAll(() => cloud?.[Symbol.asyncDispose]());

async function transitOf({ lab, apply }: VlanCloud): Promise<Pick<Transit, 'firewalls' | 'servers'>> {
  await apply(
    tenants.flatMap((tenant): Resource[] => {
      const network = networkOf(tenant);
      return [
        { path: `${network}/tiers/edge`, spec: { cidr: '169.254.128.0/24', transit: true } },
        { path: `${network}/vlan-attachments/edge`, spec: { trunk: 'racks', tier: 'edge' } },
        {
          path: `${network}/ports/firewall`,
          spec: {
            tier: 'edge',
            attachment: 'edge',
            mac: firewall.mac,
            ips: [firewall.ip],
            allowedAddressPairs: [{ ip: beyond.prefix }],
          },
        },
        { path: `${network}/routes/beyond`, spec: { destination: beyond.prefix, nextHop: firewall.ip } },
      ];
    }),
  );
  const made = await Promise.all(
    tenants.map(async (tenant) => {
      const path = `${networkOf(tenant)}/vlan-attachments/edge`;
      const { vlan } = (await lab.admin('GET', `/v1/${path}`)) as { vlan: number };
      await lab.addSegment(`${tenant}-beyond`);
      const box = await lab.addHost({
        name: `${tenant}-firewall`,
        links: [
          { segment: 'cabinet', vlan, mac: firewall.mac, address: `${firewall.ip}/24` },
          { segment: `${tenant}-beyond`, address: `${beyond.router}/24` },
        ],
        gateway: '169.254.128.1',
        forwards: true,
      });
      const links = [{ segment: `${tenant}-beyond`, address: `${beyond.server}/24` }];
      const server = await lab.addHost({ name: `${tenant}-server`, links, gateway: beyond.router });
      await server.serve(9000, `${tenant}-server`);
      await box.serve(22, `${tenant}-firewall`);
      await lab.portReady(`${networkOf(tenant)}/ports/firewall`);
      return { tenant, box, server };
    }),
  );
  const each = (pick: (one: (typeof made)[number]) => LabHost): Record<Tenant, LabHost> =>
    Object.fromEntries(made.map((one) => [one.tenant, pick(one)])) as Record<Tenant, LabHost>;
  return { firewalls: each(({ box }) => box), servers: each(({ server }) => server) };
}

function run(name: string, body: (cloud: Transit) => Promise<void>): void {
  test(name, { timeout: 60_000 }, async (context) => {
    if (cloud === undefined) return context.skip(reason ?? 'the cloud could not be had');
    await body(cloud);
  });
}

const short = { patience: 1_200 };
const silent = { failure: 'timeout' } as const;

run('nothing passes the device until the rules say so, and then each tenant has its own', async (all) => {
  const { vms, servers, apply } = all;
  for (const tenant of tenants) {
    await vms[tenant].near.serve(9000, `${tenant}-near`);
    expect(await vms[tenant].near.tcp(beyond.server, 9000, short)).toEqual(silent);
    expect(await servers[tenant].tcp(places.near.ip, 9000, short)).toEqual(silent);
  }
  await apply(
    tenants.flatMap((tenant): Resource[] => [
      {
        path: `${networkOf(tenant)}/rules/out`,
        spec: { action: 'allow', priority: 100, from: { any: true }, to: { cidr: beyond.prefix }, protocol: 'any' },
      },
    ]),
  );
  for (const tenant of tenants) {
    for (const vm of Object.values(vms[tenant]))
      expect(await vm.tcp(beyond.server, 9000)).toEqual({ answer: `${tenant}-server` });
    // One way only.
    expect(await servers[tenant].tcp(places.near.ip, 9000, short)).toEqual(silent);
  }
  await apply(
    tenants.flatMap((tenant): Resource[] => [
      {
        path: `${networkOf(tenant)}/rules/in`,
        spec: { action: 'allow', priority: 100, from: { cidr: beyond.prefix }, to: { any: true }, protocol: 'tcp' },
      },
    ]),
  );
  for (const tenant of tenants)
    expect(await servers[tenant].tcp(places.near.ip, 9000)).toEqual({ answer: `${tenant}-near` });
});

run("no rule of a tenant's reaches the device itself; a policy does", async ({ apply, vms, lab }) => {
  const all = { action: 'allow', priority: 1, from: { any: true }, to: { any: true }, protocol: 'any' };
  await apply(tenants.map((tenant) => ({ path: `${networkOf(tenant)}/rules/all`, spec: all })));
  for (const vm of [vms.acme.near, vms.acme.beside]) {
    expect(await vm.tcp(firewall.ip, 22, short)).toEqual(silent);
    expect(await vm.ping(firewall.ip, short)).toBe(false);
    // Nor does the tier's gateway say that it is there.
    expect(await vm.ping('169.254.128.1', short)).toBe(false);
  }
  expect(await vms.acme.near.tcp(beyond.server, 9000)).toEqual({ answer: 'acme-server' });
  const manage = {
    action: 'allow',
    priority: 10,
    from: { any: true },
    to: { cidr: '169.254.128.0/24' },
    protocol: 'tcp',
  };
  await apply([{ path: 'policies/manage', spec: { ...manage, ports: ['22'], tenants: ['acme'] } }]);
  expect(await vms.acme.near.tcp(firewall.ip, 22)).toEqual({ answer: 'acme-firewall' });
  expect(await vms.umbrella.near.tcp(firewall.ip, 22, short)).toEqual(silent);
  await lab.admin('DELETE', '/v1/policies/manage');
  await apply(tenants.map((tenant) => ({ path: `${networkOf(tenant)}/rules/all`, delete: true })));
});

run(
  'a steering rule leads one direction through the device, and the other past it',
  async ({ apply, vms, firewalls }) => {
    const { near, far } = places;
    const pings = { action: 'allow', priority: 100, from: { tier: 'web' }, to: { tier: 'db' }, protocol: 'icmp' };
    await apply(
      tenants.flatMap((tenant): Resource[] => [
        { path: `${networkOf(tenant)}/rules/pings`, spec: pings },
        {
          path: `${networkOf(tenant)}/steering/inspect`,
          spec: { priority: 10, from: { tier: 'web' }, to: { tier: 'db' }, protocol: 'icmp', via: ['firewall'] },
        },
      ]),
    );
    for (const tenant of tenants) {
      const capture = await firewalls[tenant].capture();
      expect(await vms[tenant].far.ping(near.ip)).toBe(true);
      const hex = (text: string): string =>
        text
          .split('.')
          .map((octet) => Number(octet).toString(16).padStart(2, '0'))
          .join('');
      const pairs = (frames: readonly { hex: string }[]): string[] => frames.map((frame) => frame.hex.slice(52, 68));
      // In, and out again.
      await expect
        .poll(async () => pairs(await capture.seen()).filter((pair) => pair === hex(far.ip) + hex(near.ip)).length)
        .toBeGreaterThanOrEqual(2);
      const seen = pairs(await capture.frames());
      expect(seen).not.toContain(hex(near.ip) + hex(far.ip));
    }
    await apply(
      tenants.flatMap((tenant): Resource[] => [
        { path: `${networkOf(tenant)}/steering/inspect`, delete: true },
        { path: `${networkOf(tenant)}/rules/pings`, delete: true },
      ]),
    );
  },
);

run('with no controller the way through the device goes on by the second gateway', async (all) => {
  const { lab, vms, servers, firewalls } = all;
  const port = (await lab.admin('GET', `/v1/${networkOf('acme')}/ports/firewall`)) as {
    binding: { hypervisor: string };
  };
  const first = lab.hypervisors.find(({ name }) => name === port.binding.hypervisor)!;
  await lab.killController();
  expect(await vms.acme.near.ping(beyond.server)).toBe(true);
  const loss = await pingThrough(vms.acme.near, beyond.server, () => first.kill('ovs-vswitchd'));
  console.log(`lost: ${JSON.stringify(loss)}`);
  expect(loss.lost * loss.interval).toBeLessThanOrEqual(2_000);
  for (const tenant of tenants) {
    await firewalls[tenant].exec('ip', ['neigh', 'flush', 'all']);
    expect(await vms[tenant].near.tcp(beyond.server, 9000)).toEqual({ answer: `${tenant}-server` });
    expect(await servers[tenant].tcp(places.near.ip, 9000)).toEqual({ answer: `${tenant}-near` });
  }
});
