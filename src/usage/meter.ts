/**
 * Reads what every port and public address has used, one switch after the other over the interval, and writes it down.
 * Beside its turn a switch is read when somebody asks, when a port has come there, and when something there is deleted.
 */
import type { Logger } from 'pino';
import type { HypervisorNumber } from '../drivers/switch-plugin.ts';
import type { Commit, Path, Resource, View } from '../intent/model.ts';
import type { Fleet } from '../inventory/fleet.ts';
import type { Placement } from '../inventory/placement.ts';
import { forgetFinals } from './finals.ts';
import { addressesByHome, type CountedAddress, countedAddress, homesOf } from './homes.ts';
import type { Ledger } from './ledger.ts';
import { ownerOf, type UsageReader } from './reader.ts';
import type { UsageStorage } from './storage.ts';

export type MeterOptions = {
  view: View;
  fleet: Fleet;
  placement: Placement;
  ledger: Ledger;
  reader: UsageReader;
  storage: UsageStorage;
  log: Logger;
  /** Milliseconds since the epoch. */
  now(): number;
  /** Milliseconds in which every switch has its turn. */
  interval: number;
  /** Milliseconds for which the figures of what was deleted are kept. */
  retention: number;
};

/** Milliseconds between writes at least. */
const writePause = 1_000;
/** Milliseconds in which ports that come are gathered. */
const gathering = 250;
/** A reading is as good as a new one for so long, milliseconds: switches bring counters up to date about once a second. */
const recent = 500;
const purgeInterval = 3_600_000;

export class Meter {
  readonly #options: MeterOptions;
  readonly #busy = new Set<HypervisorNumber>();
  readonly #came = new Map<HypervisorNumber, Set<Path>>();
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #ending = new Set<Promise<void>>();
  #gather: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;
  #purgedAt = 0;
  #stopped = false;
  readonly counts = { read: 0, unreachable: 0, failed: 0, unwritten: 0 };

  constructor(options: MeterOptions) {
    this.#options = options;
  }

  /** Takes over what is in the storage; what was deleted meanwhile is final now. @throws Problem store.unavailable */
  async start(): Promise<void> {
    const { ledger, storage, view, now } = this.#options;
    await ledger.load(storage);
    for (const account of [...ledger.accounts()])
      if (view.get(account.path)?.uid !== account.uid) ledger.end({ ...account, createdAt: account.since }, now());
    this.#every(writePause, () => this.write());
    this.#turn();
  }

  /** Of a commit: what is deleted is read once more, before its flows go, and final then. */
  take({ changes, at }: Commit): void {
    for (const { kind, before, after } of changes) {
      if (kind === 'hypervisor' && before !== undefined && after === undefined)
        this.#options.ledger.forgetHypervisor(before.id);
      if ((kind !== 'port' && kind !== 'public-ip') || before === undefined || before.uid === after?.uid) continue;
      const ended = this.#end(before, at).finally(() => this.#ending.delete(ended));
      this.#ending.add(ended);
    }
  }

