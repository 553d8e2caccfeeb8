/**
 * The cloud the figures are taken on: networks of two tiers, each of a tenant of its own, whose ports are spread over
 * the hypervisors; rules per tier; every tenant with the same addresses. A function of its numbers: whoever plugs,
 * orders or simulates it comes to the same.
 */
import type { Resource } from './api-client.ts';

export type CloudShape = {
  hypervisors: number;
  networks: number;
  /** Per tier; a network has two tiers. */
  ports: number;
  /** Per tier. */
  rules: number;
  /** Hypervisors each network is spread over. */
  spread: number;
  /** Neighbours share networks (as in one rack), or any hypervisor may share one with any other. `neighbours` unless told. */
  placement?: 'neighbours' | 'anywhere';
  /** Every second rule of a tier is for what comes from the other tier, through a router; within the tier only unless told. */
  routed?: boolean;
  /** Tiers and ports have IPv6 addresses beside. */
  dualStack?: boolean;
};

export type Tier = 'web' | 'db';

export type Place = {
  /** Number of its network, and of its tenant. */
  network: number;
  tier: Tier;
  index: number;
  /** Number of its hypervisor. */
  host: number;
  ifaceId: string;
  mac: string;
  ip: string;
  /** Where the shape is of both IP versions. */
  ipv6?: string;
  /** Of its resource in Keyway. */
  path: string;
};

export const tierPrefix: Record<Tier, string> = { web: '10.0.1.0/24', db: '10.0.2.0/24' };
export const tierPrefix6: Record<Tier, string> = { web: 'fd00:10:0:1::/64', db: 'fd00:10:0:2::/64' };
export const tierGateway: Record<Tier, string> = { web: '10.0.1.1', db: '10.0.2.1' };
export const tierGateway6: Record<Tier, string> = { web: 'fd00:10:0:1::1', db: 'fd00:10:0:2::1' };

/** The first TCP port the rules of a tier allow, one rule each. */
export const firstAllowedPort = 1000;
/** One that no rule allows. */
export const deniedPort = 999;

/** Where the packets that the rule of this number allows come from. */
export function ruleSource(shape: CloudShape, tier: Tier, number: number): Tier {
  return shape.routed && number % 2 === 1 ? otherTier(tier) : tier;
}

export const otherTier = (tier: Tier): Tier => (tier === 'web' ? 'db' : 'web');

/** A TCP port that a rule allows from one tier to the other, or within it; none of rule 0, which figures change. */
export function allowedPort(shape: CloudShape, from: Tier, to: Tier): number {
  const number = shape.routed && from === to ? 2 : 1;
  if (number >= shape.rules) throw new Error(`${shape.rules} rules per tier: 3 are needed`);
  return firstAllowedPort + number;
}

export const encapIp = (host: number): string => `192.0.${2 + (host >> 8)}.${host & 255}`;
export const systemId = (host: number): string => `hv${host}`;

/** Two numbers to one that looks random and is always the same (a round of splitmix32). */
function mixed(a: number, b: number): number {
  let x = Math.imul(a, 0x9e3779b1) ^ Math.imul(b + 1, 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return (x ^ (x >>> 15)) >>> 0;
}

function hostOf(shape: CloudShape, network: number, index: number): number {
  const slot = index % shape.spread;
  if (shape.placement === 'anywhere') return mixed(network, slot) % shape.hypervisors;
  return (network + slot) % shape.hypervisors;
}

/** Port `index` of a network. */
export function place(shape: CloudShape, network: number, index: number): Place {
  const tier = index % 2 === 0 ? 'web' : 'db';
  const host = 10 + (index >> 1);
  if (host > 254) throw new Error('a tier is a /24: 245 ports at most');
  return {
    network,
    tier,
    index,
    host: hostOf(shape, network, index),
    ifaceId: `t${network}-p${index}`,
    mac: `02:00:00:00:${tier === 'web' ? '01' : '02'}:${host.toString(16).padStart(2, '0')}`,
    ip: `10.0.${tier === 'web' ? 1 : 2}.${host}`,
    ...(shape.dualStack ? { ipv6: `fd00:10:0:${tier === 'web' ? 1 : 2}::${host.toString(16)}` } : {}),
    path: `tenants/t${network}/networks/n/ports/p${index}`,
  };
}

/** @param spare so many more ports per network, which are plugged but not ordered */
export function places(shape: CloudShape, spare: number): { ordered: Place[]; spares: Place[] } {
  const all = { ordered: [] as Place[], spares: [] as Place[] };
  for (let network = 0; network < shape.networks; network++) {
    const count = 2 * shape.ports;
    for (let i = 0; i < count; i++) all.ordered.push(place(shape, network, i));
    for (let i = count; i < count + spare; i++) all.spares.push(place(shape, network, i));
  }
  return all;
}

export const portResource = (p: Place): Resource => ({
  path: p.path,
  spec: { tier: p.tier, ifaceId: p.ifaceId, mac: p.mac, ips: p.ipv6 === undefined ? [p.ip] : [p.ip, p.ipv6] },
});

/** @param from its own tier unless told */
export function ruleSpec(tier: Tier, number: number, tcpPort: number, from = tier): Record<string, unknown> {
  return {
    action: 'allow',
    priority: 100 + number,
    from: { tier: from },
    to: { tier },
    protocol: 'tcp',
    ports: [String(tcpPort)],
  };
}

/** Tenant, network, tiers and rules, without ports. */
export function networkResources(shape: CloudShape, number: number): Resource[] {
  const network = `tenants/t${number}/networks/n`;
  const ipv6 = (ipv6Cidr: string): { ipv6Cidr?: string } => (shape.dualStack ? { ipv6Cidr } : {});
  const resources: Resource[] = [
    { path: `tenants/t${number}`, spec: {} },
    { path: network, spec: { offering: 'basic', cidr: '10.0.0.0/16', ...ipv6('fd00:10::/48') } },
  ];
  for (const tier of ['web', 'db'] as const) {
    resources.push({ path: `${network}/tiers/${tier}`, spec: { cidr: tierPrefix[tier], ...ipv6(tierPrefix6[tier]) } });
    for (let r = 0; r < shape.rules; r++)
      resources.push({
        path: `${network}/rules/${tier}${r}`,
        spec: ruleSpec(tier, r, firstAllowedPort + r, ruleSource(shape, tier, r)),
      });
  }
  return resources;
}

/** Those of all networks. */
export function frame(shape: CloudShape): Resource[] {
  return Array.from({ length: shape.networks }, (_, number) => networkResources(shape, number)).flat();
}

export function describeShape(shape: CloudShape): string {
  const { hypervisors, networks, ports, rules, spread } = shape;
  const extent = `${hypervisors} hypervisors, ${networks} networks of 2 tiers x ${ports} ports (${2 * ports * networks}), each over ${spread} hypervisors`;
  const half = shape.routed ? ', every second one between the tiers' : '';
  return `${extent}, ${rules} rules per tier${half}${shape.dualStack ? ', IPv4 and IPv6' : ''}`;
}
