/** Two tenants with the same addresses, tiers, both IP versions, rules of every kind, on two real switches. */
import { inWords, purposeOfFlow } from '../../src/engine/purpose.ts';
import type { Surroundings } from '../../src/trace/surroundings.ts';
import { joinSwitch, settled, startTestCore, type TestCore } from '../support/core.ts';
import type { DummySwitch } from '../support/open-vswitch.ts';

export const shop = 'tenants/acme/networks/shop';
export const office = 'tenants/acme/networks/office';
export const lab = 'tenants/acme/networks/lab';
export const other = 'tenants/umbrella/networks/shop';

type Order = { path: string; spec: Record<string, unknown> };

const allow = (priority: number, from: object, to: object, protocol: string, more: object = {}) => ({
  action: 'allow',
  priority,
  from,
  to,
  protocol,
  ...more,
});

function port(network: string, name: string, tier: string, mac: string, ips: string[], groups: string[] = []): Order {
  const ifaceId = `${network.split('/')[1]}-${network.split('/')[3]}-${name}`;
  return { path: `${network}/ports/${name}`, spec: { tier, mac, ips, groups, ifaceId } };
}

/** One of two that share 10.0.1.100 by VRRP. */
function virtual(name: string, mac: string, ip: string): Order {
  const { path, spec } = port(shop, name, 'web', mac, [ip]);
  return { path, spec: { ...spec, allowedAddressPairs: [{ ip: '10.0.1.100', mac: '00:00:5e:00:01:0a' }] } };
}

const rule = (network: string, name: string, spec: object): Order => ({
  path: `${network}/rules/${name}`,
  spec: { ...spec },
});

/** Every nth address of a /24, as prefixes. */
const hosts = (prefix: string, step: number): string[] =>
  Array.from({ length: 24 }, (_, i) => `${prefix}.${6 + i * step}/32`);

function networkOf(path: string, cidr: string, ipv6Cidr?: string): Order {
  return { path, spec: { offering: 'basic', cidr, ...(ipv6Cidr === undefined ? {} : { ipv6Cidr }) } };
}

