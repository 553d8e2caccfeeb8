/**
 * Where bound ports are, and what follows from it: which hypervisors a network or tenant touches, which of them meet.
 * Every index is kept up with each change; nothing here walks the whole.
 */
import type { HypervisorNumber } from '../drivers/switch-plugin.ts';
import type { Path } from '../intent/model.ts';
import { parentPath } from './paths.ts';

export type Bound = {
  hypervisor: HypervisorNumber;
  interface: string;
  /** 0 while the binding is remembered from an earlier run and the hypervisor has not told yet. */
  ofport: number;
  zone: number;
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
  readonly #tenantHosts = new Map<Path, Counted<HypervisorNumber>>();
  readonly #peers = new Map<HypervisorNumber, Counted<HypervisorNumber>>();

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
    return this.#onHost.get(hypervisor) ?? new Set();
  }

  /** Walks through the ports there. */
  portInZone(hypervisor: HypervisorNumber, zone: number): Path | undefined {
    for (const port of this.portsOn(hypervisor)) if (this.#bound.get(port)?.zone === zone) return port;
    return undefined;
  }

  boundPortsOf(network: Path): Iterable<Path> {
    return this.#networkPorts.get(network) ?? [];
  }

  hostsOfNetwork(network: Path): readonly HypervisorNumber[] {
    return sorted(this.#networkHosts.get(network));
  }

  hostsOfTenant(tenant: Path): readonly HypervisorNumber[] {
    return sorted(this.#tenantHosts.get(tenant));
  }

  networks(): Iterable<Path> {
    return this.#networkPorts.keys();
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

  /** Binds, moves or updates. */
  bind(port: Path, to: Bound): PlacementEffect {
    const before = this.#bound.get(port);
    let effect: PlacementEffect = { port, networkHosts: false, tenantHosts: [] };
    if (before === undefined || before.hypervisor !== to.hypervisor) {
      if (before !== undefined) effect = this.unbind(port);
      const added = this.#enter(port, to.hypervisor);
      effect = {
        port,
        networkHosts: effect.networkHosts || added.networkHosts,
        tenantHosts: [...effect.tenantHosts, ...added.tenantHosts],
      };
    }
    this.#bound.set(port, to);
    return effect;
  }

  unbind(port: Path): PlacementEffect {
    const before = this.#bound.get(port);
    if (before === undefined) return { port, networkHosts: false, tenantHosts: [] };
    this.#bound.delete(port);
    const host = before.hypervisor;
    const network = parentPath(port);
    const tenant = parentPath(network);
    drop(this.#onHost, host, port);
    drop(this.#networkPorts, network, port);
    const networkHosts = leave(this.#networkHosts, network, host);
    const left = leave(this.#tenantHosts, tenant, host);
    if (left) {
      for (const peer of this.hostsOfTenant(tenant)) {
        leave(this.#peers, host, peer);
        leave(this.#peers, peer, host);
      }
    }
    return { port, networkHosts, tenantHosts: left ? [host] : [] };
  }

  #enter(port: Path, host: HypervisorNumber): PlacementEffect {
    const network = parentPath(port);
    const tenant = parentPath(network);
    put(this.#onHost, host, port);
    put(this.#networkPorts, network, port);
    const networkHosts = counted(this.#networkHosts, network).add(host);
    const others = this.hostsOfTenant(tenant);
    const came = counted(this.#tenantHosts, tenant).add(host);
    if (came) {
      for (const peer of others) {
        counted(this.#peers, host).add(peer);
        counted(this.#peers, peer).add(host);
      }
    }
    return { port, networkHosts, tenantHosts: came ? [host] : [] };
  }
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
