/**
 * Random worlds: few names and addresses on purpose, so that tenants share MACs and IPs, groups overlap, rules tie and
 * shadow each other.
 */
import fc from 'fast-check';
import type { End, ModelPolicy, ModelPort, ModelRoute, ModelRule, World } from './reference.ts';

export const tenants = ['acme', 'umbrella'];
const networksOf = ['shop', 'lab'];
/** Prefixes of a network: the same everywhere, but where the two are peered. */
const prefixOf = (network: string, peered: boolean): { v4: string; v6: string } =>
  peered && network === 'lab' ? { v4: '10.1', v6: 'fd00:0:1' } : { v4: '10.0', v6: 'fd00:0:0' };
const tiers = { web: 1, db: 2 } as const;
const groups = ['red', 'blue'];
const prefixes6 = ['fd00::/48', 'fd00:0:0:1::/64', 'fd00:0:0:1::10/127', 'fd00:0:1::/48', '::/0'];
const services = ['22', '80', '443', '8000-8100'];

const tierName = fc.constantFrom<'web' | 'db'>('web', 'web', 'db');

/** Ports of one network; MACs unique in the tenant, so the two networks take from two halves of the same small pool. */
function portsOf(tenant: string, network: string, peered: boolean): fc.Arbitrary<ModelPort[]> {
  const half = networksOf.indexOf(network);
  const one = fc.record({
    slot: fc.integer({ min: 0, max: 3 }),
    tier: tierName,
    groups: fc.uniqueArray(fc.constantFrom(...groups), { maxLength: 2 }),
    bound: fc.constantFrom(true, true, true, false),
    stack: fc.constantFrom('dual', 'dual', 'v4', 'v6'),
  });
  const { v4, v6 } = prefixOf(network, peered);
  return fc.uniqueArray(one, { minLength: 2, maxLength: 4, selector: (p) => p.slot }).map((list) =>
    list.map(({ slot, tier, groups: g, bound, stack }) => ({
      tenant,
      network,
      name: `p${slot}`,
      tier,
      mac: `02:00:00:00:0${half}:0${slot}`,
      ips: [
        ...(stack === 'v6' ? [] : [`${v4}.${tiers[tier]}.${10 + slot}`]),
        ...(stack === 'v4' ? [] : [`${v6}:${tiers[tier]}::${10 + slot}`]),
      ],
      groups: g,
      bound,
    })),
  );
}

function endOf(ports: readonly ModelPort[]): fc.Arbitrary<End> {
  return fc.oneof(
    tierName.map((tier): End => ({ tier })),
    fc.constantFrom(...groups).map((group): End => ({ group })),
    fc.constantFrom(...ports.map((p) => p.name)).map((port): End => ({ port })),
    fc
      .constantFrom(
        '10.0.0.0/16',
        '10.0.1.0/24',
        '10.0.1.8/30',
        '10.0.1.10/32',
        '10.1.0.0/16',
        '0.0.0.0/0',
        ...prefixes6,
      )
      .map((cidr): End => ({ cidr })),
    fc.constant<End>({ any: true }),
    fc.constant<End>({ tier: 'web' }),
    fc.constant<End>({ any: true }),
  );
}

/** Rules that name both IP versions are refused. */
function ofOneVersion({ from, to, protocol }: ModelPolicy): boolean {
  const versions = [from.cidr, to.cidr].filter((c) => c !== undefined).map((c) => (c.includes(':') ? 6 : 4));
  if (protocol === 'icmp') versions.push(4);
  if (protocol === 'icmpv6') versions.push(6);
  return new Set(versions).size < 2;
}

function rulesOf(
  tenant: string,
  network: string,
  ports: readonly ModelPort[],
  peered: boolean,
): fc.Arbitrary<ModelRule[]> {
  const rule = fc.record({
    action: fc.constantFrom<'allow' | 'deny'>('allow', 'allow', 'allow', 'deny'),
    priority: fc.constantFrom(1, 10, 10, 500, 32_000),
    from: endOf(ports),
    to: endOf(ports),
    service: fc.oneof(
      fc.constant({ protocol: 'any' as const }),
      fc.constant({ protocol: 'any' as const }),
      fc.constantFrom({ protocol: 'icmp' as const }, { protocol: 'icmpv6' as const }),
      fc.constant({ protocol: 'tcp' as const }),
      fc.record({
        protocol: fc.constantFrom<'tcp' | 'udp'>('tcp', 'udp'),
        ports: fc.uniqueArray(fc.constantFrom(...services), { minLength: 1, maxLength: 3 }),
      }),
    ),
  });
  // Behind all others, in half of the networks and where two have to agree: what no rule speaks of passes.
  const open = [
    {
      action: 'allow' as const,
      priority: 32_000,
      from: { any: true as const },
      to: { any: true as const },
      service: { protocol: 'any' as const },
    },
  ];
  const last = peered ? fc.constant(open) : fc.subarray(open);
  return fc
    .tuple(fc.array(rule, { maxLength: 5 }), last)
    .map((lists) => lists.flat().map(({ service, ...r }) => ({ tenant, network, ...r, ...service })))
    .map((rules) => rules.filter(ofOneVersion));
}

/** Where static routes lead: beyond every network, one prefix inside another, and everywhere else. */
const destinations = ['172.16.0.0/12', '172.16.1.0/24', '0.0.0.0/0', 'fd99::/48', '::/0'];
/** In some of them. */
export const outside = ['172.16.1.7', '172.17.0.7', '192.0.2.7', 'fd99::7', '2001:db8::7'];

