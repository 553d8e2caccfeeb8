/**
 * Two tenants with the same addresses on one hypervisor and two gateways, and a device each behind a VLAN of a trunk, with the same
 * MAC and address too. The trunk is a wire between two switches, `w1` at one end of it and `x1` at the other.
 */
import type { TestContext } from 'vitest';
import type { CapturedFrame } from '../../src/sandbox/capture.ts';
import { startCapture } from '../../src/sandbox/lab-capture.ts';
import type { LabHost } from '../../src/sandbox/lab-host.ts';
import { type Lab, type LabHypervisor, type LabVm, openLabOrSkip } from '../support/lab.ts';
import { openVswitchOrSkip } from '../support/open-vswitch.ts';
import type { Resource } from './outside-cloud.ts';

export const tenants = ['acme', 'umbrella'] as const;
export type Tenant = (typeof tenants)[number];

export const device = { mac: '02:00:00:00:02:50', ip: '10.0.2.50' } as const;

/** `near` is in the device's tier, `far` in another; `beside` in the device's, on a gateway host. */
export const places = {
  near: { tier: 'db', ip: '10.0.2.11', gateway: '10.0.2.1', mac: '02:00:00:00:02:11', on: 'hv1' },
  far: { tier: 'web', ip: '10.0.1.11', gateway: '10.0.1.1', mac: '02:00:00:00:01:11', on: 'hv1' },
  beside: { tier: 'db', ip: '10.0.2.12', gateway: '10.0.2.1', mac: '02:00:00:00:02:12', on: 'gw2' },
} as const;
export type VmName = keyof typeof places;
const names = Object.keys(places) as VmName[];

export const networkOf = (tenant: Tenant): string => `tenants/${tenant}/networks/shop`;

const link = { physicalNetwork: 'racks', bridge: 'br-trunk', segment: 'racks' } as const;

/** A rule that lets TCP to a port pass, and one that lets pings. */
export function allow(tenant: Tenant, name: string, from: object, to: object): Resource[] {
  const rule = { action: 'allow', priority: 100, from, to };
  return [
    { path: `${networkOf(tenant)}/rules/${name}-tcp`, spec: { ...rule, protocol: 'tcp', ports: ['9000'] } },
    { path: `${networkOf(tenant)}/rules/${name}-ping`, spec: { ...rule, protocol: 'icmp' } },
  ];
}

export type TaggedFrame = { vlan: number; hex: string };

export type VlanCloud = AsyncDisposable & {
  lab: Lab;
  gateways: readonly [LabHypervisor, LabHypervisor];
  vms: Record<Tenant, Record<VmName, LabVm>>;
  devices: Record<Tenant, LabHost>;
  vlans: Record<Tenant, number>;
  apply(resources: Resource[]): Promise<void>;
  /** Everything on the trunk while something is done, both ways. */
  onTrunk(done: () => Promise<unknown>): Promise<TaggedFrame[]>;
  /** What a gateway puts on its wire to the trunk's switch meanwhile. */
  fromGateway(gateway: LabHypervisor, done: () => Promise<unknown>): Promise<TaggedFrame[]>;
  /** The gateway the tenant's network has first, and the other. */
  roles(tenant: Tenant): Promise<{ first: LabHypervisor; second: LabHypervisor }>;
};

