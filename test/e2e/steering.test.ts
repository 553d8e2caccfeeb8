/** Real packets of one direction through other VMs: two hops on two hypervisors, in two tiers. */
import { expect, test } from 'vitest';
import type { LabVm } from '../support/lab.ts';
import { gatewayOf, ipOf, openRoutedCloud, type RoutedCloud } from './routed-cloud.ts';

const network = 'tenants/acme/networks/shop';
const hops = {
  ids1: { tier: 'web', ip: '10.0.1.21', mac: '02:00:00:00:01:21', hypervisor: 'hv1' },
  ids2: { tier: 'db', ip: '10.0.2.22', mac: '02:00:00:00:02:22', hypervisor: 'hv2' },
} as const;
type HopName = keyof typeof hops;

async function addHop({ lab, apply }: RoutedCloud, name: HopName): Promise<LabVm> {
  const { tier, ip, mac, hypervisor } = hops[name];
  const spec = { tier, mac, ips: [ip], ifaceId: `acme-${name}` };
  await apply([{ path: `${network}/ports/${name}`, spec }]);
  const vm = await lab.addVm({
    name: `acme-${name}`,
    hypervisor,
    mac,
    address: `${ip}/24`,
    gateway: gatewayOf(tier),
    ifaceId: `acme-${name}`,
  });
  await vm.plug();
  await lab.portReady(`${network}/ports/${name}`);
  const settings = ['ip_forward=1', 'conf.all.rp_filter=0', 'conf.eth0.rp_filter=0', 'conf.all.send_redirects=0'];
  for (const s of settings) expect((await vm.exec('sysctl', ['-w', `net.ipv4.${s}`])).status).toBe(0);
  return vm;
}

/** IPv4 addresses of the ICMP packets a VM got. */
async function pingsSeen(vm: LabVm, during: () => Promise<unknown>): Promise<Set<string>> {
  const captured = await vm.capture();
  await during();
  const seen = new Set<string>();
  for (const { hex } of await captured.frames()) {
    const frame = Buffer.from(hex, 'hex');
    if (frame.readUInt16BE(12) !== 0x0800 || frame[23] !== 1) continue;
    const address = (at: number) => [...frame.subarray(at, at + 4)].join('.');
    seen.add(`${address(26)} > ${address(30)}`);
  }
  return seen;
}

test('one direction goes through two VMs, the other goes direct', { timeout: 120_000 }, async (context) => {
  await using cloud = await openRoutedCloud(context);
  const { acme, umbrella, lab, apply } = cloud;
  const ids1 = await addHop(cloud, 'ids1');
  const ids2 = await addHop(cloud, 'ids2');
  const steer = (more: object) =>
    apply([
      {
        path: `${network}/steering/inspect`,
        spec: { priority: 100, from: { tier: 'web' }, to: { tier: 'db' }, via: ['ids1', 'ids2'], ...more },
      },
    ]);
  await steer({});
  const { web1, web2, db1, db2 } = acme;
  const there = `${ipOf('web1')} > ${ipOf('db1')}`;
  const back = `${ipOf('db1')} > ${ipOf('web1')}`;

  const pings = async () => {
    for (let i = 0; i < 3; i++) expect(await web1.ping(ipOf('db1'))).toBe(true);
  };
  // What the hops see is one direction, at the first and at the second.
  for (const hop of [ids1, ids2]) {
    const seen = await pingsSeen(hop, pings);
    expect(seen).toContain(there);
    expect(seen).not.toContain(back);
  }
  // From everywhere to everywhere, TCP too; rules hold as ever.
  await db1.serve(5432, 'db1');
  await db2.serve(5432, 'db2');
  for (const from of [web1, web2]) {
    for (const to of ['db1', 'db2'] as const) expect(await from.tcp(ipOf(to), 5432)).toEqual({ answer: to });
    expect(await from.tcp(ipOf('db1'), 80, { patience: 1_200 })).toEqual({ failure: 'timeout' });
  }
  // The same addresses at another tenant are not steered.
  expect(await pingsSeen(ids1, () => umbrella.web1.ping(ipOf('db1')))).toEqual(new Set());
  // Without the controller too.
  await lab.killController();
  expect(await web1.ping(ipOf('db1'))).toBe(true);
  await lab.startController();

  // A hop may not use its place for anything else: neither under its senders' names to where they may not go …
  await ids2.exec('ip', ['addr', 'add', `${ipOf('web1')}/32`, 'dev', 'lo']);
  const forged = await pingsSeen(web2, async () => {
    await ids2.exec('ping', ['-c', '2', '-W', '1', '-I', ipOf('web1'), ipOf('web2')]);
  });
  expect(forged).toEqual(new Set());
  await ids2.exec('ip', ['addr', 'del', `${ipOf('web1')}/32`, 'dev', 'lo']);

  // A dead hop: closed unless told otherwise.
  await ids2.unplug();
  await expect.poll(() => web1.ping(ipOf('db1'), { patience: 600 }), { timeout: 10_000 }).toBe(false);
  const { status } = (await lab.admin('GET', `/v1/${network}/steering/inspect`)) as {
    status: { state: string; conditions: { reason: string; message: string }[] };
  };
  expect(status.state).toBe('degraded');
  expect(status.conditions).toContainEqual(
    expect.objectContaining({ reason: 'HopNotBound', message: 'not bound: ids2; its traffic goes nowhere' }),
  );
  await steer({ onFailure: 'open' });
  await expect.poll(() => web1.ping(ipOf('db1')), { timeout: 10_000 }).toBe(true);
  expect(await pingsSeen(ids1, pings)).toContain(there);
  await ids2.plug();
  await lab.portReady(`${network}/ports/ids2`);
  await expect.poll(() => pingsSeen(ids2, pings), { timeout: 10_000 }).toContain(there);

  // A hop moves.
  await ids1.move('hv2');
  await expect.poll(() => pingsSeen(ids1, () => web1.ping(ipOf('db1'))), { timeout: 10_000 }).toContain(there);

  // Gone with its order.
  await apply([{ path: `${network}/steering/inspect`, delete: true }]);
  expect(await pingsSeen(ids1, pings)).toEqual(new Set());
});