function routesOf(tenant: string, network: string, ports: readonly ModelPort[]): fc.Arbitrary<ModelRoute[]> {
  const addresses = ports.flatMap((p) => p.ips);
  return fc.subarray(destinations).chain((some) =>
    fc
      .tuple(...some.map((d) => fc.constantFrom(...addresses.filter((a) => a.includes(':') === d.includes(':')), '')))
      .map((hops) => some.map((destination, i) => ({ tenant, network, destination, nextHop: hops[i]! })))
      // No port has an address of that version.
      .map((routes) => routes.filter(({ nextHop }) => nextHop !== '')),
  );
}

type Part = Omit<World, 'peered'>;

function networkOf(tenant: string, network: string, peered: boolean): fc.Arbitrary<Part> {
  const { v4, v6 } = prefixOf(network, peered);
  const tiersOf = Object.values(tiers).flatMap((third) => [`${v4}.${third}.0/24`, `${v6}:${third}::/64`]);
  const networks = [{ tenant, network, prefixes: [`${v4}.0.0/16`, `${v6}::/48`], tiers: tiersOf }];
  return portsOf(tenant, network, peered).chain((ports) =>
    fc
      .tuple(rulesOf(tenant, network, ports, peered), routesOf(tenant, network, ports))
      .map(([rules, routes]) => ({ networks, ports, rules, routes })),
  );
}

export const world: fc.Arbitrary<World> = fc.subarray(tenants).chain((peered) =>
  fc.tuple(...tenants.flatMap((t) => networksOf.map((n) => networkOf(t, n, peered.includes(t))))).map((parts) => ({
    networks: parts.flatMap((p) => p.networks),
    ports: parts.flatMap((p) => p.ports),
    rules: parts.flatMap((p) => p.rules),
    routes: parts.flatMap((p) => p.routes),
    peered,
  })),
);

const anywhere = fc
  .constantFrom('10.0.0.0/15', '10.0.1.0/24', '10.0.1.11/32', '10.0.2.8/29', ...prefixes6)
  .map((cidr): End => ({ cidr }));

const policy: fc.Arbitrary<ModelPolicy> = fc
  .record({
    action: fc.constantFrom<'allow' | 'deny'>('allow', 'allow', 'deny'),
    priority: fc.constantFrom(1, 10, 32_000),
    from: fc.oneof(anywhere, fc.constant<End>({ any: true })),
    to: anywhere,
    tenants: fc.option(fc.subarray(tenants, { minLength: 1 }), { nil: undefined }),
    service: fc.oneof(
      fc.constant({ protocol: 'any' as const }),
      fc.record({
        protocol: fc.constantFrom<'tcp' | 'udp'>('tcp', 'udp'),
        ports: fc.constantFrom<string[]>(['80'], ['22', '443']),
      }),
    ),
  })
  .map(({ service, tenants: named, ...p }) => ({
    ...p,
    ...service,
    ...(named === undefined ? {} : { tenants: named }),
  }))
  .filter(ofOneVersion);

/** With the operator's policies. */
export const governedWorld: fc.Arbitrary<World> = fc
  .tuple(world, fc.array(policy, { maxLength: 3 }))
  .map(([w, policies]) => ({ ...w, policies }));

/** Resources of a world, as /v1/apply takes them. */
export function orders({
  ports,
  rules,
  routes,
  peered,
  policies = [],
}: World): { path: string; spec: Record<string, unknown> }[] {
  const found = new Map<string, Record<string, unknown>>();
  for (const t of tenants) {
    found.set(`tenants/${t}`, {});
    for (const n of networksOf) {
      const base = `tenants/${t}/networks/${n}`;
      const { v4, v6 } = prefixOf(n, peered.includes(t));
      found.set(base, { offering: 'basic', cidr: `${v4}.0.0/16`, ipv6Cidr: `${v6}::/48` });
      for (const [tier, third] of Object.entries(tiers))
        found.set(`${base}/tiers/${tier}`, { cidr: `${v4}.${third}.0/24`, ipv6Cidr: `${v6}:${third}::/64` });
      for (const g of groups) found.set(`${base}/groups/${g}`, {});
    }
    if (peered.includes(t)) found.set(`tenants/${t}/peerings/both`, { networks: networksOf });
  }
  for (const p of ports) {
    found.set(`tenants/${p.tenant}/networks/${p.network}/ports/${p.name}`, {
      tier: p.tier,
      mac: p.mac,
      ips: p.ips,
      groups: p.groups,
      ifaceId: ifaceId(p),
    });
  }
  routes.forEach(({ tenant, network, ...spec }, i) => {
    found.set(`tenants/${tenant}/networks/${network}/routes/r${i}`, spec);
  });
  rules.forEach(({ tenant, network, ...spec }, i) => {
    found.set(`tenants/${tenant}/networks/${network}/rules/r${i}`, spec);
  });
  policies.forEach((spec, i) => {
    found.set(`policies/p${i}`, spec);
  });
  return [...found].map(([path, spec]) => ({ path, spec }));
}

export function ifaceId(p: Pick<ModelPort, 'tenant' | 'network' | 'name'>): string {
  return `${p.tenant}-${p.network}-${p.name}`;
}
