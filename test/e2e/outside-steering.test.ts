/** What goes out and what comes in passes the ports of steering rules, on whatever hypervisor these are. */
import { expect } from 'vitest';
import { outside } from '../../src/sandbox/outside.ts';
import type { LabVm } from '../support/lab.ts';
import { networkOf, type OutsideCloud, type Resource, sharedOutsideCloud, tenants } from './outside-cloud.ts';

const run = sharedOutsideCloud();
const { client } = outside;
const nobody = { patience: 1_200 };

/** A VM that inspects and gives back, on the hypervisor without a public network. */
async function inspector({ lab, apply }: OutsideCloud): Promise<LabVm> {
  const [ip, mac] = ['10.0.1.50', '02:00:00:00:01:50'];
  await apply([{ path: `${networkOf('acme')}/ports/ids`, spec: { tier: 'web', mac, ips: [ip], ifaceId: 'acme-ids' } }]);
  const vm = await lab.addVm({
    name: 'acme-ids',
    hypervisor: 'hv2',
    mac,
    address: `${ip}/24`,
    gateway: '10.0.1.1',
    ifaceId: 'acme-ids',
    forwards: true,
  });
  await vm.plug();
  await lab.portReady(`${networkOf('acme')}/ports/ids`);
  return vm;
}

/** IPv4 addresses of the TCP segments it gets meanwhile. */
async function seenBy(vm: LabVm, during: () => Promise<unknown>): Promise<Set<string>> {
  const captured = await vm.capture();
  await during();
  const seen = new Set<string>();
  for (const { hex } of await captured.frames()) {
    const frame = Buffer.from(hex, 'hex');
    if (frame.readUInt16BE(12) !== 0x0800 || frame[23] !== 6) continue;
    const address = (at: number) => [...frame.subarray(at, at + 4)].join('.');
    seen.add(`${address(26)} > ${address(30)}`);
  }
  return seen;
}

run('both ways lead through the inspector, and nowhere while it is gone', async (cloud) => {
  const { lab, vms, apply, client: outsider } = cloud;
  const ids = await inspector(cloud);
  await outsider.serve(8000, '$SOCAT_PEERADDR');
  await apply(
    tenants.flatMap((tenant): Resource[] => {
      const network = networkOf(tenant);
      return [
        { path: `${network}/public-ips/front`, spec: {} },
        { path: `${network}/public-ips/mail`, spec: {} },
        { path: `${network}/nat-rules/out`, spec: { type: 'source', publicIp: 'front' } },
        { path: `${network}/nat-rules/mail`, spec: { type: 'static', publicIp: 'mail', port: 'web1' } },
        {
          path: `${network}/rules/mail`,
          spec: {
            action: 'allow',
            priority: 100,
            from: { any: true },
            to: { port: 'web1' },
            protocol: 'tcp',
            ports: ['25'],
          },
        },
      ];
    }),
  );
  const addressOf = async (tenant: 'acme' | 'umbrella', name: string) =>
    ((await lab.admin('GET', `/v1/${networkOf(tenant)}/public-ips/${name}`)) as { address: string }).address;
  const at = { mail: await addressOf('acme', 'mail'), front: await addressOf('acme', 'front') };
  const umbrella = await addressOf('umbrella', 'mail');
  const { web1, web2, db1 } = vms.acme;
  await web1.serve(25, 'acme-mail');
  await vms.umbrella.web1.serve(25, 'umbrella-mail');
  const steering = (name: string, from: object, to: object): Resource => ({
    path: `${networkOf('acme')}/steering/${name}`,
    spec: { priority: 100, from, to, protocol: 'tcp', via: ['ids'] },
  });
  const everywhere = { cidr: '198.18.0.0/15' };
  await apply([steering('in', everywhere, { tier: 'web' }), steering('out', { tier: 'web' }, everywhere)]);

  const inward = await seenBy(ids, async () => {
    expect(await outsider.tcp(at.mail, 25)).toEqual({ answer: 'acme-mail' });
  });
  const mail = `${client.address} > 10.0.1.11`;
  expect(inward).toEqual(new Set([mail, `10.0.1.11 > ${client.address}`]));
  // On hv1, which has the provider network itself, and on hv2.
  for (const [vm, ip, as] of [
    [web1, '10.0.1.11', at.mail],
    [web2, '10.0.1.12', at.front],
  ] as const) {
    const outward = await seenBy(ids, async () => {
      expect(await vm.tcp(client.address, 8000)).toEqual({ answer: as });
    });
    expect(outward).toEqual(new Set([`${ip} > ${client.address}`, `${client.address} > ${ip}`]));
  }
  // Of another tier, or tenant, nothing passes it.
  const others = await seenBy(ids, async () => {
    expect(await db1.tcp(client.address, 8000)).toEqual({ answer: at.front });
    expect(await outsider.tcp(umbrella, 25)).toEqual({ answer: 'umbrella-mail' });
  });
  expect(others).toEqual(new Set());

  // Without it, nothing passes it by.
  await ids.unplug();
  await expect
    .poll(async () => ((await lab.admin('GET', `/v1/${networkOf('acme')}/ports/ids`)) as { binding: unknown }).binding)
    .toBe(null);
  await apply([]);
  expect(await outsider.tcp(at.mail, 25, nobody)).toEqual({ failure: 'timeout' });
  expect(await web2.tcp(client.address, 8000, nobody)).toEqual({ failure: 'timeout' });
  expect(await outsider.tcp(umbrella, 25)).toEqual({ answer: 'umbrella-mail' });
});
