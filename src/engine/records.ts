/**
 * What the engine keeps durable beside intent: conntrack zones, what each hypervisor said of itself, and what deleted
 * ones may have left behind. Nothing that depends on a record is used before it is written.
 */
import type { Logger } from 'pino';
import type { ChassisFacts, HypervisorNumber } from '../drivers/switch-plugin.ts';
import type { Path } from '../intent/model.ts';
import { leftZonesPrefix, Zones, zonesPrefix } from '../inventory/zones.ts';
import { Problem } from '../problems.ts';
import type { Store } from '../store/store.ts';

const chassisPrefix = 'chassis/';

/** Pause before the store is tried again, milliseconds. */
const storePause = 1_000;

export type Remembered = {
  facts: ReadonlyMap<HypervisorNumber, ChassisFacts>;
  /** Who had which port. */
  bound: { hypervisor: HypervisorNumber; port: Path; uid: string }[];
};

export class Records {
  readonly zones = new Zones();
  readonly #store: Store;
  readonly #log: Logger;
  #stopped = false;
  /** Records to be written, or deleted. */
  #writes = new Map<string, string | undefined>();
  /** Facts of each as they are durable, or about to be: one that comes back as it was costs no write. */
  readonly #chassis = new Map<string, string>();
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
      this.#chassis.set(key, value);
    }
    for (const { key, value } of (await this.#store.list(leftZonesPrefix)).entries) this.#leftZones.set(key, value);
    return { facts, bound: this.zones.load((await this.#store.list(zonesPrefix)).entries) };
  }

  /** The encapsulation address of a hypervisor that is away must be known after a restart too, or its tunnels would go. */
  remember(hypervisor: HypervisorNumber, facts: ChassisFacts | undefined): void {
    const [key, value] = [`${chassisPrefix}${hypervisor}`, JSON.stringify(facts)];
    if (facts === undefined || this.#chassis.get(key) === value) return;
    this.#chassis.set(key, value);
    this.#writes.set(key, value);
  }

  /** The hypervisor is deleted. It may be approved again, with connections in the zones it had. */
  forget(hypervisor: HypervisorNumber, systemId: string | undefined): void {
    const { keys, left } = this.zones.forget(hypervisor);
    const record = `${chassisPrefix}${hypervisor}`;
    this.#chassis.delete(record);
    for (const key of [...keys, record]) this.#writes.set(key, undefined);
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
