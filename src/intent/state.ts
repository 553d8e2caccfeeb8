/**
 * The whole model in memory with its indexes. It is written through a Log only, so that what is not durable can be taken
 * back. Judging is not its business: that is what stage.ts and checks/ do.
 */
import { hostPrefix, type Ip, type IpPrefix } from './ip.ts';
import type { Log, Table } from './log.ts';
import type { Path, Resource, View } from './model.ts';
import { collectionPath, kindsUnder, tenantOf } from './path.ts';
import { PrefixIndex } from './prefix-index.ts';
import type { Ranges } from './ranges.ts';
import { eachReference, sameReferences } from './references.ts';
import type { Kind } from './resources/index.ts';
import { SortedMap } from './sorted.ts';

/**
 * The number of an IPv4 or IPv6 address. Both lie on one line: no IPv6 address in use is below 2^32, where the
 * deprecated IPv4-compatible ones are (RFC 4291, 2.5.5.1).
 */
export type Address = Ip['value'];

/** A table of holders: the path that has a value to itself. */
export type Holders<V> = Table<V, Path>;

/** Kinds that a tenant's quota bounds, and where it says by how many. */
export const quotaFields = {
  network: 'networks',
  port: 'ports',
  rule: 'rules',
  'public-ip': 'publicIps',
} as const satisfies Partial<Record<Kind, string>>;

export type Counted = keyof typeof quotaFields;

export class State implements View {
  readonly resources = new Map<Path, Resource>();
  /** Resources of a collection (`tenants/acme/networks`) by name. */
  readonly collections = new Map<string, SortedMap<string, Resource>>();
  readonly numbers = new Map<number, Path>();
  /** Who names a path. */
  readonly naming = new Map<Path, Table<Path, true>>();
  /** MACs by tenant: of ports, and of the routers of tiers. */
  readonly macs = new Map<Path, Holders<number>>();
  /**
   * MACs of allowed address pairs by tenant, which several ports of a tier may share: path of the tier by
   * `MAC PORT PATH`.
   */
  readonly sharedMacs = new Map<Path, SortedMap<string, Path>>();
  /** Addresses by network: of ports, and of the gateways of tiers. */
  readonly addresses = new Map<Path, SortedMap<Address, Path>>();
  /** Which addresses of a tier are not to be chosen, of each IP version; see free-addresses.ts. */
  readonly taken: Readonly<Record<Ip['family'], Map<Path, Table<number, number>>>> = { 4: new Map(), 6: new Map() };
  /** Tiers of a network by the first address of each prefix they have. No two overlap. */
  readonly prefixes = new Map<Path, SortedMap<Address, Path>>();
  /** Allowed address pairs of ports by network. Several ports may have the same. */
  readonly pairs = new PrefixIndex();
  /** Destinations of static routes by network. */
  readonly destinations = new PrefixIndex();
  /** Next hops of static routes by network. */
  readonly nextHops = new PrefixIndex();
  /** Networks a network is peered with, and by which peering. */
  readonly peers = new Map<Path, Holders<Path>>();
  readonly ifaceIds = new Map<string, Path>();
  readonly systemIds = new Map<string, Path>();
  /** Ranges of a tier that no port gets, by tier. */
  readonly reserved = new Map<Path, Ranges>();
  /** Addresses and MACs of ports straight on a provider network, by that. */
  readonly providerAddresses = new Map<Path, SortedMap<number, Path>>();
  readonly providerMacs = new Map<Path, Holders<number>>();
  /** Pools by provider network and first address. No two of one overlap. */
  readonly poolsOn = new Map<Path, SortedMap<number, Path>>();
  /** Pools by name: those open to a tenant by its path, those open to all under ''. */
  readonly openPools = new Map<Path, SortedMap<string, Path>>();
  /** Public addresses by pool. */
  readonly publicAddresses = new Map<Path, SortedMap<number, Path>>();
  /** Which addresses of each range of a pool are taken, by `POOL FIRST`; see free-addresses.ts. */
  readonly poolWords = new Map<string, Table<number, number>>();
  /** Ports forwarded, by `PUBLIC IP PROTOCOL`. */
  readonly forwards = new Map<string, Ranges>();
  /** The static NAT rule of a public address, and all its other rules. */
  readonly statics = new Map<Path, Path>();
  readonly otherRules = new Map<Path, Table<Path, true>>();
  /** Source NAT rules by network and name of the tier, '' for the whole network. */
  readonly sources = new Map<Path, Holders<string>>();
  /** VLANs by physical network that provider networks and attachments have; a flat provider network has 0. */
  readonly vlans = new Map<string, SortedMap<number, Path>>();
  /** VLANs of trunks by physical network. */
  readonly trunks = new Map<string, Ranges>();

