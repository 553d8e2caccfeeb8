/**
 * What the engine keeps durable beside intent: conntrack zones, what each hypervisor said of itself and of its patches, what
 * deleted ones may have left behind, and MACs of next hops. Nothing that depends on a record is used before it is written.
 */
import type { Logger } from 'pino';
import type { ChassisFacts, HypervisorNumber } from '../drivers/switch-plugin.ts';
import type { Path } from '../intent/model.ts';
import { leftZonesPrefix, Zones, zonesPrefix } from '../inventory/zones.ts';
import { Problem } from '../problems.ts';
import type { Store } from '../store/store.ts';
import type { LearntHop } from './next-hops.ts';

const chassisPrefix = 'chassis/';
const patchesPrefix = 'patches/';
const nextHopsPrefix = 'next-hops/';

/** Pause before the store is tried again, milliseconds. */
const storePause = 1_000;

export type Remembered = {
  facts: ReadonlyMap<HypervisorNumber, ChassisFacts>;
  /** Who had which port, and did NAT for which network. */
  bound: { hypervisor: HypervisorNumber; port: Path; uid: string }[];
  /** Keys of the patches there were. */
  patches: ReadonlyMap<HypervisorNumber, readonly string[]>;
  /** By the number of the pool. */
  nextHops: ReadonlyMap<number, LearntHop>;
};

export class Records {
  readonly zones = new Zones();
  readonly #store: Store;
  readonly #log: Logger;
  #stopped = false;
  /** Records to be written, or deleted. */
  #writes = new Map<string, string | undefined>();
  /** Facts and patches of each as they are durable, or about to be: one that comes back as it was costs no write. */
  readonly #known = new Map<string, string>();
  /** What deleted hypervisors may have left in their zones, by the key of its record. */
  readonly #leftZones = new Map<string, string>();

  constructor(store: Store, log: Logger) {
    this.#store = store;
    this.#log = log;
  }

  async load(): Promise<Remembered> {
    const facts = new Map<HypervisorNumber, ChassisFacts>();
    for (const { key, value } of (await this.#store.list(chassisPrefix)).entries) {
      facts.set(Number(key.slice(chassisPrefix.length)), JSON.parse(value) as ChassisFacts);
      this.#known.set(key, value);
    }
    const patches = new Map<HypervisorNumber, string[]>();
    for (const { key, value } of (await this.#store.list(patchesPrefix)).entries) {
      patches.set(Number(key.slice(patchesPrefix.length)), JSON.parse(value) as string[]);
      this.#known.set(key, value);
    }
    const nextHops = new Map<number, LearntHop>();
    for (const { key, value } of (await this.#store.list(nextHopsPrefix)).entries)
      nextHops.set(Number(key.slice(nextHopsPrefix.length)), JSON.parse(value) as LearntHop);
    for (const { key, value } of (await this.#store.list(leftZonesPrefix)).entries) this.#leftZones.set(key, value);
    const bound = this.zones.load((await this.#store.list(zonesPrefix)).entries);
    return { facts, bound, patches, nextHops };
  }

  /** The encapsulation address of a hypervisor that is away must be known after a restart too, or its tunnels would go. */
  remember(hypervisor: HypervisorNumber, facts: ChassisFacts | undefined): void {
    if (facts !== undefined) this.#keep(`${chassisPrefix}${hypervisor}`, JSON.stringify(facts));
  }

  /** Others count on a patch while its hypervisor is away, and after a restart of the controller too. */
  rememberPatches(hypervisor: HypervisorNumber, keys: Iterable<string>): void {
    const all = [...keys].sort();
    const key = `${patchesPrefix}${hypervisor}`;
    if (all.length > 0 || this.#known.has(key)) this.#keep(key, JSON.stringify(all));
  }

  /** @param hop undefined: nothing is known of it any more */
  rememberNextHop(pool: number, hop: LearntHop | undefined): void {
    this.#writes.set(`${nextHopsPrefix}${pool}`, hop === undefined ? undefined : JSON.stringify(hop));
  }

  #keep(key: string, value: string): void {
    if (this.#known.get(key) === value) return;
    this.#known.set(key, value);
    this.#writes.set(key, value);
  }

  /** The hypervisor is deleted. It may be approved again, with connections in the zones it had. */
  forget(hypervisor: HypervisorNumber, systemId: string | undefined): void {
    const { keys, left } = this.zones.forget(hypervisor);
    for (const key of keys) this.#writes.set(key, undefined);
    for (const prefix of [chassisPrefix, patchesPrefix]) {
      const key = `${prefix}${hypervisor}`;
      if (this.#known.delete(key)) this.#writes.set(key, undefined);
    }
    if (left === undefined || systemId === undefined) return;
    this.#leftZones.set(leftZonesKey(systemId), left);
    this.#writes.set(leftZonesKey(systemId), left);
  }

  /** Takes over what the hypervisor left behind when it was deleted, if it was. */
  inherit(hypervisor: HypervisorNumber, systemId: string): void {
    const key = leftZonesKey(systemId);
    const left = this.#leftZones.get(key);
    if (left === undefined) return;
    this.zones.inherit(hypervisor, left);
    this.#leftZones.delete(key);
    this.#writes.set(key, undefined);
  }

  /** Resolves when everything told so far is durable; tries again while the store does not serve. */
  async persist(): Promise<void> {
    const writes = this.#writes;
    this.#writes = new Map();
    for (const [key, value] of this.zones.takeWrites()) writes.set(key, value);
    // What a record that goes said is written elsewhere first, should the controller end in between.
    const all = [...writes].sort(([, a], [, b]) => Number(a === undefined) - Number(b === undefined));
    const { writes: most } = this.#store.limits;
    // Nothing uses any of it before all of it is durable: it need not be one commit.
    for (let at = 0; at < all.length; at += most) await this.#commit(all.slice(at, at + most));
  }

  stop(): void {
    this.#stopped = true;
  }

  async #commit(writes: readonly [key: string, value: string | undefined][]): Promise<void> {
    const put = new Map(writes.flatMap(([key, value]) => (value === undefined ? [] : [[key, value]])));
    const deletes = writes.flatMap(([key, value]) => (value === undefined ? [key] : []));
    for (;;) {
      try {
        const result = await this.#store.commit({ put, delete: deletes });
        if (!result.ok) throw new Error(`unexpected conflict on ${result.conflicts.join()}`);
        return;
      } catch (error) {
        if (!(error instanceof Problem) || error.code !== 'store.unavailable' || this.#stopped) throw error;
        this.#log.error({ err: error }, 'the store does not take id allocations; bindings wait');
        await new Promise((resume) => setTimeout(resume, storePause));
      }
    }
  }
}

function leftZonesKey(systemId: string): string {
  return leftZonesPrefix + encodeURIComponent(systemId);
}
