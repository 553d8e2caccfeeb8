/** What is kept of one switch from session to session: desired flows, what waits to be programmed, what was told. */
import type { HypervisorNumber, UnitKey } from '../../../src/drivers/switch-plugin.ts';
import { DesiredFlows, type Merge } from './desired.ts';
import type { Slab, Unit } from './slab.ts';

/** Counted since the plugin started. */
export type SwitchCounters = {
  /** Committed. */
  bundles: number;
  /** Sent in one write, since the switch had taken flows of the same shapes before. */
  bundlesAtOnce: number;
  /** Flow modifications sent, those of bundles that were refused included. */
  flowMods: number;
  /** Flows that differed in bytes and were the same when decoded. */
  fallbacks: number;
  /** Bundles of which nobody knew whether they were committed. */
  indeterminate: number;
  /** Times the whole switch was read. */
  reads: number;
  /** Flows, groups and meters that differed though nobody asked. */
  drift: number;
  /** Packets that flows sent here, and those of them that were neither answered nor told. */
  packetIns: number;
  packetInsDropped: number;
};

export class SwitchState {
  readonly hypervisor: HypervisorNumber;
  readonly desired: DesiredFlows;
  readonly counters: SwitchCounters = {
    bundles: 0,
    bundlesAtOnce: 0,
    flowMods: 0,
    fallbacks: 0,
    indeterminate: 0,
    reads: 0,
    drift: 0,
    packetIns: 0,
    packetInsDropped: 0,
  };
  /** The compiler has been here: see SwitchPlugin.ready. */
  ready = false;
  /** Packets a second that the slow path is to take beside what the settings say: those of BFD. */
  slowpathAllowance = 0;
  /** Milliseconds the last reading took. */
  lastReadTook: number | undefined;
  /** Cookies of objects told as rejected, by object. */
  readonly rejected = new Map<number, bigint>();
  readonly #slab: Slab;
  #pending = new Map<UnitKey, Unit | undefined>();
  /** Of the last pass that touched this switch. */
  #sequence = 0;
  #taken = 0;
  #acknowledged = 0;

  constructor(hypervisor: HypervisorNumber, slab: Slab) {
    this.hypervisor = hypervisor;
    this.#slab = slab;
    this.desired = new DesiredFlows(slab);
  }

  /** Takes over a reference to the unit; undefined: the unit is to go. A change not yet taken is replaced. */
  put(key: UnitKey, unit: Unit | undefined): void {
    const waiting = this.#pending.get(key);
    if (waiting !== undefined) this.#slab.release(waiting);
    this.#pending.set(key, unit);
  }

  /** A pass up to this number has been put. */
  passed(sequence: number): void {
    this.#sequence = sequence;
  }

  get hasPending(): boolean {
    return this.#sequence > this.#taken || this.#pending.size > 0;
  }

  /** Desired flows become what was put. */
  merge(): Merge {
    const changes = this.#pending;
    this.#pending = new Map();
    this.#taken = this.#sequence;
    return this.desired.merge(changes);
  }

  release(units: readonly Unit[]): void {
    for (const unit of units) this.#slab.release(unit);
  }

  /** What was merged is in the switch. @returns the number to acknowledge, unless that was done before */
  confirmed(): number | undefined {
    if (this.#taken === this.#acknowledged) return undefined;
    this.#acknowledged = this.#taken;
    return this.#acknowledged;
  }

  /** Units as they will be once everything put is merged. */
  units(): Unit[] {
    const all: Unit[] = [];
    const take = (unit: Unit | undefined) => {
      if (unit !== undefined) all.push(unit);
    };
    for (const [key, unit] of this.desired.units) take(this.#pending.has(key) ? this.#pending.get(key) : unit);
    for (const [key, unit] of this.#pending) if (!this.desired.units.has(key)) take(unit);
    return all;
  }

  clear(): void {
    for (const unit of this.#pending.values()) if (unit !== undefined) this.#slab.release(unit);
    this.#pending.clear();
    this.desired.clear();
  }
}
