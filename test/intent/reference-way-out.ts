/**
 * The way out told a second time, slowly and without an index: a transaction is applied to a plain map, what was left
 * out is chosen by looking at everything, and then every pair is judged.
 */
import { Address4 } from 'ip-address';
import type { Operation } from '../../src/intent/intent.ts';

// biome-ignore lint/suspicious/noExplicitAny: specs of every kind, member by member
type Spec = Record<string, any>;
export type World = {
  specs: Map<string, Spec>;
  /** VLANs by physical network, least recently freed first. */
  freed: { physicalNetwork: string; vlan: number }[];
  /** Public addresses by what their provider network is, in the same order, with the tenant that had each. */
  rested: { on: string; address: string; tenant: string }[];
};

const rank = [
  'provider-networks',
  'ip-pools',
  'trunks',
  'tiers',
  'reservations',
  'vlan-attachments',
  'ports',
  'public-ips',
];

const kindOf = (path: string): string => path.split('/').at(-2)!;
const nameOf = (path: string): string => path.split('/').at(-1)!;
const networkOf = (path: string): string => path.split('/').slice(0, 4).join('/');
const tenantOf = (path: string): string => path.split('/')[1]!;

const number = (ip: string): number => Number(new Address4(ip).bigInt());
const text = (ip: number): string => Address4.fromBigInt(BigInt(ip)).correctForm();
const ends = (range: string): [number, number] => {
  const [first, last = first] = range.split('-');
  return [number(first!), number(last!)];
};
const bounds = (cidr: string): [number, number] => {
  const prefix = new Address4(cidr);
  return [Number(prefix.startAddress().bigInt()), Number(prefix.endAddress().bigInt())];
};
const portsOf = (range: string): [number, number] => {
  const [first, last = first] = range.split('-').map(Number);
  return [first!, last!];
};
const overlap = ([a, b]: [number, number], [c, d]: [number, number]): boolean => a <= d && c <= b;
const numbers = ([first, last]: [number, number]): number[] =>
  Array.from({ length: last - first + 1 }, (_, i) => first + i);

/** Addresses a pool gives out, lowest first. */
function addressesOf({ cidr, gateway, ranges }: Spec): number[] {
  const [first, last] = bounds(cidr);
  const all = ranges === undefined ? numbers([first + 1, last - 1]) : ranges.flatMap((r: string) => numbers(ends(r)));
  return all.filter((address: number) => address !== number(gateway)).sort((a: number, b: number) => a - b);
}

const vlansOf = ({ vlans }: Spec): number[] =>
  vlans.flatMap((range: string) => numbers(portsOf(range))).sort((a: number, b: number) => a - b);

const kept: Record<string, string[]> = {
  'public-ips': ['pool', 'address'],
  'vlan-attachments': ['vlan'],
  tiers: ['cidr', 'gateway'],
  ports: ['ips'],
};
const fixed: Record<string, string[]> = {
  'provider-networks': ['physicalNetwork', 'vlan'],
  'ip-pools': ['providerNetwork', 'cidr'],
  trunks: ['physicalNetwork'],
  'public-ips': ['pool', 'address'],
  'vlan-attachments': ['trunk', 'tier', 'vlan'],
  reservations: ['tier'],
  tiers: ['cidr'],
  ports: ['tier'],
};

