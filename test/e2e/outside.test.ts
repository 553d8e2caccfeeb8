/**
 * The way out and in, with real packets: source NAT, static NAT, forwarded ports, hairpin. Two tenants with the same
 * addresses, networks and names in every one of them, and everything once more with the controller stopped.
 */
import { expect } from 'vitest';
import { outside } from '../../src/sandbox/outside.ts';
import type { LabHypervisor } from '../support/lab.ts';
import {
  clear,
  networkOf,
  type OutsideCloud,
  type Resource,
  sharedOutsideCloud,
  type Tenant,
  tenants,
  trackedAt,
} from './outside-cloud.ts';

const run = sharedOutsideCloud();
const { client } = outside;

/** Of the client: answers with the address it sees. */
const mirror = 8000;
const nobody = { patience: 1_200 };

const nat = (tenant: Tenant, name: string, spec: object): Resource => ({
  path: `${networkOf(tenant)}/nat-rules/${name}`,
  spec,
});
const publicIp = (tenant: Tenant, name: string, spec: object = {}): Resource => ({
  path: `${networkOf(tenant)}/public-ips/${name}`,
  spec,
});
const gone = ({ path }: Resource): Resource => ({ path, delete: true });
/** What anybody may reach at the port. */
const open = (tenant: Tenant, port: string, ports: string[], name = `open-${port}`): Resource => ({
  path: `${networkOf(tenant)}/rules/${name}`,
  spec: { action: 'allow', priority: 100, from: { any: true }, to: { port }, protocol: 'tcp', ports },
});
const openPing = (tenant: Tenant, port: string): Resource => ({
  path: `${networkOf(tenant)}/rules/ping-${port}`,
  spec: { action: 'allow', priority: 100, from: { any: true }, to: { port }, protocol: 'icmp' },
});

async function addressOf({ lab }: OutsideCloud, { path }: Resource): Promise<string> {
  return ((await lab.admin('GET', `/v1/${path}`)) as { address: string }).address;
}

let mirrored = false;
async function mirrors(cloud: OutsideCloud): Promise<void> {
  if (mirrored) return;
  mirrored = true;
  await cloud.client.serve(mirror, '$SOCAT_PEERADDR');
}

/** Where the NAT state of the address is. */
async function keepers(cloud: OutsideCloud, address: string): Promise<LabHypervisor[]> {
  const all = [cloud.hv1, cloud.hv2, ...cloud.gateways];
  const found = await Promise.all(all.map((h) => trackedAt(h, address)));
  return all.filter((_, i) => found[i]!.length > 0);
}

run(
  'no way out until a NAT rule makes one, for its tiers alone; two tenants are seen by their own addresses',
  async (cloud) => {
    const { vms, apply } = cloud;
    await mirrors(cloud);
    expect(await vms.acme.web1.ping(client.address, nobody)).toBe(false);
    const ips = { acme: publicIp('acme', 'out'), umbrella: publicIp('umbrella', 'out') };
    await apply([
      ips.acme,
      nat('acme', 'out', { type: 'source', publicIp: 'out', tiers: ['web'] }),
      ips.umbrella,
      nat('umbrella', 'out', { type: 'source', publicIp: 'out' }),
    ]);
    const seenAs = { acme: await addressOf(cloud, ips.acme), umbrella: await addressOf(cloud, ips.umbrella) };
    expect(seenAs.acme).not.toBe(seenAs.umbrella);
    // At once, from the same addresses and the same source port.
    const from = `TCP4:${client.address}:${mirror},connect-timeout=3,sourceport=40000,reuseaddr`;
    const asked = await Promise.all(tenants.map((t) => vms[t].web1.exec('socat', ['-u', '-T', '3', from, 'STDOUT'])));
    expect(asked.map(({ stdout }) => stdout.trim())).toEqual([seenAs.acme, seenAs.umbrella]);
    for (const tenant of tenants) {
      expect(await vms[tenant].web2.tcp(client.address, mirror)).toEqual({ answer: seenAs[tenant] });
      expect(await vms[tenant].web1.ping(client.address)).toBe(true);
      expect(await keepers(cloud, seenAs[tenant])).toHaveLength(1);
    }
    // The tier that no rule names has no way out, the other tenant's has.
    const [acmeDb, umbrellaDb] = await Promise.all([
      vms.acme.db1.tcp(client.address, mirror, nobody),
      vms.umbrella.db1.tcp(client.address, mirror),
    ]);
    expect(acmeDb).toEqual({ failure: 'timeout' });
    expect(umbrellaDb).toEqual({ answer: seenAs.umbrella });
    // Nothing comes in unasked, answers of the same connection aside.
    const inward = await Promise.all(
      tenants.flatMap((t) => [cloud.client.ping(seenAs[t], nobody), cloud.client.tcp(seenAs[t], 80, nobody)]),
    );
    expect(inward).toEqual([false, { failure: 'timeout' }, false, { failure: 'timeout' }]);
    // Each in a zone of its own.
    const zones = await Promise.all(
      tenants.map(async (t) => {
        const [keeper] = await keepers(cloud, seenAs[t]);
        return `${keeper!.name} ${(await trackedAt(keeper!, seenAs[t]))[0]!.zone}`;
      }),
    );
    expect(new Set(zones).size).toBe(2);
  },
);