  async #end(resource: Resource<'port'> | Resource<'public-ip'>, at: number): Promise<void> {
    const { ledger } = this.#options;
    // Asked for in this turn, that is before anything is told of the deletion.
    await this.#guarded(this.#readOne(resource));
    ledger.end(resource.kind === 'port' ? ownerOf(resource) : resource, at);
  }

  /** A port may have been bound: it is read soon, so that all it does from then on is its own. */
  bound(port: Path): void {
    const { placement, ledger, view } = this.#options;
    const bound = placement.get(port);
    const resource = bound === undefined || bound.ofport === 0 ? undefined : view.getAs('port', port);
    if (bound === undefined || resource === undefined) return;
    if (ledger.readAt(bound.hypervisor, `p${bound.ofport}`, resource.uid) !== undefined) return;
    const there = this.#came.get(bound.hypervisor);
    if (there === undefined) this.#came.set(bound.hypervisor, new Set([port]));
    else there.add(port);
    this.#gather ??= setTimeout(() => this.#readNew(), gathering).unref();
  }

  #readNew(): void {
    this.#gather = undefined;
    for (const [hypervisor, ports] of this.#came)
      void this.#guarded(this.#options.reader.readPorts(hypervisor, [...ports]));
    this.#came.clear();
  }

  /** @returns false: a switch concerned cannot be asked now */
  async readNow(resource: Resource<'port'> | Resource<'public-ip'>): Promise<boolean> {
    return (await this.#guarded(this.#readOne(resource))) ?? false;
  }

  #readOne(resource: Resource<'port'> | Resource<'public-ip'>): Promise<boolean> {
    const { view, placement, reader, ledger } = this.#options;
    if (resource.kind === 'port') {
      const bound = placement.get(resource.path);
      if (bound === undefined) return Promise.resolve(true);
      const homes = bound.standby === undefined ? [bound] : [bound, bound.standby];
      const asked = homes.map(({ hypervisor, ofport }): Promise<boolean> => {
        if (ofport === 0) return Promise.resolve(false);
        const last = ledger.readAt(hypervisor, `p${ofport}`, resource.uid);
        if (last !== undefined && performance.now() - last < recent) return Promise.resolve(true);
        return reader.readPort(ownerOf(resource), hypervisor, ofport);
      });
      return all(asked);
    }
    const address = countedAddress(resource);
    const asked = Array.from(homesOf(view, placement, resource), (home) => reader.readAddresses(home, [address]));
    return all(asked);
  }

  /** One switch after the other, the same time apart: never all at once. */
  #turn(): void {
    const { fleet, view, placement, interval } = this.#options;
    const queue = Array.from(fleet.all(), ({ number }) => number).sort((a, b) => a - b);
    const homes = addressesByHome(view, placement);
    const pause = interval / Math.max(1, queue.length);
    const next = (): void => {
      const hypervisor = queue.shift();
      if (hypervisor !== undefined) void this.#readSwitch(hypervisor, homes.get(hypervisor) ?? []);
      this.#after(pause, queue.length === 0 ? () => this.#turn() : next);
    };
    next();
  }

  /** A switch that has not answered its last turn is left alone. */
  async #readSwitch(hypervisor: HypervisorNumber, addresses: readonly CountedAddress[]): Promise<void> {
    const { view, reader } = this.#options;
    if (this.#busy.has(hypervisor)) return;
    this.#busy.add(hypervisor);
    // Deleted since the round began: they are final.
    const there = addresses.filter(({ path, uid }) => view.get(path)?.uid === uid);
    await this.#guarded(reader.readSwitch(hypervisor, there));
    this.#busy.delete(hypervisor);
  }

  /** Everything at once: for tests, and those who stop. */
  async readAll(): Promise<void> {
    const { fleet, view, placement } = this.#options;
    const homes = addressesByHome(view, placement);
    await Promise.all(Array.from(fleet.all(), ({ number }) => this.#readSwitch(number, homes.get(number) ?? [])));
  }

  async #guarded(reading: Promise<boolean>): Promise<boolean | undefined> {
    try {
      const answered = await reading;
      this.counts[answered ? 'read' : 'unreachable']++;
      return answered;
    } catch (error) {
      this.counts.failed++;
      this.#options.log.warn({ err: error }, 'usage could not be read from a switch; it is tried again in its turn');
      return undefined;
    }
  }

  /** Resolves when what is known by now is durable, or could not be made so. */
  async write(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
    this.#writing = this.#write().finally(() => {
      this.#writing = undefined;
    });
    await this.#writing;
  }

  async #write(): Promise<void> {
    const { ledger, storage, log } = this.#options;
    const batch = ledger.takeBatch();
    try {
      if (batch !== undefined) await storage.write(batch);
      await this.#purge();
    } catch (error) {
      if (batch !== undefined) ledger.giveBack(batch);
      this.counts.unwritten++;
      log.warn({ err: error }, 'usage could not be written; it is tried again');
    }
  }

  async #purge(): Promise<void> {
    const { storage, now, retention } = this.#options;
    if (performance.now() - this.#purgedAt < purgeInterval && this.#purgedAt !== 0) return;
    this.#purgedAt = performance.now();
    await forgetFinals(storage, now() - retention);
  }

  /** Reads once more what can be read, and writes it. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    for (const timer of this.#timers) clearTimeout(timer);
    clearTimeout(this.#gather);
    await Promise.all(this.#ending);
    await this.write();
    await this.#options.storage.close();
  }

  #after(pause: number, what: () => void): void {
    if (this.#stopped) return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      what();
    }, pause).unref();
    this.#timers.add(timer);
  }

  #every(pause: number, what: () => Promise<void>): void {
    this.#after(pause, () => {
      void what().finally(() => this.#every(pause, what));
    });
  }
}

async function all(asked: readonly Promise<boolean>[]): Promise<boolean> {
  return (await Promise.all(asked)).every((answered) => answered);
}
