/**
 * The whole model in memory with its indexes. It is written through a Log only, so that what is not durable can be taken
 * back. Judging is not its business: that is what stage.ts and checks/ do.
 */
import type { Log, Table } from './log.ts';
import type { Path, Resource, View } from './model.ts';
import { collectionPath, kindsUnder } from './path.ts';
import { eachReference, sameReferences } from './references.ts';
import type { Kind } from './resources/index.ts';
import { SortedMap } from './sorted.ts';

/** A table of holders: the path that has a value to itself. */
export type Holders<V> = Table<V, Path>;

export class State implements View {
  readonly resources = new Map<Path, Resource>();
  /** Resources of a collection (`tenants/acme/networks`) by name. */
  readonly collections = new Map<string, SortedMap<string, Resource>>();
  readonly numbers = new Map<number, Path>();
  /** Who names a path. */
  readonly naming = new Map<Path, Table<Path, true>>();
  /** MACs by tenant: of ports, and of the routers of tiers. */
  readonly macs = new Map<Path, Holders<number>>();
  /** IPv4 addresses by network: of ports, and of the gateways of tiers. */
  readonly addresses = new Map<Path, Holders<number>>();
  /** Which addresses of a tier are taken. */
  readonly taken = new Map<Path, Table<number, number>>();
  /** Tiers of a network by the first address of their prefix. No two overlap. */
  readonly prefixes = new Map<Path, SortedMap<number, Path>>();
  readonly ifaceIds = new Map<string, Path>();
  readonly systemIds = new Map<string, Path>();

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

  /** Resources of a collection in the order of their names, those after a name only. */
  *after<K extends Kind>(kind: K, parent: Path, name: string | undefined): Generator<Resource<K>, void, undefined> {
    const collection = this.collections.get(collectionPath(kind, parent));
    if (collection !== undefined) yield* collection.values(name) as Iterable<Resource<K>>;
  }

  /** Every child of whatever kind. */
  *childrenOfAnyKind(resource: Resource): Generator<Resource, void, undefined> {
    for (const kind of kindsUnder(resource.kind)) yield* this.children(kind, resource.path);
  }

  /** Puts the resource in its collection, or takes it out, and keeps the index of who names whom. */
  write(log: Log, before: Resource | undefined, after: Resource | undefined): void {
    const { path, kind, parent, name, number } = (after ?? before)!;
    log.write(this.resources, path, after);
    log.writeIn(this.collections, collectionPath(kind, parent), () => new SortedMap(), name, after);
    log.write(this.numbers, number, after === undefined ? undefined : path);
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