run(
  'a forwarded port leads to its VM where a rule lets it, nothing else does, and hairpin from within',
  async (cloud) => {
    const { vms, apply } = cloud;
    await clear(cloud);
    await mirrors(cloud);
    const ips = { acme: publicIp('acme', 'front'), umbrella: publicIp('umbrella', 'front') };
    const forwards = (t: Tenant) => [
      nat(t, 'out', { type: 'source', publicIp: 'front' }),
      nat(t, 'http', {
        type: 'port-forward',
        publicIp: 'front',
        port: 'web1',
        protocol: 'tcp',
        publicPorts: '80',
        privatePorts: '8080',
      }),
      nat(t, 'many', {
        type: 'port-forward',
        publicIp: 'front',
        port: 'web2',
        protocol: 'tcp',
        publicPorts: '9000-9003',
      }),
    ];
    await apply([...tenants.flatMap((t) => [ips[t], ...forwards(t)])]);
    for (const t of tenants) {
      await vms[t].web1.serve(8080, `${t}-web1`);
      await vms[t].web2.serve(9002, `${t}-web2`);
      await vms[t].web1.serve(80, 'wrong');
    }
    const at = { acme: await addressOf(cloud, ips.acme), umbrella: await addressOf(cloud, ips.umbrella) };
    // Published, but no rule lets anybody in.
    expect(await cloud.client.tcp(at.acme, 80, nobody)).toEqual({ failure: 'timeout' });
    await apply(tenants.flatMap((t) => [open(t, 'web1', ['8080']), open(t, 'web2', ['9000-9003'])]));
    for (const t of tenants) {
      expect(await cloud.client.tcp(at[t], 80)).toEqual({ answer: `${t}-web1` });
      expect(await cloud.client.tcp(at[t], 9002)).toEqual({ answer: `${t}-web2` });
    }
    const others = await Promise.all([8080, 9004, 22].map((port) => cloud.client.tcp(at.acme, port, nobody)));
    expect(others).toEqual(others.map(() => ({ failure: 'timeout' })));
    expect(await cloud.client.ping(at.acme, nobody)).toBe(false);
    // Hairpin: by the public address, from the same tier, the VM itself, and the other tenant.
    for (const t of tenants) {
      expect(await vms[t].web2.tcp(at[t], 80)).toEqual({ answer: `${t}-web1` });
      expect(await vms[t].web1.tcp(at[t], 80)).toEqual({ answer: `${t}-web1` });
    }
    expect(await vms.umbrella.web2.tcp(at.acme, 80)).toEqual({ answer: 'acme-web1' });
    // Taken back, it is closed; what else the address does goes on.
    await apply([gone(forwards('acme')[1]!)]);
    expect(await cloud.client.tcp(at.acme, 80, nobody)).toEqual({ failure: 'timeout' });
    expect(await cloud.client.tcp(at.acme, 9002)).toEqual({ answer: 'acme-web2' });
    expect(await cloud.client.tcp(at.umbrella, 80)).toEqual({ answer: 'umbrella-web1' });
    expect(await vms.acme.web1.tcp(client.address, mirror)).toEqual({ answer: at.acme });
  },
);

