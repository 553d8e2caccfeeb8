/**
 * Persistent ids that reach switches. Those never used come first, in ascending order, as long as not too many are freed;
 * then the least recently freed, and no freed id before its holders have let go of it, which the caller knows (`releasable`).
 *
 *     ids/POOL/next             the lowest id never used
 *     ids/POOL/freed/SEQUENCE   {"id":N}: freed and not given out again; the entry's revision is when, `by` who had it
 *
 * The state is in memory; each transaction yields the writes that go into the commit of the intent that needs the id.
 */
import { Problem } from '../problems.ts';
import type { Entry, Store } from './store.ts';

export type IdRange = {
  first: number;
  last: number;
  /** False: a counter. */
  reused: boolean;
  /** Who needs an id chooses it: unused are those that are neither freed nor in use, which the caller knows. */
  chosen?: true;
  /** How many freed ids are left alone while there are unused ones: each is a record. The usual number when left out. */
  spare?: number;
};

/** An id rests for as many frees before it is given out again, where the pool is that large. */
const usualSpare = 16_384;

/** Whether everybody who may have held an id freed at this revision has let go of it; then so have those of all earlier ones. */
export type Releasable = (freedAtRevision: number) => boolean;

const ranges: Readonly<Record<string, IdRange>> = {
  // The GRE key: 24 bits, so that it fits a VXLAN or Geneve network identifier too.
  'tenant-key': { first: 1, last: 2 ** 24 - 1, reused: true },
  'network-number': { first: 1, last: 2 ** 24 - 1, reused: true },
  'tier-number': { first: 1, last: 2 ** 24 - 1, reused: true },
  'rule-id': { first: 1, last: 2 ** 32 - 2, reused: true },
  'hypervisor-number': { first: 1, last: 65_534, reused: true },
  'resource-number': { first: 1, last: 2 ** 40 - 1, reused: false },
};

/** Conntrack zones of one hypervisor, pool `zone/NUMBER`; the lower ones are left to others on the host. */
const zones: IdRange = { first: 1024, last: 65_535, reused: true };

/** VLANs of a physical network (IEEE 802.1Q), pool `vlan/NAME`. */
const vlans: IdRange = { first: 1, last: 4094, reused: true, chosen: true };

export function vlanPool(physicalNetwork: string): string {
  return `vlan/${encodeURIComponent(physicalNetwork)}`;
}

/** Public addresses of a provider network (IPv4 as numbers), pool `public/PHYSICAL NETWORK/VLAN`, 0 for an untagged one. */
const addresses: IdRange = { first: 1, last: 2 ** 32 - 1, reused: true, chosen: true };

export function publicPool(physicalNetwork: string, vlan = 0): string {
  return `public/${encodeURIComponent(physicalNetwork)}/${vlan}`;
}

export function zonePool(hypervisor: number): string {
  return `zone/${hypervisor}`;
}

const families: readonly [names: RegExp, range: IdRange][] = [
  [/^zone\/\d+$/, zones],
  [/^vlan\/[^/]+$/, vlans],
  [/^public\/[^/]+\/\d+$/, addresses],
];

/** @throws RangeError for a pool there is not. */
export function idRange(pool: string): IdRange {
  const range = ranges[pool] ?? families.find(([names]) => names.test(pool))?.[1];
  if (range === undefined) throw new RangeError(`There is no pool ${pool}`);
  return range;
}

const prefix = 'ids/';
const nextKey = (pool: string) => `${prefix}${pool}/next`;
const freedKey = (pool: string, sequence: number) => `${prefix}${pool}/freed/${String(sequence).padStart(12, '0')}`;

/** Revision undefined: freed by a transaction that is not durable yet. */
type Freed = { id: number; sequence: number; revision: number | undefined; by: number | undefined };

class Pool {
  readonly name: string;
  readonly range: IdRange;
  next: number;
  /** Least recently freed first, from `head`. */
  freed: Freed[] = [];
  head = 0;
  readonly freedIds = new Set<number>();
  sequence = 0;

