/**
 * The reference model: who may send what to whom, worked out from the orders alone and without any code of Keyway's.
 * Deliberately plain; when it and the switches disagree, one of them is wrong.
 */

export type ModelPort = {
  tenant: string;
  network: string;
  name: string;
  tier: string;
  mac: string;
  /** IPv4, IPv6 or both. */
  ips: string[];
  groups: string[];
  bound: boolean;
};

export type End = { tier?: string; group?: string; port?: string; cidr?: string; any?: true };

export type ModelRule = {
  tenant: string;
  network: string;
  action: 'allow' | 'deny';
  priority: number;
  from: End;
  to: End;
  protocol: 'any' | 'tcp' | 'udp' | 'icmp' | 'icmpv6';
  ports?: string[];
};

/** Of the operator: before every rule, and final. `tenants` left out: for all. */
export type ModelPolicy = Omit<ModelRule, 'tenant' | 'network'> & { tenants?: string[] };

export type Packet = {
  from: ModelPort;
  srcMac: string;
  srcIp: string;
  /** `router`: the MAC of the router of the sender's tier. */
  dstMac: string;
  dstIp: string;
  protocol: 'tcp' | 'udp' | 'icmp' | 'icmpv6';
  port: number;
  ttl: number;
};

/** What rules look at. */
export type Judged = Pick<Packet, 'srcIp' | 'dstIp' | 'protocol' | 'port'>;

export type ModelRoute = { tenant: string; network: string; destination: string; nextHop: string };

/** Prefixes of a network and of its tiers, of both IP versions. */
export type ModelNetwork = { tenant: string; network: string; prefixes: string[]; tiers: string[] };

/** In `peered` tenants the two networks are routed to each other. */
export type World = {
  networks: ModelNetwork[];
  ports: ModelPort[];
  rules: ModelRule[];
  routes: ModelRoute[];
  peered: string[];
  policies?: ModelPolicy[];
};

/** An address as ones and zeros: 32 of them, or 128. */
function bits(ip: string): string {
  if (!ip.includes(':'))
    return ip
      .split('.')
      .map((o) => Number(o).toString(2).padStart(8, '0'))
      .join('');
  const [left = [], right = []] = ip.split('::').map((half) => half.split(':').filter((w) => w !== ''));
  const words = [...left, ...Array<string>(8 - left.length - right.length).fill('0'), ...right];
  return words.map((w) => Number.parseInt(w, 16).toString(2).padStart(16, '0')).join('');
}

function lies(ip: string, prefix: string): boolean {
  const [base = '', length = ''] = prefix.split('/');
  if (base.includes(':') !== ip.includes(':')) return false;
  return bits(ip).slice(0, Number(length)) === bits(base).slice(0, Number(length));
}

function covers(world: World, owner: { tenant: string; network: string }, end: End, ip: string): boolean {
  if (end.any === true) return true;
  if (end.cidr !== undefined) return lies(ip, end.cidr);
  const holder = world.ports.find(
    (p) => p.tenant === owner.tenant && p.network === owner.network && p.ips.includes(ip),
  );
  if (holder === undefined) return false;
  if (end.port !== undefined) return holder.name === end.port;
  if (end.group !== undefined) return holder.groups.includes(end.group);
  return holder.tier === end.tier;
}

function speaks(rule: Omit<ModelRule, 'tenant' | 'network'>, packet: Judged): boolean {
  if (rule.protocol === 'any') return true;
  if (rule.protocol !== packet.protocol) return false;
  if (rule.ports === undefined) return true;
  return rule.ports.some((range) => {
    const [low = 0, high = low] = range.split('-').map(Number);
    return packet.port >= low && packet.port <= high;
  });
}

/** A neighbour: of the same tier, and addressed by MAC and IP. */
function bridged({ ports }: World, { from, dstMac, dstIp }: Packet): ModelPort | undefined {
  const to = ports.find((p) => p.bound && p.tenant === from.tenant && p.mac === dstMac);
  return to?.network === from.network && to.tier === from.tier && to.ips.includes(dstIp) ? to : undefined;
}

/**
 * While there is time to live: by the longest prefix, to who has the address in the network or the one it is peered with,
 * or to the port that a route leads to.
 */
function routed({ networks, ports, routes, peered }: World, { from, dstIp, ttl }: Packet): ModelPort | undefined {
  if (ttl <= 1) return undefined;
  const near = ports.filter((p) => p.bound && p.tenant === from.tenant);
  const holder = (network: string) => near.find((p) => p.network === network && p.ips.includes(dstIp));
  const ways: { prefix: string; to: () => ModelPort | undefined }[] = [];
  for (const { tenant, network, prefixes, tiers } of networks) {
    if (tenant !== from.tenant) continue;
    const to = () => holder(network);
    if (network === from.network) ways.push(...tiers.map((prefix) => ({ prefix, to })));
    else if (peered.includes(tenant)) ways.push(...prefixes.map((prefix) => ({ prefix, to })));
  }
  for (const { tenant, network, destination, nextHop } of routes) {
    if (tenant !== from.tenant || network !== from.network) continue;
    const to = () => near.find((p) => p.network === network && p.ips.includes(nextHop));
    ways.push({ prefix: destination, to });
  }
  const length = ({ prefix }: { prefix: string }): number => Number(prefix.split('/')[1]);
  const [best] = ways.filter(({ prefix }) => lies(dstIp, prefix)).sort((x, y) => length(y) - length(x));
  return best?.to();
}

/** Whether the network of the owner, and the operator, let it pass. */
export function allowed(world: World, owner: ModelPort, packet: Judged): boolean {
  const isMeant = (r: ModelPolicy) =>
    speaks(r, packet) && covers(world, owner, r.from, packet.srcIp) && covers(world, owner, r.to, packet.dstIp);
  const policies = (world.policies ?? []).filter((p) => p.tenants?.includes(owner.tenant) ?? true);
  const rules = world.rules.filter((r) => r.tenant === owner.tenant && r.network === owner.network);
  return verdict(policies.filter(isMeant)) ?? verdict(rules.filter(isMeant)) ?? false;
}

/** Of those that speak of a packet: the lowest priority decides, and among these deny. Undefined: nobody speaks. */
function verdict(speaking: ModelPolicy[]): boolean | undefined {
  const first = Math.min(...speaking.map((r) => r.priority));
  const deciding = speaking.filter((r) => r.priority === first);
  return deciding.length === 0 ? undefined : deciding.every((r) => r.action === 'allow');
}

/** The port that receives the first packet of a connection, or undefined when nobody does. Both ends are judged. */
export function receiver(world: World, packet: Packet): ModelPort | undefined {
  const { from } = packet;
  if (!from.bound || packet.srcMac !== from.mac || !from.ips.includes(packet.srcIp)) return undefined;
  const to = packet.dstMac === 'router' ? routed(world, packet) : bridged(world, packet);
  if (to === undefined || to === from) return undefined;
  return allowed(world, from, packet) && allowed(world, to, packet) ? to : undefined;
}
