/**
 * The reference model of what is outside: where the first packet of a connection ends that crosses public addresses, worked out
 * from the orders alone and without any code of Keyway's. Each tenant has one network, 10.0.0.0/16.
 */
import { allowed, type ModelPort, type World } from './reference.ts';

export type ModelNat = { tenant: string; name: string; publicIp: string } & (
  | { type: 'source'; tiers?: string[] }
  | { type: 'static'; port: string }
  | { type: 'port-forward'; port: string; protocol: 'tcp' | 'udp'; publicPorts: [number, number]; privatePort: number }
);

/** `publicIps`: tenant -> name -> address. */
export type OutsideWorld = World & {
  nat: ModelNat[];
  publicIps: Record<string, Record<string, string>>;
  /** Names of hypervisors that have the provider network. */
  cabled: string[];
  hosts: Map<ModelPort, string>;
};

export type Flying = {
  src: string;
  dst: string;
  protocol: 'tcp' | 'udp' | 'icmp';
  /** Destination's; 0 for ICMP. */
  port: number;
  ttl: number;
};

/** Public address, and which gateway or host has it; `gateways`: whichever is in charge. */
export type Homed = { address: string; at: string };

function portNamed(world: OutsideWorld, tenant: string, name: string): ModelPort {
  return world.ports.find((p) => p.tenant === tenant && p.name === name)!;
}

const inside = (ip: string): boolean => ip.startsWith('10.0.');
const nowhere = (ip: string): boolean =>
  ['0.', '127.', '169.254.'].some((start) => ip.startsWith(start)) || Number(ip.split('.')[0]) >= 224;

/** Where a public address that any rule speaks of is at home. */
export function homeOf(world: OutsideWorld, tenant: string, name: string): string | undefined {
  const rules = world.nat.filter((r) => r.tenant === tenant && r.publicIp === name);
  if (rules.length === 0) return undefined;
  for (const rule of rules) {
    if (rule.type !== 'static') continue;
    const port = portNamed(world, tenant, rule.port);
    const host = world.hosts.get(port)!;
    if (port.bound && world.cabled.includes(host)) return host;
  }
  return 'gateways';
}

/** As what a packet of the port leaves, and where from; undefined: it does not. */
export function leaving(world: OutsideWorld, from: ModelPort, packet: Flying): Homed | undefined {
  const { tenant, ips, tier, bound } = from;
  if (!bound || !ips.includes(packet.src) || packet.ttl <= 1) return undefined;
  if (inside(packet.dst) || nowhere(packet.dst)) return undefined;
  if (!allowed(world, from, { ...packet, srcIp: packet.src, dstIp: packet.dst })) return undefined;
  const own = world.nat.filter((r) => r.tenant === tenant);
  const rule =
    own.find((r) => r.type === 'static' && r.port === from.name) ??
    own.find((r) => r.type === 'source' && r.tiers?.includes(tier)) ??
    own.find((r) => r.type === 'source' && r.tiers === undefined);
  if (rule === undefined) return undefined;
  const at = homeOf(world, tenant, rule.publicIp)!;
  return { address: world.publicIps[tenant]![rule.publicIp]!, at };
}

/** Who gets a packet to a public address, under which address and port of its own, and where it comes in. */
export function arriving(world: OutsideWorld, packet: Flying): { to: ModelPort; port: number; at: string } | undefined {
  if (inside(packet.src) || nowhere(packet.src) || packet.ttl <= 1) return undefined;
  for (const [tenant, addresses] of Object.entries(world.publicIps)) {
    const name = Object.keys(addresses).find((n) => addresses[n] === packet.dst);
    const at = name === undefined ? undefined : homeOf(world, tenant, name);
    if (name === undefined || at === undefined) continue;
    for (const rule of world.nat) {
      if (rule.tenant !== tenant || rule.publicIp !== name || rule.type === 'source') continue;
      let { port } = packet;
      if (rule.type === 'port-forward') {
        const [first, last] = rule.publicPorts;
        if (rule.protocol !== packet.protocol || port < first || port > last) continue;
        port = rule.privatePort + port - first;
      }
      const to = portNamed(world, tenant, rule.port);
      const judged = { srcIp: packet.src, dstIp: to.ips[0]!, protocol: packet.protocol, port };
      return to.bound && allowed(world, to, judged) ? { to, port, at } : undefined;
    }
  }
  return undefined;
}