  constructor(name: string, range: IdRange) {
    this.name = name;
    this.range = range;
    this.next = range.chosen === true ? range.last + 1 : range.first;
  }

  holds(id: number): boolean {
    return id >= this.range.first && id < this.next && !this.freedIds.has(id);
  }

  push(freed: Freed): void {
    this.freed.push(freed);
    this.freedIds.add(freed.id);
    this.sequence = freed.sequence + 1;
  }

  pop(): void {
    const { id, sequence } = this.freed.pop()!;
    this.freedIds.delete(id);
    this.sequence = sequence;
  }

  shift(): Freed {
    const freed = this.freed[this.head++]!;
    this.freedIds.delete(freed.id);
    if (this.head >= 64 && this.head * 2 >= this.freed.length) {
      this.freed = this.freed.slice(this.head);
      this.head = 0;
    }
    return freed;
  }

  /** Where it is among the freed ones, least recently freed first. */
  placeOf(fits: (id: number) => boolean): number {
    for (let at = this.head; at < this.freed.length; at++) if (fits(this.freed[at]!.id)) return at - this.head;
    return -1;
  }

  at(place: number): Freed {
    return this.freed[this.head + place]!;
  }

  remove(place: number): void {
    const [freed] = this.freed.splice(this.head + place, 1);
    this.freedIds.delete(freed!.id);
  }

  insert(place: number, freed: Freed): void {
    this.freed.splice(this.head + place, 0, freed);
    this.freedIds.add(freed.id);
  }

  unshift(freed: Freed): void {
    if (this.head > 0) this.freed[--this.head] = freed;
    else this.freed.unshift(freed);
    this.freedIds.add(freed.id);
  }
}

export class IdPools {
  readonly #pools = new Map<string, Pool>();
  readonly #range: (pool: string) => IdRange;
  /** Neither durable nor rolled back, oldest first; durable ones between them are pruned with those before. */
  readonly #open: IdTransaction[] = [];

  /** @param entries What lies under `ids/`, sorted by key. */
  constructor(entries: Iterable<Entry>, range: (pool: string) => IdRange = idRange) {
    this.#range = range;
    for (const { key, value, revision } of entries) {
      const [, name, sequence] = /^ids\/(.+)\/(?:next|freed\/(\d+))$/.exec(key) ?? [];
      if (name === undefined) throw new Error(`${key} is no record of an id pool`);
      const pool = this.#pool(name);
      if (sequence === undefined) pool.next = Number(value);
      else {
        const { id, by } = JSON.parse(value) as { id: number; by?: number };
        pool.push({ id, sequence: Number(sequence), revision, by });
      }
    }
  }

  static async load(store: Store, range?: (pool: string) => IdRange): Promise<IdPools> {
    return new IdPools((await store.list(prefix)).entries, range);
  }

  /**
   * Transactions may follow each other before the first is durable, as commits do: each is filled and handed to the
   * store before the next begins. Each must be settled, by `commit` or `rollback`.
   */
  begin(): IdTransaction {
    const transaction: IdTransaction = new IdTransaction({
      pool: (name) => this.#pool(name),
      dropped: (name) => {
        const pool = this.#pool(name);
        this.#pools.delete(name);
        return () => this.#pools.set(name, pool);
      },
      newest: () => this.#open.at(-1) === transaction,
      committed: () => this.#prune(),
      rollBack: () => this.#rollBack(transaction),
    });
    this.#open.push(transaction);
    return transaction;
  }

  /** Whether the id is given out. */
  holds(pool: string, id: number): boolean {
    return this.#pool(pool).holds(id);
  }

  /** How many are given out. */
  live(pool: string): number {
    const { next, range, freedIds } = this.#pool(pool);
    return next - range.first - freedIds.size;
  }