/** What is ordered: ports named a… are on hv1, b… on hv2, and ghost nowhere. */
export const cloudOrders: Order[] = [
  { path: 'tenants/acme', spec: {} },
  { path: 'tenants/umbrella', spec: {} },
  networkOf(shop, '10.0.0.0/16', 'fd00:1::/48'),
  networkOf(office, '10.1.0.0/16'),
  networkOf(lab, '10.2.0.0/16'),
  networkOf(other, '10.0.0.0/16'),
  { path: `${shop}/tiers/web`, spec: { cidr: '10.0.1.0/24', ipv6Cidr: 'fd00:1:0:1::/64' } },
  { path: `${shop}/tiers/db`, spec: { cidr: '10.0.2.0/24', ipv6Cidr: 'fd00:1:0:2::/64' } },
  { path: `${shop}/tiers/mid`, spec: { cidr: '10.0.3.0/24' } },
  { path: `${office}/tiers/desk`, spec: { cidr: '10.1.1.0/24' } },
  { path: `${lab}/tiers/bench`, spec: { cidr: '10.2.1.0/24' } },
  { path: `${other}/tiers/web`, spec: { cidr: '10.0.1.0/24' } },
  { path: `${shop}/groups/fronts`, spec: {} },
  port(shop, 'a1', 'web', '02:00:00:00:01:11', ['10.0.1.11', 'fd00:1:0:1::11'], ['fronts']),
  port(shop, 'b1', 'web', '02:00:00:00:01:12', ['10.0.1.12', 'fd00:1:0:1::12'], ['fronts']),
  port(shop, 'a2', 'db', '02:00:00:00:02:11', ['10.0.2.11', 'fd00:1:0:2::11']),
  port(shop, 'b2', 'db', '02:00:00:00:02:12', ['10.0.2.12', 'fd00:1:0:2::12']),
  port(shop, 'ghost', 'db', '02:00:00:00:02:13', ['10.0.2.13', 'fd00:1:0:2::13']),
  port(shop, 'b5', 'mid', '02:00:00:00:05:12', ['10.0.3.12']),
  virtual('a6', '02:00:00:00:06:11', '10.0.1.61'),
  virtual('b6', '02:00:00:00:06:12', '10.0.1.62'),
  port(office, 'a3', 'desk', '02:00:00:00:03:11', ['10.1.1.11']),
  port(office, 'b3', 'desk', '02:00:00:00:03:12', ['10.1.1.12']),
  port(lab, 'a4', 'bench', '02:00:00:00:04:11', ['10.2.1.11']),
  port(other, 'a1', 'web', '02:00:00:00:01:11', ['10.0.1.11']),
  port(other, 'b1', 'web', '02:00:00:00:01:12', ['10.0.1.12']),
  rule(shop, 'ping', allow(900, { any: true }, { any: true }, 'icmp')),
  rule(shop, 'ping6', allow(900, { any: true }, { any: true }, 'icmpv6')),
  rule(shop, 'to-db', allow(100, { tier: 'web' }, { tier: 'db' }, 'tcp', { ports: ['5432', '8000-8100'] })),
  rule(shop, 'no-front-db', {
    ...allow(50, { port: 'b1' }, { tier: 'db' }, 'tcp', { ports: ['8000-8100'] }),
    action: 'deny',
  }),
  rule(shop, 'fronts', allow(200, { group: 'fronts' }, { group: 'fronts' }, 'udp')),
  rule(shop, 'office-in', allow(300, { cidr: '10.1.0.0/16' }, { tier: 'web' }, 'tcp', { ports: ['443'] })),
  // So many combinations that it is a conjunction on the switches.
  rule(
    shop,
    'wide',
    allow(600, { cidrs: hosts('10.0.1', 1) }, { cidrs: hosts('10.0.2', 1) }, 'tcp', {
      ports: ['7001', '7003', '7005', '7009'],
    }),
  ),
  rule(shop, 'wide-not', {
    ...allow(600, { cidrs: hosts('10.0.1', 2) }, { cidrs: hosts('10.0.2', 2) }, 'tcp', {
      ports: ['7003', '7011', '7013', '7017'],
    }),
    action: 'deny',
  }),
  rule(shop, 'inspected', allow(400, { tier: 'web' }, { tier: 'db' }, 'udp', { ports: ['5000'] })),
  rule(shop, 'to-branch', allow(500, { tier: 'web' }, { cidr: '192.168.7.0/24' }, 'udp')),
  rule(office, 'out', allow(300, { any: true }, { any: true }, 'tcp')),
  rule(other, 'all', allow(300, { any: true }, { any: true }, 'any')),
  { path: 'tenants/acme/peerings/shop-office', spec: { networks: ['shop', 'office'] } },
  {
    path: `${shop}/steering/inspect`,
    spec: { priority: 10, from: { tier: 'web' }, to: { tier: 'db' }, protocol: 'udp', via: ['b5'] },
  },
  { path: `${shop}/routes/branch`, spec: { destination: '192.168.7.0/24', nextHop: '10.0.1.12' } },
  {
    path: 'policies/no-telnet',
    spec: { action: 'deny', priority: 10, from: { any: true }, to: { any: true }, protocol: 'tcp', ports: ['23'] },
  },
];

export const boundPorts = cloudOrders
  .filter((o) => o.path.includes('/ports/') && !o.path.endsWith('/ghost'))
  .map(({ path, spec }) => ({ path, ifaceId: String(spec.ifaceId), mac: String(spec.mac), ips: spec.ips as string[] }));

export type TraceCloud = AsyncDisposable & {
  core: TestCore;
  switches: Record<'hv1' | 'hv2', DummySwitch>;
  around: Surroundings;
};

export async function openTraceCloud(): Promise<TraceCloud> {
  const stack = new AsyncDisposableStack();
  try {
    const core = stack.use(await startTestCore());
    const hv1 = stack.use(await joinSwitch(core, 'hv1', '192.0.2.1'));
    const hv2 = stack.use(await joinSwitch(core, 'hv2', '192.0.2.2'));
    await core.intent.transact(
      cloudOrders.map(({ path, spec }) => ({ op: 'put' as const, path, spec })),
      { restrictedAllowed: true, many: true },
    );
    for (const [i, { path, ifaceId }] of boundPorts.entries())
      await (path.slice(path.lastIndexOf('/') + 1).startsWith('a') ? hv1 : hv2).addPort(`v${i}`, ifaceId);
    const deadline = performance.now() + 10_000;
    while (core.engine.bindings.placement.size < boundPorts.length) {
      if (performance.now() > deadline) throw new Error('ports are not bound');
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await settled(core);
    const around: Surroundings = {
      view: core.intent,
      fleet: core.engine.fleet,
      placement: core.engine.bindings.placement,
      plugin: core.plugin,
      purposeOf: (flow) => purposeOfFlow(core.intent, flow),
      inWords,
    };
    const owned = stack.move();
    return { core, switches: { hv1, hv2 }, around, [Symbol.asyncDispose]: () => owned.disposeAsync() };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}
