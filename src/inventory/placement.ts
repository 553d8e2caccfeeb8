/**
 * Where bound ports are, and what follows from it: which hypervisors a network or tenant touches, which of them meet.
 * Every index is kept up with each change; nothing here walks the whole.
 */
import type { HypervisorNumber } from '../drivers/switch-plugin.ts';
import type { Path } from '../intent/model.ts';
import { parentPath } from './paths.ts';

/** Where a port is. */
export type Home = {
  hypervisor: HypervisorNumber;
  /** 0 while the binding is remembered from an earlier run and the hypervisor has not told yet. */
  ofport: number;
  zone: number;
};

export type Bound = Home & {
  interface: string;
  /** Of a device behind a VLAN: where it is too, for as long as the other one is dead. */
  standby?: Home;
};

export type GatewayPair = readonly [first: HypervisorNumber, second: HypervisorNumber];

/** What other gateways of a network touch. */
export type GatewayEffect = {
  network: Path;
  before: readonly HypervisorNumber[];
  /** Hypervisors that the tenant came to or left. */
  tenantHosts: HypervisorNumber[];
  /** Hypervisors that are a gateway of some network now and were of none before, or the other way round. */
  roles: HypervisorNumber[];
};

/** What a change of placement touches beyond the port itself. */
export type PlacementEffect = {
  port: Path;
  /** The set of hypervisors of the network changed. */
  networkHosts: boolean;
  /** Hypervisors that the tenant came to or left. */
  tenantHosts: HypervisorNumber[];
};

class Counted<K> {
  readonly counts = new Map<K, number>();
  /** Keys in order, until one comes or goes: they are asked for much more often. */
  #sorted: readonly K[] | undefined;
  /** True when the key is new. */
  add(key: K): boolean {
    const n = this.counts.get(key) ?? 0;
    this.counts.set(key, n + 1);
    if (n === 0) this.#sorted = undefined;
    return n === 0;
  }
  /** True when the key is gone. */
  remove(key: K): boolean {
    const n = this.counts.get(key) ?? 0;
    if (n > 1) {
      this.counts.set(key, n - 1);
      return false;
    }
    this.#sorted = undefined;
    return this.counts.delete(key);
  }

  sorted(compare: (a: K, b: K) => number): readonly K[] {
    this.#sorted ??= [...this.counts.keys()].sort(compare);
    return this.#sorted;
  }
}

function counted<A, B>(index: Map<A, Counted<B>>, key: A): Counted<B> {
  let found = index.get(key);
  if (found === undefined) {
    found = new Counted<B>();
    index.set(key, found);
  }
  return found;
}

export class Placement {
  readonly #bound = new Map<Path, Bound>();
  readonly #onHost = new Map<HypervisorNumber, Set<Path>>();
  readonly #networkHosts = new Map<Path, Counted<HypervisorNumber>>();
  readonly #networkPorts = new Map<Path, Set<Path>>();
  /** Hosts of its networks, and their gateways. */
  readonly #tenantHosts = new Map<Path, Counted<HypervisorNumber>>();
  readonly #peers = new Map<HypervisorNumber, Counted<HypervisorNumber>>();
  /** Of networks that have any: the first is in charge. */
  readonly #gateways = new Map<Path, readonly HypervisorNumber[]>();
  readonly #served = new Map<HypervisorNumber, Set<Path>>();
  /** Hosts and gateways of networks that have gateways, once asked for. */
  readonly #reach = new Map<Path, readonly HypervisorNumber[]>();
  /** Pairs of gateways in use at each hypervisor, as one number. */
  readonly #pairs = new Map<HypervisorNumber, Counted<number>>();
  /** Hypervisors whose pairs have changed since they were last asked for. */
  #otherPairs = new Set<HypervisorNumber>();

  get(port: Path): Bound | undefined {
    return this.#bound.get(port);
  }

  ports(): Iterable<[Path, Bound]> {
    return this.#bound;
  }

  get size(): number {
    return this.#bound.size;
  }

  portsOn(hypervisor: HypervisorNumber): ReadonlySet<Path> {
    return this.#onHost.get(hypervisor) ?? none;
  }

  /** Walks through the ports there. */
  portInZone(hypervisor: HypervisorNumber, zone: number): Path | undefined {
    for (const port of this.portsOn(hypervisor)) {
      const bound = this.#bound.get(port);
      if (bound !== undefined && homesOf(bound).some((home) => home.hypervisor === hypervisor && home.zone === zone))
        return port;
    }
    return undefined;
  }