/** @returns the world afterwards; undefined: refused */
export function attempt(before: World, operations: readonly Operation[]): World | undefined {
  const specs = new Map(before.specs);
  const freed = [...before.freed];
  const freedNow: World['freed'] = [];
  const restedNow: World['rested'] = [];
  const give = (path: string) => {
    const spec = before.specs.get(path)!;
    if (kindOf(path) === 'public-ips')
      restedNow.push({ on: segmentOf(before, spec.pool), address: spec.address, tenant: tenantOf(path) });
    if (kindOf(path) === 'vlan-attachments')
      freedNow.push({ physicalNetwork: before.specs.get(`trunks/${spec.trunk}`)!.physicalNetwork, vlan: spec.vlan });
    if (kindOf(path) === 'provider-networks' && spec.vlan !== undefined)
      freedNow.push({ physicalNetwork: spec.physicalNetwork, vlan: spec.vlan });
  };
  for (const operation of operations) {
    const { op, path } = operation;
    const old = before.specs.get(path);
    if (op === 'delete') {
      if (old === undefined) return undefined;
      specs.delete(path);
      give(path);
      continue;
    }
    const spec: Spec = { ...operation.spec };
    for (const member of kept[kindOf(path)] ?? [])
      if (spec[member] === undefined && old?.[member] !== undefined) spec[member] = old[member];
    for (const member of fixed[kindOf(path)] ?? [])
      if (old !== undefined && JSON.stringify(spec[member]) !== JSON.stringify(old[member])) return undefined;
    const length = Number(spec.cidr?.split('/')[1] ?? spec.prefixLength);
    if (spec.prefixLength !== undefined && spec.prefixLength !== length) return undefined;
    specs.set(path, spec);
  }
  const world: World = { specs, freed, rested: [...before.rested] };
  if (!closed(world)) return undefined;
  // Whoever asks for a VLAN does not get it before those who had it have let go, which those of earlier transactions have.
  const fresh = operations.filter(({ op, path }) => op === 'put' && !before.specs.has(path)).map(({ path }) => path);
  const taken = (physicalNetwork: string, vlan: number): boolean => {
    const same = (one: World['freed'][number]) => one.physicalNetwork === physicalNetwork && one.vlan === vlan;
    if (freedNow.some(same)) return false;
    world.freed = world.freed.filter((one) => !same(one));
    return true;
  };
  for (const path of fresh) {
    const spec = specs.get(path)!;
    const physicalNetwork =
      kindOf(path) === 'provider-networks' ? spec.physicalNetwork : specs.get(`trunks/${spec.trunk}`)?.physicalNetwork;
    const needed = ['provider-networks', 'vlan-attachments'].includes(kindOf(path)) && spec.vlan !== undefined;
    if (needed && !taken(physicalNetwork, spec.vlan)) return undefined;
  }
  const ranked = [...fresh].sort((a, b) => rank.indexOf(kindOf(a)) - rank.indexOf(kindOf(b)));
  // What is asked for comes before what is chosen.
  const asking = (path: string) => kindOf(path) === 'public-ips' && specs.get(path)!.address !== undefined;
  for (const path of [...ranked.filter(asking), ...ranked.filter((path) => !asking(path))])
    if (!fill(world, path, freedNow, restedNow)) return undefined;
  world.freed.push(...freedNow);
  world.rested.push(...restedNow);
  return judge(world, before) ? world : undefined;
}

/** Whether everything that is named is there. */
function closed({ specs }: World): boolean {
  for (const [path, spec] of specs) {
    const network = networkOf(path);
    const named: string[] = [];
    const name = (segment: string, value: unknown, at = '') => {
      for (const one of [value].flat()) if (one !== undefined) named.push(`${at}${segment}/${one as string}`);
    };
    const kind = kindOf(path);
    if (kind === 'ip-pools') name('provider-networks', spec.providerNetwork);
    if (kind === 'public-ips') name('ip-pools', spec.pool);
    if (kind === 'vlan-attachments') name('trunks', spec.trunk);
    if (['vlan-attachments', 'reservations', 'ports'].includes(kind)) name('tiers', spec.tier, `${network}/`);
    if (kind === 'nat-rules') {
      name('public-ips', spec.publicIp, `${network}/`);
      name('ports', spec.port, `${network}/`);
      name('tiers', spec.tiers, `${network}/`);
    }
    if (named.some((one) => !specs.has(one))) return false;
  }
  return true;
}

/** What a pool's provider network is. */
function segmentOf({ specs }: World, pool: string): string {
  const { physicalNetwork, vlan } = specs.get(`provider-networks/${specs.get(`ip-pools/${pool}`)!.providerNetwork}`)!;
  return `${physicalNetwork} ${vlan ?? 0}`;
}