  /** Freed and not given out again, least recently freed first. Revision undefined: not durable yet. */
  *retired(pool: string): Generator<{ id: number; revision: number | undefined }, void, void> {
    const { freed, head } = this.#pool(pool);
    for (let at = head; at < freed.length; at++) yield { id: freed[at]!.id, revision: freed[at]!.revision };
  }

  #pool(name: string): Pool {
    let pool = this.#pools.get(name);
    if (pool === undefined) {
      pool = new Pool(name, this.#range(name));
      this.#pools.set(name, pool);
    }
    return pool;
  }

  #prune(): void {
    const unsettled = this.#open.findIndex(({ state }) => state === 'open');
    this.#open.splice(0, unsettled < 0 ? this.#open.length : unsettled);
  }

  #rollBack(transaction: IdTransaction): void {
    const from = this.#open.indexOf(transaction);
    const undone = this.#open.slice(from);
    if (undone.some(({ state }) => state === 'committed')) {
      throw new Error('A transaction cannot be rolled back once a later one is durable');
    }
    for (const one of undone.reverse()) one.undo();
    this.#open.splice(from);
  }
}

type Owner = {
  pool(name: string): Pool;
  /** Forgets the pool. Returns how to bring it back. */
  dropped(name: string): () => void;
  newest(): boolean;
  committed(): void;
  rollBack(): void;
};

/** What one commit does to the pools. It is seen at once by what follows, and undone without a trace by `rollback`. */
export class IdTransaction {
  readonly #owner: Owner;
  readonly #put = new Map<string, string>();
  readonly #delete = new Set<string>();
  readonly #freed: Freed[] = [];
  readonly #undo: (() => void)[] = [];
  #state: 'open' | 'committed' | 'rolled back' = 'open';

  constructor(owner: Owner) {
    this.#owner = owner;
  }

  get state(): 'open' | 'committed' | 'rolled back' {
    return this.#state;
  }

  /** O(1). @throws Problem `ids.exhausted`. */
  allocate(name: string, releasable: Releasable): number {
    const pool = this.#pool(name);
    const { spare = usualSpare } = pool.range;
    const enough = pool.freedIds.size > spare ? this.#takeFreed(pool, releasable) : undefined;
    if (enough !== undefined) return enough;
    const id = pool.next <= pool.range.last ? this.#takeNew(pool) : this.#takeFreed(pool, releasable);
    if (id !== undefined) return id;
    const { first, last } = pool.range;
    const waiting = pool.freedIds.size;
    throw new Problem(
      'ids.exhausted',
      `${name}: of ${last - first + 1} ids ${last - first + 1 - waiting} are in use and ${waiting} are freed, ` +
        'which hypervisors have yet to confirm.',
    );
  }

  /**
   * Takes an id of a pool whose ids are chosen. O(freed)
   * @returns false: somebody who held it has yet to let go of it, and it was another's than `by`
   */
  claim(name: string, id: number, releasable: Releasable, by?: number): boolean {
    const pool = this.#chosenPool(name);
    if (id < pool.range.first || id > pool.range.last) throw new RangeError(`${id} is no id of ${name}`);
    if (!pool.freedIds.has(id)) return true;
    const place = pool.placeOf((one) => one === id);
    const isBack = by !== undefined && pool.at(place).by === by;
    return this.#takeAt(pool, place, isBack ? undefined : releasable);
  }

  /** The least recently freed id that fits, where everybody has let go of it. O(freed) */
  claimFreed(name: string, fits: (id: number) => boolean, releasable: Releasable): number | undefined {
    const pool = this.#chosenPool(name);
    const place = pool.placeOf(fits);
    if (place < 0) return undefined;
    const { id } = pool.at(place);
    return this.#takeAt(pool, place, releasable) ? id : undefined;
  }

  /** How many were freed and have not been given out again since. */
  freedIn(name: string): number {
    return this.#pool(name).freedIds.size;
  }

  /** Whether it was freed and has not been given out again since. */
  isFreed(name: string, id: number): boolean {
    return this.#pool(name).freedIds.has(id);
  }

