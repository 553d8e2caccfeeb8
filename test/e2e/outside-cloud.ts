/**
 * Two tenants with the same addresses on two hypervisors, two gateways, and what is outside: a router, which is the next hop
 * of the pools, and a client behind it. hv1 has a way to the public network of its own, hv2 has none.
 */
import { afterAll, beforeAll, type TestContext, test } from 'vitest';
import { until } from '../../src/sandbox/ephemeral.ts';
import type { LabProgram } from '../../src/sandbox/lab.ts';
import { startGatewayHost } from '../../src/sandbox/lab-gateway-host.ts';
import { buildOutside, type Outside, outside, publicLink } from '../../src/sandbox/outside.ts';
import { type Lab, type LabHypervisor, type LabVm, openLabOrSkip } from '../support/lab.ts';

export const tenants = ['acme', 'umbrella'] as const;
export type Tenant = (typeof tenants)[number];

const places = {
  web1: { tier: 'web', host: 11, on: { acme: 'hv1', umbrella: 'hv2' } },
  web2: { tier: 'web', host: 12, on: { acme: 'hv2', umbrella: 'hv1' } },
  db1: { tier: 'db', host: 11, on: { acme: 'hv2', umbrella: 'hv2' } },
} as const;
export type VmName = keyof typeof places;
const names = Object.keys(places) as VmName[];

const subnet = { web: 1, db: 2 } as const;
export const ipOf = (name: VmName): string => `10.0.${subnet[places[name].tier]}.${places[name].host}`;
export const macOf = (name: VmName): string => `02:00:00:00:0${subnet[places[name].tier]}:${places[name].host}`;
export const networkOf = (tenant: Tenant): string => `tenants/${tenant}/networks/shop`;

export type Resource = { path: string; spec?: unknown; delete?: true };

export type OutsideCloud = AsyncDisposable &
  Outside & {
    lab: Lab;
    hv1: LabHypervisor;
    hv2: LabHypervisor;
    gateways: readonly [LabHypervisor, LabHypervisor];
    /** `keyway gateway-host` on each. */
    programs: readonly LabProgram[];
    vms: Record<Tenant, Record<VmName, LabVm>>;
    /** Until every switch has it. */
    apply(resources: Resource[]): Promise<void>;
    /** Answers with the address it was given. */
    publicIp(tenant: Tenant, name: string, spec?: object): Promise<string>;
  };

/** The pools: `public` of the untagged network, `tagged` of its VLAN. Their router is asked for its MAC. */
const commons: Resource[] = [
  { path: 'provider-networks/internet', spec: { physicalNetwork: outside.physicalNetwork } },
  {
    path: 'provider-networks/tagged',
    spec: { physicalNetwork: outside.physicalNetwork, vlan: outside.tagged.vlan },
  },
  {
    path: 'ip-pools/public',
    spec: {
      providerNetwork: 'internet',
      cidr: outside.flat.cidr,
      gateway: outside.flat.gateway,
      ranges: ['203.0.113.10-203.0.113.99'],
    },
  },
  {
    path: 'ip-pools/tagged',
    spec: { providerNetwork: 'tagged', cidr: outside.tagged.cidr, gateway: outside.tagged.gateway },
  },
];

/** In both tiers everything may go out; nothing may come in but what a test allows. */
function ordersOf(tenant: Tenant): Resource[] {
  const network = networkOf(tenant);
  return [
    { path: `tenants/${tenant}`, spec: {} },
    { path: network, spec: { offering: 'basic', cidr: '10.0.0.0/16' } },
    ...(['web', 'db'] as const).flatMap((tier) => [
      { path: `${network}/tiers/${tier}`, spec: { cidr: `10.0.${subnet[tier]}.0/24` } },
      {
        path: `${network}/rules/${tier}-out`,
        spec: { action: 'allow', priority: 1000, from: { tier }, to: { any: true }, protocol: 'any' },
      },
    ]),
    ...names.map((name) => ({
      path: `${network}/ports/${name}`,
      spec: { tier: places[name].tier, mac: macOf(name), ips: [ipOf(name)], ifaceId: `${tenant}-${name}` },
    })),
  ];
}