run(
  'static NAT stands for a VM both ways, on its own hypervisor where that has the way, and goes with the VM',
  async (cloud) => {
    const { vms, apply, hv1, lab } = cloud;
    await clear(cloud);
    await mirrors(cloud);
    // Of addresses that nobody had before: what conntrack has of them is of this test.
    const ips = {
      acme: publicIp('acme', 'mail', { address: '203.0.113.50', pool: 'public' }),
      umbrella: publicIp('umbrella', 'mail', { address: '203.0.113.51', pool: 'public' }),
    };
    await apply(
      tenants.flatMap((t) => [
        ips[t],
        nat(t, 'mail', { type: 'static', publicIp: 'mail', port: 'web1' }),
        open(t, 'web1', ['25']),
        openPing(t, 'web1'),
      ]),
    );
    const at = { acme: await addressOf(cloud, ips.acme), umbrella: await addressOf(cloud, ips.umbrella) };
    for (const t of tenants) {
      await vms[t].web1.serve(25, `${t}-mail`);
      expect(await cloud.client.ping(at[t])).toBe(true);
      expect(await cloud.client.tcp(at[t], 25)).toEqual({ answer: `${t}-mail` });
      expect(await vms[t].web1.tcp(client.address, mirror)).toEqual({ answer: at[t] });
      expect(await vms[t].web2.tcp(client.address, mirror, nobody)).toEqual({ failure: 'timeout' });
    }
    expect(await cloud.client.tcp(at.acme, 22, nobody)).toEqual({ failure: 'timeout' });
    // acme's is on hv1, which has a bridge to the public network; umbrella's is on hv2, which has none.
    expect((await keepers(cloud, at.acme)).map(({ name }) => name)).toEqual(['hv1']);
    const [umbrellas] = await keepers(cloud, at.umbrella);
    expect(cloud.gateways.map(({ name }) => name)).toContain(umbrellas?.name);
    // To where there is no such bridge, and back: the gateways take it over.
    await vms.acme.web1.move('hv2');
    await expect
      .poll(
        async () =>
          (
            (await lab.admin('GET', `/v1/${networkOf('acme')}/ports/web1`)) as {
              binding: { hypervisor: string } | null;
            }
          ).binding?.hypervisor,
      )
      .toBe('hv2');
    await lab.portReady(`${networkOf('acme')}/ports/web1`);
    expect(await vms.acme.web1.tcp(client.address, mirror)).toEqual({ answer: at.acme });
    expect(await cloud.client.tcp(at.acme, 25)).toEqual({ answer: 'acme-mail' });
    const after = await keepers(cloud, at.acme);
    expect(after.some(({ name }) => name === 'gw1' || name === 'gw2')).toBe(true);
    await vms.acme.web1.move('hv1');
    await expect
      .poll(
        async () =>
          (
            (await lab.admin('GET', `/v1/${networkOf('acme')}/ports/web1`)) as {
              binding: { hypervisor: string } | null;
            }
          ).binding?.hypervisor,
      )
      .toBe('hv1');
    await lab.portReady(`${networkOf('acme')}/ports/web1`);
    await hv1.appctl('dpctl/flush-conntrack');
    expect(await vms.acme.web1.tcp(client.address, mirror)).toEqual({ answer: at.acme });
    expect((await trackedAt(hv1, at.acme)).length).toBeGreaterThan(0);
    // Removed, there is no way out either.
    await apply([gone(nat('acme', 'mail', {}))]);
    expect(await vms.acme.web1.tcp(client.address, mirror, nobody)).toEqual({ failure: 'unreachable' });
    expect(await cloud.client.ping(at.umbrella)).toBe(true);
  },
);

