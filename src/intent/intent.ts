/**
 * Intent: everything that somebody asked for. Transactions that wait are taken together: each is staged and judged on
 * the model in memory, all are taken back at once, written to the store in one sync, and done again when durable; so
 * that nobody ever sees what might still be lost. The cost of a transaction is in proportion to what it touches.
 */
import { randomUUID } from 'node:crypto';
import { Problem } from '../problems.ts';
import { IdPools } from '../store/ids.ts';
import type { CommitResult, Store } from '../store/store.ts';
import { checkKey, checkValue } from '../store/validity.ts';
import { builtInOfferings, isOutdated } from './built-in.ts';
import type { Ip, IpPrefix } from './ip.ts';
import { loadState } from './load.ts';
import type { Commit, Path, Resource, ResourceChange, View } from './model.ts';
import { formatPath } from './path.ts';
import { rangesOf, sizeOf } from './ranges.ts';
import { encodeRecord, keyOf, resourcePrefix } from './records.ts';
import type { Operation } from './requests.ts';
import type { Kind } from './resources/index.ts';
import { type Outcome, type Staged, type Surroundings, stage } from './stage.ts';
import type { Counted, State } from './state.ts';

export type { Operation } from './requests.ts';
export type { Outcome } from './stage.ts';

export type IntentOptions = {
  /** Whether every switch that held an id freed at this revision has acknowledged its removal; never when left out. */
  releasable?(freedAtRevision: number): boolean;
  /** Milliseconds since the epoch. */
  now?(): number;
  newUid?(): string;
  /** Bytes of an IP packet that the underlay and the encapsulation leave room for; 1458 unless told: GRE on 1500. */
  largestMtu?: number;
  /** Told what a listener threw; without it, a warning of the process. */
  onError?(error: unknown): void;
};

export type TransactOptions = {
  /** Tells what would change, and changes nothing. */
  dryRun?: boolean;
  /** In a dry run: called while the changes are staged in this model, which is then as it would be. Must not throw. */
  whileStaged?(changes: readonly ResourceChange[]): void;
  /** Further records of the same commit, which will have this revision and these changes. */
  extraWrites?(revision: number, changes: readonly ResourceChange[]): ReadonlyMap<string, string>;
  /** The caller may set what tenants do not see. */
  restrictedAllowed?: boolean;
  /** The request holds many resources, each with a spec of its own; when left out, if there is more than one operation. */
  many?: boolean;
};

export type Result = {
  /** Of the commit; when nothing changed, of the last change of intent. */
  revision: number;
  /** In the order of the operations. In a dry run what would be new has revision 0. */
  outcomes: Outcome[];
};

export type PageOptions = {
  /** Resources at most. */
  limit: number;
  /** Name the page begins behind. */
  after?: string;
  filter?(resource: Resource): boolean;
};

export type Page<K extends Kind = Kind> = {
  /** The feed goes on from here. */
  revision: number;
  items: Resource<K>[];
  /** There are further ones behind the last. */
  more: boolean;
};

type Waiting = {
  operations: readonly Operation[];
  options: TransactOptions;
  resolve(result: Result): void;
  reject(error: unknown): void;
};

/** A transaction of a batch: to be written, or answered once those before it are durable. */
type Taken = Waiting & { write?: Write; answer?(): void };

type Write = { staged: Staged; put: Map<string, string>; delete: string[]; expect: Map<string, number> };

type Written = { result: CommitResult } | { error: unknown };

/** Milliseconds of staging before what is staged is written and others get their turn. */
const batchTime = 10;

export class Intent implements View {
  readonly #store: Store;
  readonly #state: State;
  readonly #now: () => number;
  readonly #onError: (error: unknown) => void;
  readonly #surroundings: Surroundings;
  readonly #listeners = new Set<(commit: Commit) => void>();
  readonly #queue: Waiting[] = [];
  #running: Promise<void> | undefined;
  #revision: number;
  /** While a batch is on its way to the disk: the revision up to which the model is certainly complete. */
  #complete: number | undefined;
  /** Memory and disk have parted: nothing more is written. */
  #fault: Problem | undefined;