export async function openOutsideCloud(context: Pick<TestContext, 'skip'>): Promise<OutsideCloud> {
  const lab = await openLabOrSkip(context);
  try {
    const [around] = await Promise.all([buildOutside(lab), lab.startController()]);
    const [hv1, hv2, ...gateways] = await Promise.all([
      lab.addHypervisor('hv1', { physical: [publicLink] }),
      lab.addHypervisor('hv2'),
      lab.addHypervisor('gw1', { physical: [publicLink] }),
      lab.addHypervisor('gw2', { physical: [publicLink] }),
    ]);
    await Promise.all([
      lab.join(hv1),
      lab.join(hv2),
      ...gateways.map((gateway) => lab.join(gateway, { gateway: true })),
    ]);
    const programs = await Promise.all(gateways.map((gateway) => startGatewayHost(lab, gateway)));
    const apply: OutsideCloud['apply'] = async (resources) => {
      await lab.admin('POST', '/v1/apply', { resources, wait: 'programmed', timeout: '20s' });
    };
    await apply([...commons, ...tenants.flatMap(ordersOf)]);
    const vmsOf = async (tenant: Tenant): Promise<Record<VmName, LabVm>> => {
      const made = names.map(async (name): Promise<[VmName, LabVm]> => {
        const vm = await lab.addVm({
          name: `${tenant}-${name}`,
          hypervisor: places[name].on[tenant],
          mac: macOf(name),
          address: `${ipOf(name)}/24`,
          gateway: `10.0.${subnet[places[name].tier]}.1`,
          ifaceId: `${tenant}-${name}`,
        });
        await vm.plug();
        await lab.portReady(`${networkOf(tenant)}/ports/${name}`);
        return [name, vm];
      });
      return Object.fromEntries(await Promise.all(made)) as Record<VmName, LabVm>;
    };
    const [acme, umbrella] = await Promise.all(tenants.map(vmsOf));
    const all = [hv1, hv2, ...gateways];
    await until(
      'every tunnel and next hop',
      async () => (await Promise.all(all.map(isUp))).every(Boolean),
      20_000,
      100,
    );
    return {
      ...around,
      lab,
      hv1,
      hv2,
      gateways: gateways as [LabHypervisor, LabHypervisor],
      programs,
      vms: { acme: acme!, umbrella: umbrella! },
      apply,
      async publicIp(tenant, name, spec = {}) {
        const path = `${networkOf(tenant)}/public-ips/${name}`;
        await apply([{ path, spec }]);
        return ((await lab.admin('GET', `/v1/${path}`)) as { address: string }).address;
      },
      [Symbol.asyncDispose]: () => lab[Symbol.asyncDispose](),
    };
  } catch (error) {
    await lab[Symbol.asyncDispose]();
    throw error;
  }
}

/** Its tunnels carry something, in its own eyes; and where it has a way to the pools, their router has been found. */
async function isUp(hypervisor: LabHypervisor): Promise<boolean> {
  const states = await hypervisor.vsctl('--bare', '--columns=bfd_status', 'find', 'Interface', 'type=gre');
  const tunnels = states.split('\n').filter(Boolean);
  return tunnels.length > 0 && tunnels.every((state) => /forwarding=true/.test(state) && / state=up/.test(` ${state}`));
}

/** One cloud for the tests of a file, in the order they are written; where there can be none, each is skipped and says why. */
export function sharedOutsideCloud(): (
  name: string,
  body: (cloud: OutsideCloud, context: TestContext) => Promise<void>,
) => void {
  let cloud: OutsideCloud | undefined;
  let reason: string | undefined;
  beforeAll(async () => {
    const skip = (why?: string): never => {
      reason = why ?? 'no lab';
      throw new Error(why);
    };
    cloud = await openOutsideCloud({ skip: skip as never }).catch((error: unknown) => {
      if (reason !== undefined) return undefined;
      throw error;
    });
  }, 120_000);
  afterAll(() => cloud?.[Symbol.asyncDispose]());
  return (name, body) => {
    test(name, { timeout: 120_000 }, async (context) => {
      if (cloud === undefined) return context.skip(reason ?? 'the cloud could not be had');
      await body(cloud, context);
    });
  };
}

/** Everything that tests ordered goes: public addresses, NAT rules, and rules but those of the cloud; and every connection. */
export async function clear({ lab, apply }: OutsideCloud): Promise<void> {
  const doomed: Resource[] = [];
  for (const tenant of tenants)
    for (const segment of ['nat-rules', 'public-ips', 'rules']) {
      const { items } = (await lab.admin('GET', `/v1/${networkOf(tenant)}/${segment}`)) as {
        items: { name: string }[];
      };
      for (const { name } of items)
        if (segment !== 'rules' || !/-out$/.test(name))
          doomed.push({ path: `${networkOf(tenant)}/${segment}/${name}`, delete: true });
    }
  if (doomed.length > 0) await apply(doomed);
  await Promise.all(lab.hypervisors.map((h) => h.appctl('dpctl/flush-conntrack')));
}

/** A connection as conntrack of a switch has it. */
export type Tracked = { zone: number; label: string; text: string };

/** Those with the address at either end, before or after translation. */
export async function trackedAt(hypervisor: LabHypervisor, address: string): Promise<Tracked[]> {
  const text = await hypervisor.appctl('dpctl/dump-conntrack');
  return text
    .split('\n')
    .filter((line) => new RegExp(`=${address.replaceAll('.', '\\.')}\\b`).test(line))
    .map((line) => ({
      zone: Number(/zone=(\d+)/.exec(line)?.[1] ?? 0),
      label: /labels=(0x[0-9a-f]+)/.exec(line)?.[1] ?? '0',
      text: line,
    }));
}