  boundPortsOf(network: Path): Iterable<Path> {
    return this.#networkPorts.get(network) ?? [];
  }

  /** Hypervisors that have ports of it. */
  hostsOfNetwork(network: Path): readonly HypervisorNumber[] {
    return sorted(this.#networkHosts.get(network));
  }

  /** Hypervisors that have ports of it, and its gateways. */
  reachOfNetwork(network: Path): readonly HypervisorNumber[] {
    const gateways = this.#gateways.get(network);
    if (gateways === undefined) return this.hostsOfNetwork(network);
    let reach = this.#reach.get(network);
    if (reach === undefined) {
      reach = [...new Set([...this.hostsOfNetwork(network), ...gateways])].sort(ascending);
      this.#reach.set(network, reach);
    }
    return reach;
  }

  /** Hypervisors that have ports of its networks, or are gateways of them. */
  hostsOfTenant(tenant: Path): readonly HypervisorNumber[] {
    return sorted(this.#tenantHosts.get(tenant));
  }

  /** Networks that have bound ports, and others that have gateways. */
  *networks(): Iterable<Path> {
    yield* this.#networkPorts.keys();
    for (const network of this.#gateways.keys()) if (!this.#networkPorts.has(network)) yield network;
  }

  tenants(): Iterable<Path> {
    return this.#tenantHosts.keys();
  }

  /** Hypervisors that share a tenant with this one. */
  peersOf(hypervisor: HypervisorNumber): readonly HypervisorNumber[] {
    return sorted(this.#peers.get(hypervisor));
  }

  /** Whether the two share a tenant. */
  arePeers(one: HypervisorNumber, other: HypervisorNumber): boolean {
    return this.#peers.get(one)?.counts.has(other) ?? false;
  }

  /** The first is in charge; none, one or two. */
  gatewaysOf(network: Path): readonly HypervisorNumber[] {
    return this.#gateways.get(network) ?? [];
  }

  /** Networks it is a gateway of. */
  servedBy(hypervisor: HypervisorNumber): ReadonlySet<Path> {
    return this.#served.get(hypervisor) ?? none;
  }

  /** Whether it is a gateway of any network. */
  isGateway(hypervisor: HypervisorNumber): boolean {
    return this.#served.has(hypervisor);
  }

  /**
   * Pairs of gateways of networks that the hypervisor has to do with: the first is in charge while it is alive. The second may
   * be the hypervisor itself, the first is not.
   */
  *pairsAt(hypervisor: HypervisorNumber): Iterable<GatewayPair> {
    for (const pair of sorted(this.#pairs.get(hypervisor))) yield [Math.floor(pair / pairBase), pair % pairBase];
  }

  /** Hypervisors whose pairs of gateways have changed since the last call. */
  takeOtherPairs(): ReadonlySet<HypervisorNumber> {
    const others = this.#otherPairs;
    if (others.size > 0) this.#otherPairs = new Set();
    return others;
  }

  /** Binds, moves or updates. */
  bind(port: Path, to: Bound): PlacementEffect {
    const before = this.#bound.get(port);
    this.#bound.set(port, to);
    // The most frequent change costs nothing more.
    if (before !== undefined && before.hypervisor === to.hypervisor && before.standby === to.standby)
      return { port, networkHosts: false, tenantHosts: [] };
    return this.#move(port, before === undefined ? [] : homesOf(before), homesOf(to));
  }

  unbind(port: Path): PlacementEffect {
    const before = this.#bound.get(port);
    if (before === undefined) return { port, networkHosts: false, tenantHosts: [] };
    this.#bound.delete(port);
    return this.#move(port, homesOf(before), []);
  }

  /** @param gateways none, one or two; the first is to be in charge */
  setGateways(network: Path, gateways: readonly HypervisorNumber[]): GatewayEffect {
    const tenant = parentPath(network);
    const before = this.gatewaysOf(network);
    const tenantHosts: HypervisorNumber[] = [];
    const concerned = new Set([...before, ...gateways]);
    const were = new Set([...concerned].filter((h) => this.isGateway(h)));
    this.#usePair(network, 'leave');
    if (gateways.length === 0) this.#gateways.delete(network);
    else this.#gateways.set(network, gateways);
    this.#reach.delete(network);
    this.#usePair(network, 'come');
    for (const h of before) {
      if (gateways.includes(h)) continue;
      drop(this.#served, h, network);
      if (this.#leaveTenant(tenant, h)) tenantHosts.push(h);
    }
    for (const h of gateways) {
      if (before.includes(h)) continue;
      put(this.#served, h, network);
      if (this.#joinTenant(tenant, h)) tenantHosts.push(h);
    }
    const roles = [...concerned].filter((h) => this.isGateway(h) !== were.has(h));
    return { network, before, tenantHosts, roles };
  }

  #move(port: Path, from: readonly Home[], to: readonly Home[]): PlacementEffect {
    const network = parentPath(port);
    const tenant = parentPath(network);
    const effect: PlacementEffect = { port, networkHosts: false, tenantHosts: [] };
    for (const { hypervisor: host } of from) {
      if (isAmong(to, host)) continue;
      drop(this.#onHost, host, port);
      if (leave(this.#networkHosts, network, host)) {
        effect.networkHosts = true;
        this.#hostChanged(network, host, 'leave');
      }
      if (this.#leaveTenant(tenant, host)) effect.tenantHosts.push(host);
    }
    if (to.length === 0) drop(this.#networkPorts, network, port);
    else if (from.length === 0) put(this.#networkPorts, network, port);
    for (const { hypervisor: host } of to) {
      if (isAmong(from, host)) continue;
      put(this.#onHost, host, port);
      if (counted(this.#networkHosts, network).add(host)) {
        effect.networkHosts = true;
        this.#hostChanged(network, host, 'come');
      }
      if (this.#joinTenant(tenant, host)) effect.tenantHosts.push(host);
    }
    return effect;
  }

  /** @returns whether the host is new to the tenant */
  #joinTenant(tenant: Path, host: HypervisorNumber): boolean {
    const others = this.hostsOfTenant(tenant);
    if (!counted(this.#tenantHosts, tenant).add(host)) return false;
    for (const peer of others) {
      counted(this.#peers, host).add(peer);
      counted(this.#peers, peer).add(host);
    }
    return true;
  }

  /** @returns whether the host has left the tenant */
  #leaveTenant(tenant: Path, host: HypervisorNumber): boolean {
    if (!leave(this.#tenantHosts, tenant, host)) return false;
    for (const peer of this.hostsOfTenant(tenant)) {
      leave(this.#peers, host, peer);
      leave(this.#peers, peer, host);
    }
    return true;
  }

  /** A host came to the network, or left it. */
  #hostChanged(network: Path, host: HypervisorNumber, how: 'come' | 'leave'): void {
    const gateways = this.#gateways.get(network);
    if (gateways === undefined) return;
    this.#reach.delete(network);
    if (gateways.length === 2 && !gateways.includes(host)) this.#usePairAt(host, gateways, how);
  }

  /** The network's pair comes to, or leaves, each hypervisor that has to do with it. */
  #usePair(network: Path, how: 'come' | 'leave'): void {
    const gateways = this.#gateways.get(network);
    if (gateways?.length !== 2) return;
    for (const host of this.reachOfNetwork(network)) if (host !== gateways[0]) this.#usePairAt(host, gateways, how);
  }

  #usePairAt(
    host: HypervisorNumber,
    [first = 0, second = 0]: readonly HypervisorNumber[],
    how: 'come' | 'leave',
  ): void {
    const pair = first * pairBase + second;
    const changed = how === 'come' ? counted(this.#pairs, host).add(pair) : leave(this.#pairs, host, pair);
    if (changed) this.#otherPairs.add(host);
  }
}

const none: ReadonlySet<Path> = new Set();

/** Hypervisor numbers have 16 bits. */
const pairBase = 2 ** 16;

function isAmong(homes: readonly Home[], hypervisor: HypervisorNumber): boolean {
  return homes.some((home) => home.hypervisor === hypervisor);
}

/** The first is in charge. */
export function homesOf(bound: Bound): Home[] {
  return bound.standby === undefined ? [bound] : [bound, bound.standby];
}

const ascending = (a: number, b: number): number => a - b;

function sorted<K extends number>(set: Counted<K> | undefined): readonly K[] {
  return set === undefined ? [] : set.sorted(ascending);
}

function put<A, B>(index: Map<A, Set<B>>, key: A, value: B): void {
  const set = index.get(key);
  if (set === undefined) index.set(key, new Set([value]));
  else set.add(value);
}

function drop<A, B>(index: Map<A, Set<B>>, key: A, value: B): void {
  const set = index.get(key);
  set?.delete(value);
  if (set?.size === 0) index.delete(key);
}

function leave<A, B>(index: Map<A, Counted<B>>, key: A, value: B): boolean {
  const set = index.get(key);
  const gone = set?.remove(value) ?? false;
  if (set?.counts.size === 0) index.delete(key);
  return gone;
}