  /** How many resources of a kind that is counted lie in a tenant, by kind and path. */
  readonly held = new Map<string, number>();

  get(path: Path): Resource | undefined {
    return this.resources.get(path);
  }

  getAs<K extends Kind>(kind: K, path: Path): Resource<K> | undefined {
    const resource = this.resources.get(path);
    return resource?.kind === kind ? (resource as Resource<K>) : undefined;
  }

  *children<K extends Kind>(kind: K, parent: Path): Generator<Resource<K>, void, undefined> {
    const collection = this.collections.get(collectionPath(kind, parent));
    if (collection !== undefined) yield* collection.values() as Iterable<Resource<K>>;
  }

  count(kind: Kind, parent: Path): number {
    return this.collections.get(collectionPath(kind, parent))?.size ?? 0;
  }

  /** How many resources of the kind a tenant has in all. */
  heldBy(kind: Counted, tenant: Path): number {
    return this.held.get(`${kind} ${tenant}`) ?? 0;
  }

  portByIfaceId(ifaceId: string): Resource<'port'> | undefined {
    const path = this.ifaceIds.get(ifaceId);
    return path === undefined ? undefined : this.getAs('port', path);
  }

  *referrers(path: Path): Generator<Resource, void, undefined> {
    const naming = this.naming.get(path) as Map<Path, true> | undefined;
    if (naming !== undefined) for (const referrer of naming.keys()) yield this.resources.get(referrer)!;
  }

  byNumber(number: number): Resource | undefined {
    const path = this.numbers.get(number);
    return path === undefined ? undefined : this.resources.get(path);
  }

  *portsPaired(network: Path, prefix: IpPrefix): Generator<Resource<'port'>, void, undefined> {
    for (const path of this.pairs.same(network, prefix)) yield this.getAs('port', path)!;
  }

  portByIp(network: Path, ip: Ip): Resource<'port'> | undefined {
    const holder = this.addresses.get(network)?.get(ip.value);
    return holder === undefined ? undefined : this.getAs('port', holder);
  }

  publicIpByAddress(pool: Path, address: number): Resource<'public-ip'> | undefined {
    const path = this.publicAddresses.get(pool)?.get(address);
    return path === undefined ? undefined : this.getAs('public-ip', path);
  }

  *natRulesOf(publicIp: Path): Generator<Resource<'nat-rule'>, void, undefined> {
    for (const referrer of this.referrers(publicIp)) if (referrer.kind === 'nat-rule') yield referrer;
  }

  *routesVia(network: Path, ip: Ip): Generator<Resource<'route'>, void, undefined> {
    for (const path of this.nextHops.same(network, hostPrefix(ip))) yield this.getAs('route', path)!;
  }

  /** Resources of a collection in the order of their names, those after a name only. */
  *after<K extends Kind>(kind: K, parent: Path, name: string | undefined): Generator<Resource<K>, void, undefined> {
    const collection = this.collections.get(collectionPath(kind, parent));
    if (collection !== undefined) yield* collection.values(name) as Iterable<Resource<K>>;
  }

  /** Every child of whatever kind. */
  *childrenOfAnyKind(resource: Resource): Generator<Resource, void, undefined> {
    for (const kind of kindsUnder(resource.kind)) yield* this.children(kind, resource.path);
  }

  /** A reference that was left out and chosen only now. */
  addReference(log: Log, from: Path, to: Path): void {
    log.writeIn(this.naming, to, newMap, from, true);
  }

  /** Puts the resource in its collection, or takes it out, and keeps the index of who names whom. */
  write(log: Log, before: Resource | undefined, after: Resource | undefined): void {
    const { path, kind, parent, name, number } = (after ?? before)!;
    log.write(this.resources, path, after);
    log.writeIn(this.collections, collectionPath(kind, parent), () => new SortedMap(), name, after);
    log.write(this.numbers, number, after === undefined ? undefined : path);
    if (kind in quotaFields && (before === undefined) !== (after === undefined)) {
      const tenant = tenantOf(path)!;
      const held = this.heldBy(kind as Counted, tenant) + (before === undefined ? 1 : -1);
      log.write(this.held, `${kind} ${tenant}`, held === 0 ? undefined : held);
    }
    if (before !== undefined && after !== undefined && sameReferences(kind, before.spec, after.spec)) return;
    const named = new Set<Path>();
    if (after !== undefined) eachReference(kind, path, after.spec, (target) => named.add(target));
    if (before !== undefined)
      eachReference(kind, path, before.spec, (target) => {
        if (!named.has(target)) log.writeIn(this.naming, target, newMap, path, undefined);
      });
    for (const target of named) log.writeIn(this.naming, target, newMap, path, true);
  }
}

export function newMap<K, V>(): Map<K, V> {
  return new Map();
}