function fill(world: World, path: string, freedNow: World['freed'], restedNow: World['rested']): boolean {
  const { specs } = world;
  const spec = specs.get(path)!;
  const all = [...specs];
  const kind = kindOf(path);
  if (kind === 'public-ips') {
    const pools = all
      .filter(([p]) => kindOf(p) === 'ip-pools' && (spec.pool === undefined || nameOf(p) === spec.pool))
      .filter(([, pool]) => pool.tenants === undefined || pool.tenants.includes(tenantOf(path)))
      .sort(([a], [b]) => (a < b ? -1 : 1));
    for (const [p, pool] of pools) {
      const on = segmentOf(world, nameOf(p));
      const used = [...specs].filter(([q, o]) => q !== path && o.pool === nameOf(p)).map(([, o]) => o.address);
      const here = (one: World['rested'][number]) => one.on === on && addressesOf(pool).map(text).includes(one.address);
      const all = addressesOf(pool).map(text);
      let address: string | undefined;
      if (spec.address !== undefined) {
        if (!all.includes(spec.address)) continue;
        const rest = [...world.rested, ...restedNow].find((one) => one.on === on && one.address === spec.address);
        if (rest !== undefined && restedNow.includes(rest) && rest.tenant !== tenantOf(path)) return false;
        address = spec.address;
      } else {
        const resting = [...world.rested, ...restedNow].filter((one) => one.on === on).map((one) => one.address);
        address = all.find((one) => !used.includes(one) && !resting.includes(one));
        const oldest = [...world.rested, ...restedNow].find(here);
        if (address === undefined && oldest !== undefined && !restedNow.includes(oldest)) address = oldest.address;
      }
      if (address === undefined) continue;
      const taken = (one: World['rested'][number]) => one.on === on && one.address === address;
      world.rested = world.rested.filter((one) => !taken(one));
      restedNow.splice(0, restedNow.length, ...restedNow.filter((one) => !taken(one)));
      specs.set(path, { ...spec, pool: nameOf(p), address });
      return true;
    }
    return false;
  }
  if (kind === 'vlan-attachments' && spec.vlan === undefined) {
    const trunk = specs.get(`trunks/${spec.trunk}`)!;
    const here = (one: World['freed'][number]) => one.physicalNetwork === trunk.physicalNetwork;
    const held = heldVlans(world, trunk.physicalNetwork).map(({ vlan }) => vlan);
    const resting = [...world.freed, ...freedNow].filter(here).map(({ vlan }) => vlan);
    const unused = vlansOf(trunk).find((vlan) => !held.includes(vlan) && !resting.includes(vlan));
    const oldest = [...world.freed, ...freedNow].find((one) => here(one) && vlansOf(trunk).includes(one.vlan));
    const vlan = unused ?? (oldest === undefined || freedNow.includes(oldest) ? undefined : oldest.vlan);
    if (vlan === undefined) return false;
    if (unused === undefined) world.freed = world.freed.filter((one) => one !== oldest);
    specs.set(path, { ...spec, vlan });
  }
  if (kind === 'tiers' && spec.cidr === undefined) {
    const size = 2 ** (32 - spec.prefixLength);
    const [first, last] = bounds('10.1.0.0/26');
    const others = all.filter(
      ([p, o]) => kindOf(p) === 'tiers' && o.cidr !== undefined && networkOf(p) === networkOf(path),
    );
    for (let at = first; at + size - 1 <= last; at += size) {
      if (others.some(([, o]) => overlap(bounds(o.cidr), [at, at + size - 1]))) continue;
      specs.set(path, { ...spec, cidr: `${text(at)}/${spec.prefixLength}`, gateway: text(at + 1) });
      return true;
    }
    return false;
  }
  if (kind === 'ports' && spec.ips === undefined) {
    const tier = specs.get(`${networkOf(path)}/tiers/${spec.tier}`)!;
    const [first, last] = bounds(tier.cidr);
    const used = all.filter(([p]) => networkOf(p) === networkOf(path)).flatMap(([, o]) => o.ips ?? []);
    const reserved = all
      .filter(([p, o]) => kindOf(p) === 'reservations' && networkOf(p) === networkOf(path) && o.tier === spec.tier)
      .flatMap(([, o]) => numbers(ends(o.range)));
    const lowest = numbers([first + 1, last - 1]).find(
      (ip) => text(ip) !== (tier.gateway ?? text(first + 1)) && !used.includes(text(ip)) && !reserved.includes(ip),
    );
    if (lowest === undefined) return false;
    specs.set(path, { ...spec, ips: [text(lowest)] });
  }
  return true;
}

function heldVlans({ specs }: World, physicalNetwork: string): { vlan: number; path: string }[] {
  return [...specs].flatMap(([path, spec]) => {
    if (spec.vlan === undefined) return [];
    if (kindOf(path) === 'provider-networks')
      return spec.physicalNetwork === physicalNetwork ? [{ vlan: spec.vlan as number, path }] : [];
    return specs.get(`trunks/${spec.trunk}`)?.physicalNetwork === physicalNetwork
      ? [{ vlan: spec.vlan as number, path }]
      : [];
  });
}

