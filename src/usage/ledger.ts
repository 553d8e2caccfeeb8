/**
 * What every port and public address has used, and from which readings that was worked out. Counters begin anew where a
 * switch restarts or a VM moves; what is told here only grows. Each account and the readings behind it are written together,
 * so that nothing is counted twice, whenever the controller ends.
 *
 *     l/PATH UID               account of what there is
 *     f/TENANT/UNTIL/PATH UID  account of what was deleted then, UNTIL in milliseconds
 *     c/HYPERVISOR/COUNTER     last reading: COUNTER is pOFPORT, or aNUMBER.FLOW with the number of a public address
 */
import type { HypervisorNumber } from '../drivers/switch-plugin.ts';
import type { Path } from '../intent/model.ts';
import { tenantOf } from '../intent/path.ts';
import { add, type Baseline, type Counted, difference, isZero, nothing, type Reading, startedAnew } from './reading.ts';
import type { Batch, UsageStorage } from './storage.ts';

export type Metered = 'port' | 'public-ip';

export type Owner = {
  kind: Metered;
  path: Path;
  uid: string;
  /** Milliseconds since the epoch. */
  createdAt: number;
  /** The operator's own, of which a tenant knows nothing. */
  hidden?: boolean;
};

export type Account = Counted & {
  kind: Metered;
  path: Path;
  uid: string;
  /** When it was ordered, milliseconds since the epoch as all times here. */
  since: number;
  /** When its figures last changed. */
  at: number;
  /** When it was deleted. */
  until?: number;
  /** Not for tenants. */
  hidden?: true;
};

/** One counter of a switch. */
export type CounterName = `p${number}` | `a${number}.${string}`;

type Known = Baseline & {
  /** Readings are taken in the order in which they were asked for. */
  asked: number;
  /** When it was read, by the clock that is never set; undefined: before this run. */
  monotonic: number | undefined;
};

export type Clock = { now(): number /** Milliseconds, never set. */; monotonic(): number };

export const livePrefix = 'l/';
export const finalPrefix = 'f/';
const counterPrefix = 'c/';

/** Entries read at once. */
const atOnce = 5_000;
/** How long the last reading of a counter that belongs to nobody is remembered, milliseconds. */
const remembered = 3_600_000;

export class Ledger {
  readonly #clock: Clock;
  readonly #accounts = new Map<string, Account>();
  readonly #counters = new Map<HypervisorNumber, Map<CounterName, Known>>();
  #put = new Map<string, string>();
  /** Accounts and counters whose records are behind. */
  readonly #changed = new Set<Account>();
  readonly #read = new Map<string, Known>();
  readonly #gone = new Set<string>();
  /** uids of those that were deleted last. */
  readonly #ended = new Set<string>();
  #asked = 0;
  /** Counted since the start. */
  readonly total = nothing();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async load(storage: UsageStorage): Promise<void> {
    for await (const [, value] of everything(storage, livePrefix)) {
      const account = JSON.parse(value) as Account;
      this.#accounts.set(account.uid, account);
    }
    for await (const [key, value] of everything(storage, counterPrefix)) {
      const [, hypervisor = '', counter = ''] = key.split('/');
      const baseline = JSON.parse(value) as Baseline;
      this.#of(Number(hypervisor)).set(counter as CounterName, { ...baseline, asked: 0, monotonic: undefined });
    }
  }

  accounts(): Iterable<Account> {
    return this.#accounts.values();
  }

  get size(): number {
    return this.#accounts.size;
  }

  account(uid: string): Account | undefined {
    return this.#accounts.get(uid);
  }

  /** To be called where a reading is asked for, and given with it. */
  ask(): number {
    return ++this.#asked;
  }

  /** When the counter was last read for the owner in this run, by the monotonic clock. */
  readAt(hypervisor: HypervisorNumber, counter: CounterName, uid: string): number | undefined {
    const known = this.#counters.get(hypervisor)?.get(counter);
    return known?.uid === uid ? known.monotonic : undefined;
  }

  /** uids of those with a reading of such a counter there. */
  counters(hypervisor: HypervisorNumber): Iterable<[CounterName, Readonly<Known>]> {
    return this.#counters.get(hypervisor) ?? [];
  }

  take(owner: Owner, hypervisor: HypervisorNumber, counter: CounterName, reading: Reading, asked: number): void {
    // A reading that was under way while it was deleted.
    if (this.#ended.has(owner.uid)) return;
    const counters = this.#of(hypervisor);
    const before = counters.get(counter);
    if (before !== undefined && before.asked > asked) return;
    const [now, monotonic] = [this.#clock.now(), this.#clock.monotonic()];
    const known: Known = { ...reading, uid: owner.uid, at: now, asked, monotonic };
    const fresh = this.#fresh(owner, counter, before, reading, now, monotonic);
    counters.set(counter, known);
    const idle = isZero(fresh);
    if (!idle || before?.uid !== owner.uid) this.#read.set(counterKey(hypervisor, counter), known);
    const account = this.#accounts.get(owner.uid);
    if (account === undefined || !idle) this.#credit(account ?? this.#open(owner), fresh, now);
  }

  /** What of the reading is the owner's, and not counted yet. */
  #fresh(
    { uid, createdAt }: Owner,
    counter: CounterName,
    before: Known | undefined,
    reading: Reading,
    now: number,
    monotonic: number,
  ): Counted {
    if (before !== undefined) {
      const passed = before.monotonic === undefined ? now - before.at : monotonic - before.monotonic;
      if (!startedAnew(before, reading, passed / 1000))
        // An interface that went from one port to another: what lies between the two readings is left to neither.
        return before.uid === uid ? difference(reading, before) : nothing();
      if (before.uid === uid) return reading;
    }
    // Flows of a public address count for it alone; an interface may be older than the port that now has it.
    if (counter.startsWith('a')) return reading;
    if (reading.duration === undefined) return nothing();
    return now - reading.duration * 1000 >= createdAt - ageSlack ? reading : nothing();
  }

  #open({ kind, path, uid, createdAt, hidden }: Owner): Account {
    const account: Account = { kind, path, uid, since: createdAt, at: createdAt, ...nothing() };
    if (hidden === true) account.hidden = true;
    this.#accounts.set(uid, account);
    return account;
  }

