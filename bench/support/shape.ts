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
  /** Of its resource in Keyway. */
  path: string;
};

export const tierPrefix: Record<Tier, string> = { web: '10.0.1.0/24', db: '10.0.2.0/24' };

/** The first TCP port the rules of a tier allow within it, one rule each. */
export const firstAllowedPort = 1000;
/** One that no rule allows. */
export const deniedPort = 999;

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
  spec: { tier: p.tier, ifaceId: p.ifaceId, mac: p.mac, ips: [p.ip] },
});

export function ruleSpec(tier: Tier, number: number, tcpPort: number): Record<string, unknown> {
  return {
    action: 'allow',
    priority: 100 + number,
    from: { tier },
    to: { tier },
    protocol: 'tcp',
    ports: [String(tcpPort)],
  };
}

/** Tenant, network, tiers and rules, without ports. */
export function networkResources(shape: CloudShape, number: number): Resource[] {
  const network = `tenants/t${number}/networks/n`;
  const resources: Resource[] = [
    { path: `tenants/t${number}`, spec: {} },
    { path: network, spec: { offering: 'basic', cidr: '10.0.0.0/16' } },
  ];
  for (const tier of ['web', 'db'] as const) {
    resources.push({ path: `${network}/tiers/${tier}`, spec: { cidr: tierPrefix[tier] } });
    for (let r = 0; r < shape.rules; r++)
      resources.push({ path: `${network}/rules/${tier}${r}`, spec: ruleSpec(tier, r, firstAllowedPort + r) });
  }
  return resources;
}

/** Those of all networks. */
export function frame(shape: CloudShape): Resource[] {
  return Array.from({ length: shape.networks }, (_, number) => networkResources(shape, number)).flat();
}

export function describeShape(shape: CloudShape): string {
  const { hypervisors, networks, ports, rules, spread } = shape;
  return `${hypervisors} hypervisors, ${networks} networks of 2 tiers x ${ports} ports (${2 * ports * networks}), each over ${spread} hypervisors, ${rules} rules per tier`;
}