  /** The next number of a counter. @throws Problem `ids.exhausted`. */
  next(name: string): number {
    return this.allocate(name, () => false);
  }

  /** @param by who had it, and may have it back at once. @throws Error for an id that is not given out, or of a counter. */
  free(name: string, id: number, by?: number): void {
    const pool = this.#pool(name);
    if (!pool.range.reused) throw new Error(`${name} is a counter: its numbers are never freed`);
    if (!pool.holds(id)) throw new Error(`${id} of ${name} is not given out`);
    const freed: Freed = { id, sequence: pool.sequence, revision: undefined, by };
    pool.push(freed);
    this.#freed.push(freed);
    this.#write(freedKey(name, freed.sequence), JSON.stringify({ id, by }));
    this.#undo.push(() => pool.pop());
  }

  /** The pool is as if it had never been: for one whose ids only its late owner knew, a hypervisor's zones say. O(freed). */
  drop(name: string): void {
    const { freed, head } = this.#pool(name);
    for (const { sequence } of freed.slice(head)) this.#erase(freedKey(name, sequence));
    this.#erase(nextKey(name));
    this.#undo.push(this.#owner.dropped(name));
  }

  /** What the commit must write beside its own. Keys are under `ids/`. */
  writes(): { put: ReadonlyMap<string, string>; delete: readonly string[] } {
    return { put: this.#put, delete: [...this.#delete] };
  }

  /** The store has made it durable. */
  commit(revision: number): void {
    if (this.#state !== 'open') throw new Error(`The transaction is ${this.#state}`);
    for (const freed of this.#freed) freed.revision = revision;
    this.#state = 'committed';
    this.#owner.committed();
  }

  /**
   * Undoes it, and what was begun after it: that was built on it, and the store refuses it with it. Does nothing when
   * that has happened already.
   */
  rollback(): void {
    if (this.#state === 'committed') throw new Error('The transaction is committed');
    if (this.#state === 'open') this.#owner.rollBack();
  }

  /** For IdPools: newest transaction first. */
  undo(): void {
    for (const step of this.#undo.reverse()) step();
    this.#state = 'rolled back';
  }

  #pool(name: string): Pool {
    if (this.#state !== 'open') throw new Error(`The transaction is ${this.#state}`);
    if (!this.#owner.newest()) throw new Error('A later transaction has begun');
    return this.#owner.pool(name);
  }

  #chosenPool(name: string): Pool {
    const pool = this.#pool(name);
    if (pool.range.chosen !== true) throw new Error(`The ids of ${name} are not chosen`);
    return pool;
  }

  #takeAt(pool: Pool, place: number, releasable: Releasable | undefined): boolean {
    const freed = pool.at(place);
    if (releasable !== undefined && (freed.revision === undefined || !releasable(freed.revision))) return false;
    pool.remove(place);
    this.#erase(freedKey(pool.name, freed.sequence));
    this.#undo.push(() => pool.insert(place, freed));
    return true;
  }

  #takeNew(pool: Pool): number {
    const id = pool.next++;
    this.#write(nextKey(pool.name), String(pool.next));
    this.#undo.push(() => {
      pool.next--;
    });
    return id;
  }

  /** The oldest alone is asked: while it is not releasable, none freed after it is. */
  #takeFreed(pool: Pool, releasable: Releasable): number | undefined {
    const oldest = pool.freed[pool.head];
    if (oldest?.revision === undefined || !releasable(oldest.revision)) return undefined;
    pool.shift();
    this.#erase(freedKey(pool.name, oldest.sequence));
    this.#undo.push(() => pool.unshift(oldest));
    return oldest.id;
  }

  #write(key: string, value: string): void {
    this.#delete.delete(key);
    this.#put.set(key, value);
  }

  #erase(key: string): void {
    this.#put.delete(key);
    this.#delete.add(key);
  }
}
