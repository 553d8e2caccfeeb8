/** A tenant's network of two tiers on two hypervisors, and a second tenant's with the same names, MACs and addresses. */
import type { TestContext } from 'vitest';
import { type Lab, type LabHypervisor, type LabVm, openLabOrSkip } from '../support/lab.ts';

const places = {
  web1: { tier: 'web', host: 11, hypervisor: 'hv1' },
  web2: { tier: 'web', host: 12, hypervisor: 'hv2' },
  db1: { tier: 'db', host: 11, hypervisor: 'hv2' },
  db2: { tier: 'db', host: 12, hypervisor: 'hv1' },
} as const;

export type Name = keyof typeof places;
type Tier = 'web' | 'db';

const subnet = { web: 1, db: 2 } as const;

export const macOf = (name: Name): string =>
  `02:00:00:00:0${subnet[places[name].tier]}:${places[name].host.toString(16).padStart(2, '0')}`;
export const ipOf = (name: Name): string => `10.0.${subnet[places[name].tier]}.${places[name].host}`;
export const gatewayOf = (tier: Tier): string => `10.0.${subnet[tier]}.1`;
export const ip6Of = (name: Name): string => `fd00:0:0:${subnet[places[name].tier]}::${places[name].host}`;
export const gateway6Of = (tier: Tier): string => `fd00:0:0:${subnet[tier]}::1`;

export type RoutedCloud = AsyncDisposable & {
  lab: Lab;
  hv1: LabHypervisor;
  hv2: LabHypervisor;
  acme: Record<Name, LabVm>;
  umbrella: Record<'web1' | 'db1', LabVm>;
  apply(resources: { path: string; spec?: unknown; delete?: true }[]): Promise<void>;
};

function ordersOf(tenant: string, ports: Name[]): { path: string; spec: unknown }[] {
  const network = `tenants/${tenant}/networks/shop`;
  const rule = (from: Tier, to: Tier, protocol: string, more = {}) => ({
    action: 'allow',
    priority: 100,
    from: { tier: from },
    to: { tier: to },
    protocol,
    ...more,
  });
  return [
    { path: `tenants/${tenant}`, spec: {} },
    { path: network, spec: { offering: 'basic', cidr: '10.0.0.0/16', ipv6Cidr: 'fd00::/48' } },
    ...(['web', 'db'] as const).map((t) => ({
      path: `${network}/tiers/${t}`,
      spec: { cidr: `10.0.${subnet[t]}.0/24`, ipv6Cidr: `fd00:0:0:${subnet[t]}::/64` },
    })),
    ...ports.map((p) => ({
      path: `${network}/ports/${p}`,
      spec: { tier: places[p].tier, mac: macOf(p), ips: [ipOf(p), ip6Of(p)], ifaceId: `${tenant}-${p}` },
    })),
    { path: `${network}/rules/ping`, spec: rule('web', 'db', 'icmp') },
    { path: `${network}/rules/ping6`, spec: rule('web', 'db', 'icmpv6') },
    { path: `${network}/rules/sql`, spec: rule('web', 'db', 'tcp', { ports: ['5432'] }) },
    { path: `${network}/rules/udp`, spec: rule('web', 'db', 'udp') },
  ];
}

/** As a VM that has its addresses from somewhere does: with duplicate address detection, and a default route. */
export async function giveIpv6(vm: LabVm, name: Name): Promise<void> {
  const { tier } = places[name];
  const script = [
    // Set before the interface has addresses: the namespace is made without IPv6.
    'for f in all default eth0; do echo 0 > /proc/sys/net/ipv6/conf/$f/disable_ipv6; done',
    `ip -6 addr add ${ip6Of(name)}/64 dev eth0`,
    `ip -6 route add default via ${gateway6Of(tier)} dev eth0`,
  ].join('\n');
  const { status, stderr } = await vm.exec('sh', ['-e'], { input: script });
  if (status !== 0) throw new Error(`IPv6 of ${vm.name}: ${stderr}`);
}

export async function openRoutedCloud(context: Pick<TestContext, 'skip'>): Promise<RoutedCloud> {
  const lab = await openLabOrSkip(context);
  try {
    await lab.startController();
    const hv1 = await lab.addHypervisor('hv1');
    const hv2 = await lab.addHypervisor('hv2');
    await Promise.all([lab.join(hv1), lab.join(hv2)]);
    const apply: RoutedCloud['apply'] = async (resources) => {
      await lab.admin('POST', '/v1/apply', { resources, wait: 'programmed', timeout: '20s' });
    };
    await apply([...ordersOf('acme', ['web1', 'web2', 'db1', 'db2']), ...ordersOf('umbrella', ['web1', 'db1'])]);
    const vm = async (tenant: string, port: Name): Promise<LabVm> => {
      const { tier, hypervisor } = places[port];
      const made = await lab.addVm({
        name: `${tenant}-${port}`,
        hypervisor,
        mac: macOf(port),
        address: `${ipOf(port)}/24`,
        gateway: gatewayOf(tier),
        ifaceId: `${tenant}-${port}`,
      });
      await made.plug();
      return made;
    };
    const acme = {
      web1: await vm('acme', 'web1'),
      web2: await vm('acme', 'web2'),
      db1: await vm('acme', 'db1'),
      db2: await vm('acme', 'db2'),
    };
    const umbrella = { web1: await vm('umbrella', 'web1'), db1: await vm('umbrella', 'db1') };
    for (const p of Object.keys(acme)) await lab.portReady(`tenants/acme/networks/shop/ports/${p}`);
    for (const p of Object.keys(umbrella)) await lab.portReady(`tenants/umbrella/networks/shop/ports/${p}`);
    return { lab, hv1, hv2, acme, umbrella, apply, [Symbol.asyncDispose]: () => lab[Symbol.asyncDispose]() };
  } catch (error) {
    await lab[Symbol.asyncDispose]();
    throw error;
  }
}