  #credit(account: Account, fresh: Counted, now: number): void {
    if (!isZero(fresh)) account.at = now;
    add(account, fresh);
    add(this.total, fresh);
    this.#changed.add(account);
  }

  /** The switch has no such counter any more, and will begin at 0 if it gets one. */
  forget(hypervisor: HypervisorNumber, counter: CounterName): void {
    if (this.#counters.get(hypervisor)?.delete(counter) !== true) return;
    this.#drop(counterKey(hypervisor, counter));
  }

  /** Counters of ports that have long been nobody's. */
  tidy(hypervisor: HypervisorNumber): void {
    const now = this.#clock.now();
    for (const [counter, { at, monotonic }] of this.counters(hypervisor)) {
      const idle = monotonic === undefined ? now - at : this.#clock.monotonic() - monotonic;
      if (counter.startsWith('p') && idle > remembered) this.forget(hypervisor, counter);
    }
  }

  forgetHypervisor(hypervisor: HypervisorNumber): void {
    for (const [counter] of [...this.counters(hypervisor)]) this.forget(hypervisor, counter);
    this.#counters.delete(hypervisor);
  }

  /** The resource is deleted: its figures are final. */
  end(owner: Owner, until: number): void {
    const known = this.#accounts.get(owner.uid);
    // A port that was never bound has nothing to be told of.
    if (known === undefined && owner.kind === 'port') return;
    const account = known ?? this.#open(owner);
    this.#ended.add(owner.uid);
    if (this.#ended.size > endedRemembered)
      for (const uid of this.#ended) {
        this.#ended.delete(uid);
        break;
      }
    this.#accounts.delete(owner.uid);
    this.#changed.delete(account);
    const name = `${account.path} ${account.uid}`;
    this.#drop(livePrefix + name);
    this.#put.set(
      `${finalsOf(tenantOf(account.path) ?? '')}${time(until)}/${name}`,
      JSON.stringify({ ...account, until }),
    );
    if (owner.kind === 'public-ip') for (const h of this.#counters.keys()) this.keepFlows(h, owner.uid, new Set());
  }

  /** Counters of flows that count for it there, beside those named, are gone. */
  keepFlows(hypervisor: HypervisorNumber, uid: string, kept: ReadonlySet<CounterName>): void {
    for (const [counter, known] of this.counters(hypervisor))
      if (known.uid === uid && counter.startsWith('a') && !kept.has(counter)) this.forget(hypervisor, counter);
  }

  /** What has to be written; undefined: nothing. It is given back where it could not be. */
  takeBatch(): Batch | undefined {
    const put = this.#put;
    this.#put = new Map();
    for (const account of this.#changed)
      put.set(`${livePrefix}${account.path} ${account.uid}`, JSON.stringify(account));
    this.#changed.clear();
    for (const [key, known] of this.#read) put.set(key, record(known));
    this.#read.clear();
    const gone = [...this.#gone].filter((key) => !put.has(key));
    this.#gone.clear();
    return put.size === 0 && gone.length === 0 ? undefined : { put, delete: gone };
  }

  giveBack(batch: Batch): void {
    for (const key of batch.delete) if (!this.#put.has(key)) this.#gone.add(key);
    // What has changed since is written as it is by then; what was dropped since is not.
    for (const [key, value] of batch.put) if (!this.#put.has(key) && !this.#gone.has(key)) this.#put.set(key, value);
  }

  #drop(key: string): void {
    this.#put.delete(key);
    this.#read.delete(key);
    this.#gone.add(key);
  }

  #of(hypervisor: HypervisorNumber): Map<CounterName, Known> {
    let counters = this.#counters.get(hypervisor);
    if (counters === undefined) {
      counters = new Map();
      this.#counters.set(hypervisor, counters);
    }
    return counters;
  }
}

/** More than are read at once. */
const endedRemembered = 10_000;
/** How much older than the order of its port an interface may be to be counted from its beginning, milliseconds. */
const ageSlack = 2_000;

const counterKey = (hypervisor: HypervisorNumber, counter: CounterName): string =>
  `${counterPrefix}${hypervisor}/${counter}`;

/** Prefix of what a tenant had. @param tenant path */
export function finalsOf(tenant: Path): string {
  return `${finalPrefix}${tenant.slice(tenant.indexOf('/') + 1)}/`;
}

/** Sorts as the numbers do. */
export function time(milliseconds: number): string {
  return String(Math.max(0, Math.floor(milliseconds))).padStart(15, '0');
}

function record({ uid, at, duration, received, sent }: Known): string {
  return JSON.stringify({ uid, at, duration, received, sent });
}

export async function* everything(
  storage: UsageStorage,
  prefix: string,
): AsyncGenerator<[key: string, value: string], void, void> {
  for (let after: string | undefined; ; ) {
    const part = await storage.list({ prefix, limit: atOnce, after });
    yield* part;
    if (part.length < atOnce) return;
    after = part.at(-1)![0];
  }
}