function judge(world: World, before: World): boolean {
  const { specs } = world;
  const of = (kind: string) => [...specs].filter(([path]) => kindOf(path) === kind);
  const pairs = (kind: string) => {
    const all = of(kind);
    return all.flatMap((a, i) => all.slice(i + 1).map((b) => [a, b] as const));
  };
  const unique = (values: readonly unknown[]) => new Set(values).size === values.length;

  if (!unique(of('provider-networks').map(([, { physicalNetwork, vlan }]) => `${physicalNetwork} ${vlan}`)))
    return false;
  for (const [, pool] of of('ip-pools')) {
    const [first, last] = bounds(pool.cidr);
    const gateway = number(pool.gateway);
    if (gateway <= first || gateway >= last) return false;
    const ranges: [number, number][] = (pool.ranges ?? []).map(ends);
    if (ranges.some(([a, b]) => a > b || a <= first || b >= last || (gateway >= a && gateway <= b))) return false;
    if (ranges.some((a, i) => ranges.slice(i + 1).some((b) => overlap(a, b)))) return false;
  }
  for (const [[, a], [, b]] of pairs('ip-pools'))
    if (a.providerNetwork === b.providerNetwork && overlap(bounds(a.cidr), bounds(b.cidr))) return false;
  if (!unique(of('public-ips').map(([, { pool, address }]) => `${pool} ${address}`))) return false;
  for (const [path, { pool, address }] of of('public-ips')) {
    const from = specs.get(`ip-pools/${pool}`)!;
    if (!addressesOf(from).includes(number(address))) return false;
    const open = from.tenants === undefined || from.tenants.includes(tenantOf(path));
    if (!open && !before.specs.has(path)) return false;
  }

  for (const [, { vlans }] of of('trunks')) {
    const ranges: [number, number][] = vlans.map(portsOf);
    if (ranges.some((a, i) => a[0] > a[1] || ranges.slice(i + 1).some((b) => overlap(a, b)))) return false;
  }
  for (const [[, a], [, b]] of pairs('trunks'))
    if (a.physicalNetwork === b.physicalNetwork && vlansOf(a).some((vlan) => vlansOf(b).includes(vlan))) return false;
  for (const physicalNetwork of ['x', 'y']) {
    const held = heldVlans(world, physicalNetwork);
    if (!unique(held.map(({ vlan }) => vlan))) return false;
    for (const { path, vlan } of held) {
      const inTrunks = of('trunks').filter(
        ([, t]) => t.physicalNetwork === physicalNetwork && vlansOf(t).includes(vlan),
      );
      const own = inTrunks.some(([p]) => nameOf(p) === specs.get(path)!.trunk);
      if (kindOf(path) === 'provider-networks' ? inTrunks.length > 0 : !own) return false;
    }
  }

  for (const [path, { tier, range }] of of('reservations')) {
    const [first, last] = bounds(specs.get(`${networkOf(path)}/tiers/${tier}`)!.cidr);
    const [from, to] = ends(range);
    if (from > to || from < first || to > last) return false;
    for (const [p, { ips }] of of('ports'))
      if (networkOf(p) === networkOf(path) && ips.some((ip: string) => number(ip) >= from && number(ip) <= to))
        return false;
  }
  for (const [[a, one], [b, two]] of pairs('reservations'))
    if (networkOf(a) === networkOf(b) && one.tier === two.tier && overlap(ends(one.range), ends(two.range)))
      return false;
  for (const [path, { tier, ips }] of of('ports')) {
    const { cidr, gateway } = specs.get(`${networkOf(path)}/tiers/${tier}`)!;
    const [first, last] = bounds(cidr);
    for (const ip of ips) {
      if (number(ip) <= first || number(ip) >= last || ip === (gateway ?? text(first + 1))) return false;
    }
  }
  if (!unique(of('ports').flatMap(([path, { ips }]) => ips.map((ip: string) => `${networkOf(path)} ${ip}`))))
    return false;

  const target = (path: string, { port, address }: Spec): string =>
    address ?? specs.get(`${networkOf(path)}/ports/${port}`)!.ips[0];
  for (const [path, rule] of of('nat-rules'))
    if (
      rule.port !== undefined &&
      !specs.get(`${networkOf(path)}/ports/${rule.port}`)!.ips.includes(target(path, rule))
    )
      return false;
  for (const [[a, one], [b, two]] of pairs('nat-rules')) {
    if (networkOf(a) !== networkOf(b)) continue;
    const types = [one.type, two.type];
    const oneIp = one.publicIp === two.publicIp;
    if (oneIp && types.includes('static')) return false;
    if (types.every((type) => type === 'static') && target(a, one) === target(b, two)) return false;
    if (types.every((type) => type === 'source')) {
      const [tiers, others] = [one, two].map(({ tiers: named }): string[] => named ?? ['']);
      if (tiers!.some((tier) => others!.includes(tier))) return false;
    }
    const forwards = types.every((type) => type === 'port-forward');
    if (
      forwards &&
      oneIp &&
      one.protocol === two.protocol &&
      overlap(portsOf(one.publicPorts), portsOf(two.publicPorts))
    )
      return false;
  }
  return true;
}