export async function openVlanCloud(context: Pick<TestContext, 'skip'>): Promise<VlanCloud> {
  const openVswitch = await openVswitchOrSkip(context);
  const lab = await openLabOrSkip(context);
  try {
    await Promise.all([
      (async () => {
        await lab.addSegment('racks');
        await lab.addSegment('cabinet', { trunkTo: 'racks' });
      })(),
      lab.startController(),
    ]);
    const [hv1, ...gateways] = await Promise.all([
      lab.addHypervisor('hv1'),
      lab.addHypervisor('gw1', { physical: [link] }),
      lab.addHypervisor('gw2', { physical: [link] }),
    ]);
    await Promise.all([lab.join(hv1), ...gateways.map((gateway) => lab.join(gateway, { gateway: true }))]);
    const apply: VlanCloud['apply'] = async (resources) => {
      await lab.admin('POST', '/v1/apply', { resources, wait: 'programmed', timeout: '20s' });
    };
    await apply([
      { path: 'trunks/racks', spec: { physicalNetwork: 'racks', vlans: ['100-199'] } },
      ...tenants.flatMap((tenant): Resource[] => {
        const network = networkOf(tenant);
        return [
          { path: `tenants/${tenant}`, spec: {} },
          { path: network, spec: { offering: 'basic', cidr: '10.0.0.0/16' } },
          { path: `${network}/tiers/web`, spec: { cidr: '10.0.1.0/24' } },
          { path: `${network}/tiers/db`, spec: { cidr: '10.0.2.0/24' } },
          { path: `${network}/vlan-attachments/rack`, spec: { trunk: 'racks', tier: 'db' } },
          {
            path: `${network}/ports/storage`,
            spec: { tier: 'db', attachment: 'rack', mac: device.mac, ips: [device.ip] },
          },
          ...names.map((name) => ({
            path: `${network}/ports/${name}`,
            spec: {
              tier: places[name].tier,
              mac: places[name].mac,
              ips: [places[name].ip],
              ifaceId: `${tenant}-${name}`,
            },
          })),
        ];
      }),
    ]);
    const each = async <T>(make: (tenant: Tenant) => Promise<T>): Promise<Record<Tenant, T>> =>
      Object.fromEntries(
        await Promise.all(tenants.map(async (tenant) => [tenant, await make(tenant)] as const)),
      ) as Record<Tenant, T>;
    const vlans = await each(
      async (tenant) =>
        ((await lab.admin('GET', `/v1/${networkOf(tenant)}/vlan-attachments/rack`)) as { vlan: number }).vlan,
    );
    const devices = await each((tenant) =>
      lab.addHost({
        name: `${tenant}-device`,
        links: [{ segment: 'cabinet', vlan: vlans[tenant], mac: device.mac, address: `${device.ip}/24` }],
        gateway: '10.0.2.1',
      }),
    );
    const vms = await each(async (tenant) => {
      const made = names.map(async (name): Promise<[VmName, LabVm]> => {
        const { ip, mac, gateway, on } = places[name];
        const vm = await lab.addVm({
          name: `${tenant}-${name}`,
          hypervisor: on,
          mac,
          address: `${ip}/24`,
          gateway,
          ifaceId: `${tenant}-${name}`,
        });
        await vm.plug();
        await lab.portReady(`${networkOf(tenant)}/ports/${name}`);
        return [name, vm];
      });
      return Object.fromEntries(await Promise.all(made)) as Record<VmName, LabVm>;
    });
    for (const tenant of tenants) await lab.portReady(`${networkOf(tenant)}/ports/storage`);
    const captured = async (
      places: { namespace: string; interface: string }[],
      done: () => Promise<unknown>,
    ): Promise<TaggedFrame[]> => {
      const captures = await Promise.all(places.map((place) => startCapture(lab.enclosure, openVswitch, place)));
      await done();
      await whatIsOnItsWay();
      return (await Promise.all(captures.map((capture) => capture.frames()))).flat().flatMap(tagged);
    };
    const trunkOf = async (gateway: LabHypervisor): Promise<string> =>
      (await gateway.vsctl('list-ifaces', link.bridge)).split('\n').find((name) => !name.startsWith('kw'))!;
    return {
      lab,
      gateways: gateways as [LabHypervisor, LabHypervisor],
      vms,
      devices,
      vlans,
      apply,
      // Of what comes in, a capture does not show the tag: each end tells what it sends.
      onTrunk: (done) =>
        captured(
          ['w1', 'x1'].map((name) => ({ namespace: 'fabric', interface: name })),
          done,
        ),
      fromGateway: async (gateway, done) =>
        captured([{ namespace: gateway.name, interface: await trunkOf(gateway) }], done),
      async roles(tenant) {
        const port = (await lab.admin('GET', `/v1/${networkOf(tenant)}/ports/storage`)) as {
          binding: { hypervisor: string };
        };
        const [one, other] = gateways as [LabHypervisor, LabHypervisor];
        return port.binding.hypervisor === one.name ? { first: one, second: other } : { first: other, second: one };
      },
      [Symbol.asyncDispose]: () => lab[Symbol.asyncDispose](),
    };
  } catch (error) {
    await lab[Symbol.asyncDispose]();
    throw error;
  }
}

/** A capture tells of a frame some time after it has passed. */
export function whatIsOnItsWay(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 300));
}

/** Frames with an 802.1Q tag. */
function tagged({ hex }: CapturedFrame): TaggedFrame[] {
  return hex.slice(24, 28) === '8100' ? [{ vlan: Number.parseInt(hex.slice(28, 32), 16) & 0xfff, hex }] : [];
}