run('a pool on a VLAN, with its own next hop, while another network uses the untagged one', async (cloud) => {
  const { vms, apply } = cloud;
  await clear(cloud);
  await mirrors(cloud);
  const [ip, other] = [publicIp('acme', 'out', { pool: 'tagged' }), publicIp('umbrella', 'out', { pool: 'public' })];
  await apply([
    ip,
    other,
    nat('acme', 'out', { type: 'source', publicIp: 'out' }),
    nat('umbrella', 'out', { type: 'source', publicIp: 'out' }),
  ]);
  const [at, otherAt] = [await addressOf(cloud, ip), await addressOf(cloud, other)];
  expect(at.startsWith('203.0.113.1')).toBe(true);
  expect(await vms.acme.web1.tcp(client.address, mirror)).toEqual({ answer: at });
  expect(await vms.acme.web2.tcp(client.address, mirror)).toEqual({ answer: at });
  expect(await vms.umbrella.web1.tcp(client.address, mirror)).toEqual({ answer: otherAt });
  // The router has each behind the interface of its own.
  const { stdout } = await cloud.router.exec('ip', ['neigh']);
  expect(stdout).toMatch(new RegExp(`^${at} dev eth1 `, 'm'));
  expect(stdout).toMatch(new RegExp(`^${otherAt} dev eth0 `, 'm'));
});

run('all of it with the controller stopped', async (cloud) => {
  const { vms, apply, lab } = cloud;
  await clear(cloud);
  await mirrors(cloud);
  const ips = tenants.flatMap((t) => [publicIp(t, 'front'), publicIp(t, 'mail')]);
  await apply([
    ...ips,
    ...tenants.flatMap((t) => [
      nat(t, 'out', { type: 'source', publicIp: 'front' }),
      nat(t, 'http', {
        type: 'port-forward',
        publicIp: 'front',
        port: 'web2',
        protocol: 'tcp',
        publicPorts: '80',
        privatePorts: '8081',
      }),
      nat(t, 'mail', { type: 'static', publicIp: 'mail', port: 'web1' }),
      open(t, 'web2', ['8081']),
      open(t, 'web1', ['26']),
    ]),
  ]);
  const [front, mail, front2, mail2] = await Promise.all(ips.map((ip) => addressOf(cloud, ip)));
  const at = { acme: { front, mail }, umbrella: { front: front2, mail: mail2 } };
  for (const t of tenants) {
    await vms[t].web2.serve(8081, `${t}-web2`);
    await vms[t].web1.serve(26, `${t}-web1`);
  }
  await lab.killController();
  // Nobody has learnt anything yet: no neighbours, no connections, no megaflows.
  await cloud.router.exec('ip', ['neigh', 'flush', 'all']);
  for (const h of [cloud.hv1, cloud.hv2, ...cloud.gateways]) {
    await h.appctl('dpctl/flush-conntrack');
    await h.appctl('dpctl/del-flows');
  }
  for (const t of tenants) {
    const own = at[t];
    expect(await vms[t].db1.tcp(client.address, mirror)).toEqual({ answer: own.front });
    expect(await vms[t].web1.tcp(client.address, mirror)).toEqual({ answer: own.mail });
    expect(await cloud.client.tcp(own.front!, 80)).toEqual({ answer: `${t}-web2` });
    expect(await cloud.client.tcp(own.mail!, 26)).toEqual({ answer: `${t}-web1` });
    expect(await vms[t].db1.tcp(own.front!, 80)).toEqual({ answer: `${t}-web2` });
    expect(await cloud.client.tcp(own.front!, 81, nobody)).toEqual({ failure: 'timeout' });
  }
  await lab.startController();
  expect(await cloud.client.tcp(at.acme.front!, 80)).toEqual({ answer: 'acme-web2' });
});