  private constructor(store: Store, state: State, pools: IdPools, revision: number, options: IntentOptions) {
    this.#store = store;
    this.#state = state;
    this.#revision = revision;
    this.#now = options.now ?? Date.now;
    this.#onError =
      options.onError ?? ((error) => process.emitWarning(error instanceof Error ? error : new Error(String(error))));
    this.#surroundings = {
      now: this.#now,
      newUid: options.newUid ?? randomUUID,
      largestMtu: options.largestMtu ?? 1_458,
      pools,
      releasable: (freedAtRevision) => options.releasable?.(freedAtRevision) ?? false,
    };
  }

  /** Loads the model and makes the built-in offerings; those of an earlier version nobody has replaced are renewed. @throws Problem `store.unavailable` */
  static async open(store: Store, options: IntentOptions = {}): Promise<Intent> {
    const pools = await IdPools.load(store);
    const { revision, entries } = await store.list(resourcePrefix);
    const intent = new Intent(store, loadState(entries), pools, revision, options);
    const missing = Object.entries(builtInOfferings)
      .map(([name, spec]) => ({ path: formatPath('offering', '', name), spec }))
      .map(({ path, spec }) => ({ path, spec, there: intent.getAs('offering', path) }))
      .filter(({ there }) => there === undefined || isOutdated(there.name, there.spec))
      .map(({ path, spec, there }): Operation => ({ op: 'put', path, spec, labels: { ...there?.labels } }));
    if (missing.length > 0) await intent.transact(missing, { restrictedAllowed: true });
    return intent;
  }

  /** Of the last change of intent in this model. */
  get revision(): number {
    return this.#revision;
  }

  /**
   * All operations, in any order, or none. Resolves when durable, in the model and told to the listeners.
   * @throws Problem with every error there is; `store.unavailable` when the disk refuses, and nothing has changed then
   */
  transact(operations: readonly Operation[], options: TransactOptions = {}): Promise<Result> {
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    this.#queue.push({ operations, options, resolve, reject });
    this.#running ??= this.#run();
    return promise;
  }

  /** Called for every durable change, in order. Returns the unsubscriber. */
  onCommit(listener: (commit: Commit) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Resources of one kind under a parent ('' for the top level), sorted by name. Costs what it looks at. */
  page<K extends Kind>(kind: K, parent: Path, { limit, after, filter }: PageOptions): Page<K> {
    const items: Resource<K>[] = [];
    let more = false;
    for (const resource of this.#state.after(kind, parent, after)) {
      if (filter !== undefined && !filter(resource)) continue;
      more = items.length === limit;
      if (more) break;
      items.push(resource);
    }
    // What others have written since is no change of intent, and the log may reach back no further than to that.
    return { revision: this.#complete ?? this.#store.revision, items, more };
  }

  get(path: Path): Resource | undefined {
    return this.#state.get(path);
  }

  getAs<K extends Kind>(kind: K, path: Path): Resource<K> | undefined {
    return this.#state.getAs(kind, path);
  }

  children<K extends Kind>(kind: K, parent: Path): Iterable<Resource<K>> {
    return this.#state.children(kind, parent);
  }

  count(kind: Kind, parent: Path): number {
    return this.#state.count(kind, parent);
  }

  /** How many resources of the kind a tenant has in all. */
  heldBy(kind: Counted, tenant: Path): number {
    return this.#state.heldBy(kind, tenant);
  }

  portByIfaceId(ifaceId: string): Resource<'port'> | undefined {
    return this.#state.portByIfaceId(ifaceId);
  }

  referrers(path: Path): Iterable<Resource> {
    return this.#state.referrers(path);
  }

  byNumber(number: number): Resource | undefined {
    return this.#state.byNumber(number);
  }

  portsPaired(network: Path, prefix: IpPrefix): Iterable<Resource<'port'>> {
    return this.#state.portsPaired(network, prefix);
  }

  portByIp(network: Path, ip: Ip): Resource<'port'> | undefined {
    return this.#state.portByIp(network, ip);
  }

  routesVia(network: Path, ip: Ip): Iterable<Resource<'route'>> {
    return this.#state.routesVia(network, ip);
  }

  publicIpByAddress(pool: Path, address: number): Resource<'public-ip'> | undefined {
    return this.#state.publicIpByAddress(pool, address);
  }

  natRulesOf(publicIp: Path): Iterable<Resource<'nat-rule'>> {
    return this.#state.natRulesOf(publicIp);
  }

  /** Addresses of a pool that are given out, and that are left. Costs the ranges it has. */
  poolUse(pool: Resource<'ip-pool'>): { used: number; free: number } {
    const used = this.#state.publicAddresses.get(pool.path)?.size ?? 0;
    return { used, free: rangesOf(pool.spec).reduce((sum, range) => sum + sizeOf(range), 0) - used };
  }

  async #run(): Promise<void> {
    // Whoever calls in the same turn is taken together.
    await Promise.resolve();
    while (this.#queue.length > 0) await this.#batch();
    this.#running = undefined;
  }

  async #batch(): Promise<void> {
    this.#complete = this.#store.revision;
    const taken = this.#stageWaiting();
    for (const { write } of taken.toReversed()) write?.staged.log.undo();
    // All calls in one turn: the store shares one sync, and gives the revisions that staging reckoned with.
    const writes = taken.map(({ write }) => write && this.#commit(write));
    let lost: unknown;
    const again: Waiting[] = [];
    for (const [i, transaction] of taken.entries()) {
      const written = await writes[i];
      if (written === undefined) {
        // What it was judged by is not to be: it is judged anew.
        if (lost === undefined) transaction.answer!();
        else again.push(transaction);
      } else if ('result' in written && written.result.ok && lost === undefined && this.#fault === undefined) {
        transaction.resolve(this.#done(transaction.write!.staged, written.result.revision));
      } else {
        lost = 'error' in written ? written.error : this.#part(written.result);
        // Together with those after it, which the store refuses too.
        transaction.write!.staged.ids?.rollback();
        transaction.reject(lost);
      }
    }
    this.#complete = undefined;
    this.#queue.unshift(...again);
  }

  /** Stages transactions on top of each other; what fails, or writes nothing, is answered later. */
  #stageWaiting(): Taken[] {
    const taken: Taken[] = [];
    const end = performance.now() + batchTime;
    let revision = this.#store.next;
    let waiting = this.#queue.shift();
    while (waiting !== undefined) {
      const { operations, options, resolve, reject } = waiting;
      try {
        if (this.#fault !== undefined) throw this.#fault;
        const many = options.many ?? operations.length > 1;
        const restrictedAllowed = options.restrictedAllowed ?? false;
        const staged = stage(this.#state, operations, this.#surroundings, { many, restrictedAllowed });
        const { outcomes } = staged;
        if (options.dryRun === true || staged.changes.length === 0) {
          try {
            if (options.dryRun === true) options.whileStaged?.(staged.changes);
          } finally {
            takeBack(staged);
          }
          taken.push({ ...waiting, answer: () => resolve({ revision: this.#revision, outcomes }) });
        } else taken.push({ ...waiting, write: this.#writeOf(staged, options, revision++) });
      } catch (error) {
        taken.push({ ...waiting, answer: () => reject(error) });
      }
      waiting = performance.now() < end ? this.#queue.shift() : undefined;
    }
    return taken;
  }

  /** @throws Problem `request.too-large` when the store takes no commit of that size; the transaction is undone then */
  #writeOf(staged: Staged, options: TransactOptions, revision: number): Write {
    try {
      const put = new Map<string, string>();
      const expect = new Map<string, number>();
      for (const { path, before } of staged.changes) {
        // What an earlier transaction of the batch has put has no revision yet.
        if (before?.revision !== 0) expect.set(keyOf(path), before?.revision ?? 0);
      }
      for (const resource of staged.puts) put.set(keyOf(resource.path), encodeRecord(resource));
      const ids = staged.ids?.writes();
      for (const [key, value] of ids?.put ?? []) put.set(key, value);
      for (const [key, value] of options.extraWrites?.(revision, staged.changes) ?? []) {
        if (put.has(key)) throw new TypeError(`${key} is written by the transaction itself`);
        checkKey(key);
        checkValue(key, value);
        put.set(key, value);
      }
      const deletes = [...staged.deletes.map(({ path }) => keyOf(path)), ...(ids?.delete ?? [])];
      const count = put.size + deletes.length;
      if (count > this.#store.limits.writes)
        throw new Problem(
          'request.too-large',
          `${count} writes in one transaction; ${this.#store.limits.writes} at most`,
        );
      return { staged, put, delete: deletes, expect };
    } catch (error) {
      takeBack(staged);
      throw error;
    }
  }

  #commit({ put, delete: deletes, expect }: Write): Promise<Written> {
    return this.#store.commit({ put, delete: deletes, expect }).then(
      (result) => ({ result }),
      (error: unknown) => ({ error }),
    );
  }

  /** Does the durable transaction again, for everybody to see. */
  #done(staged: Staged, revision: number): Result {
    // Nobody has seen these objects yet.
    for (const resource of staged.puts) (resource as { revision: number }).revision = revision;
    staged.log.redo();
    staged.ids?.commit(revision);
    this.#revision = revision;
    this.#complete = revision;
    const commit: Commit = { revision, at: this.#now(), changes: staged.changes };
    for (const listener of [...this.#listeners]) {
      try {
        listener(commit);
      } catch (error) {
        this.#onError(error);
      }
    }
    return { revision, outcomes: staged.outcomes };
  }

  /** The store says that records are not what the model holds them to be: going on would make it worse. */
  #part(result: CommitResult): Problem {
    const what = result.ok ? `revision ${result.revision} was committed after a failure` : result.conflicts.join(', ');
    this.#fault = new Problem('internal', `The model and the store have parted (${what}); restart the controller`);
    this.#onError(this.#fault);
    return this.#fault;
  }
}

/** Undoes the newest of the staged transactions. */
function takeBack(staged: Staged): void {
  staged.log.undo();
  staged.ids?.rollback();
}
