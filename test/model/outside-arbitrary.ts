/** Random networks with a way out: both tenants take from the same names, MACs and private addresses. */
import fc from 'fast-check';
import type { ModelNat, OutsideWorld } from './outside-reference.ts';
import type { ModelPort, ModelRule } from './reference.ts';

const tenants = ['acme', 'umbrella'];
export const hosts = ['hv1', 'hv2', 'gw1', 'gw2'];
/** hv2 has no provider network. */
export const cabled = ['hv1', 'gw1', 'gw2'];
const network = 'shop';
const tiers = { web: 1, db: 2 } as const;
const ports = ['p0', 'p1', 'p2'];

/** Their names, addresses and owners never change; what they are for does. */
export const publicIps: OutsideWorld['publicIps'] = {
  acme: { a: '203.0.113.10', b: '203.0.113.11', c: '203.0.113.12' },
  umbrella: { a: '203.0.113.20', b: '203.0.113.21', c: '203.0.113.22' },
};

const portsOf = (tenant: string): fc.Arbitrary<{ port: ModelPort; host: string }[]> =>
  fc.tuple(
    ...ports.map((name, slot) =>
      fc
        .record({
          tier: fc.constantFrom<'web' | 'db'>('web', 'db'),
          bound: fc.constantFrom(true, true, true, false),
          host: fc.constantFrom(...hosts),
        })
        .map(({ tier, bound, host }) => ({
          port: {
            tenant,
            network,
            name,
            tier,
            mac: `02:00:00:00:00:1${slot}`,
            ips: [`10.0.${tiers[tier]}.${10 + slot}`],
            groups: [],
            bound,
          },
          host,
        })),
    ),
  );

type Said = Omit<ModelRule, 'tenant' | 'network'>;
const allow = { action: 'allow', priority: 500 } as const;
const rules: Said[] = [
  { ...allow, from: { tier: 'web' }, to: { any: true }, protocol: 'any' },
  { ...allow, from: { tier: 'db' }, to: { cidr: '198.51.100.0/24' }, protocol: 'any' },
  { ...allow, from: { cidr: '10.0.0.0/16' }, to: { any: true }, protocol: 'tcp' },
  { ...allow, from: { any: true }, to: { port: 'p0' }, protocol: 'any' },
  { ...allow, from: { any: true }, to: { tier: 'web' }, protocol: 'tcp', ports: ['80', '9000-9003'] },
  { ...allow, from: { cidr: '198.51.100.0/24' }, to: { port: 'p1' }, protocol: 'any' },
  { ...allow, from: { cidr: '203.0.113.0/24' }, to: { tier: 'db' }, protocol: 'any' },
  { action: 'deny', priority: 10, from: { cidr: '198.51.100.7/32' }, to: { tier: 'web' }, protocol: 'udp' },
  { action: 'deny', priority: 10, from: { port: 'p2' }, to: { cidr: '198.51.100.7/32' }, protocol: 'any' },
];

const port = fc.constantFrom(...ports);

function natOf(tenant: string): fc.Arbitrary<ModelNat[]> {
  const forward = (name: string, protocol: 'tcp' | 'udp', first: number, last: number, privatePort: number) =>
    fc.option(
      port.map(
        (to): ModelNat => ({
          tenant,
          name,
          publicIp: 'a',
          type: 'port-forward',
          port: to,
          protocol,
          publicPorts: [first, last],
          privatePort,
        }),
      ),
      { nil: undefined },
    );
  const maybe = (rule: ModelNat) => fc.constantFrom(rule, rule, undefined);
  return fc
    .tuple(
      maybe({ tenant, name: 'whole', publicIp: 'a', type: 'source' }),
      maybe({ tenant, name: 'tier', publicIp: 'c', type: 'source', tiers: ['db'] }),
      fc.option(
        port.map((to): ModelNat => ({ tenant, name: 'own', publicIp: 'b', type: 'static', port: to })),
        { nil: undefined },
      ),
      forward('http', 'tcp', 80, 80, 80),
      forward('many', 'tcp', 8000, 8003, 9000),
      forward('names', 'udp', 53, 60, 53),
    )
    .map((list) => list.filter((rule) => rule !== undefined));
}

export const outsideWorld: fc.Arbitrary<OutsideWorld> = fc
  .tuple(...tenants.map((tenant) => fc.tuple(portsOf(tenant), fc.subarray(rules, { minLength: 2 }), natOf(tenant))))
  .map((parts) => ({
    networks: [],
    routes: [],
    peered: [],
    ports: parts.flatMap(([list]) => list.map((p) => p.port)),
    rules: parts.flatMap(([, said], i) => said.map((rule) => ({ ...rule, tenant: tenants[i]!, network }))),
    nat: parts.flatMap(([, , nat]) => nat),
    publicIps,
    cabled,
    hosts: new Map(parts.flatMap(([list]) => list.map((p): [ModelPort, string] => [p.port, p.host]))),
  }));

type Order = { path: string; spec: Record<string, unknown> };
export const pathOf = (tenant: string): string => `tenants/${tenant}/networks/${network}`;
export const ifaceId = (p: ModelPort): string => `${p.tenant}-${p.name}`;

/** Of all worlds: once. */
export const commons: Order[] = [
  { path: 'provider-networks/internet', spec: { physicalNetwork: 'physnet' } },
  {
    path: 'ip-pools/public',
    spec: {
      providerNetwork: 'internet',
      cidr: '203.0.113.0/24',
      gateway: '203.0.113.1',
      gatewayMac: '02:00:00:00:ff:01',
    },
  },
  ...tenants.flatMap((tenant): Order[] => [
    { path: `tenants/${tenant}`, spec: {} },
    { path: pathOf(tenant), spec: { offering: 'basic', cidr: '10.0.0.0/16' } },
    ...Object.entries(tiers).map(([tier, third]) => ({
      path: `${pathOf(tenant)}/tiers/${tier}`,
      spec: { cidr: `10.0.${third}.0/24` },
    })),
    ...Object.entries(publicIps[tenant]!).map(([name, address]) => ({
      path: `${pathOf(tenant)}/public-ips/${name}`,
      spec: { address },
    })),
  ]),
];

/** Of one. */
export function ordersOf(world: OutsideWorld): Order[] {
  return [
    ...world.ports.map((p) => ({
      path: `${pathOf(p.tenant)}/ports/${p.name}`,
      spec: { tier: p.tier, mac: p.mac, ips: p.ips, ifaceId: ifaceId(p) },
    })),
    ...world.rules.map(({ tenant, network: _, ...spec }, i) => ({ path: `${pathOf(tenant)}/rules/r${i}`, spec })),
    ...world.nat.map((rule) => {
      const { tenant, name, ...said } = rule;
      const path = `${pathOf(tenant)}/nat-rules/${name}`;
      if (said.type !== 'port-forward') return { path, spec: said };
      const { publicPorts, privatePort, ...spec } = said;
      const [first, last] = publicPorts;
      const range = (from: number) => (first === last ? `${from}` : `${from}-${from + last - first}`);
      return { path, spec: { ...spec, publicPorts: range(first), privatePorts: range(privatePort) } };
    }),
  ];
}
