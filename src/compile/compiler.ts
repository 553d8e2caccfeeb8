/**
 * Turns dirty subjects into what has to change on switches. What was emitted for each unit is remembered as a hash and
 * a set of switches, so that compiling again is cheap to compare and full recompute can be held against it.
 */
import type { HypervisorNumber, Pass, UnitKey } from '../drivers/switch-plugin.ts';
import type { Path, ResourceChange } from '../intent/model.ts';
import type { PlacementEffect } from '../inventory/placement.ts';
import type { Flow } from '../pipeline/flow.ts';
import { dirtyByCommit, dirtyByPlacement } from './dirty.ts';
import { admitUnits, baseUnit, tunnelUnit } from './fabric.ts';
import { hashBytes } from './hash.ts';
import { portUnits } from './port.ts';
import { rulesUnit } from './rules.ts';
import type { CompileState, Subject, Unit } from './state.ts';

type Emitted = { hash: number; on: HypervisorNumber[] };

export type Delta = Pick<Pass, 'set' | 'remove'>;

export class Compiler {
  readonly #state: CompileState;
  readonly #encode: (flows: readonly Flow[]) => Uint8Array;
  readonly #dirty = new Set<Subject>();
  readonly #emitted = new Map<UnitKey, Emitted>();
  readonly #unitsOf = new Map<Subject, UnitKey[]>();
  /** Subjects compiled since the start. */
  compiled = 0;
  /** Full recomputes since the start. */
  recomputes = 0;
  /** Subjects that could not be compiled, and why: they have no flows (failed, closed), the others go on. */
  readonly failures = new Map<Subject, string>();

  constructor(state: CompileState, encode: (flows: readonly Flow[]) => Uint8Array) {
    this.#state = state;
    this.#encode = encode;
  }

  get units(): number {
    return this.#emitted.size;
  }

  mark(subject: Subject): void {
    this.#dirty.add(subject);
  }

  markCommit(change: ResourceChange): void {
    for (const s of dirtyByCommit(this.#state.view, change)) this.#dirty.add(s);
  }

  markPlacement(effect: PlacementEffect): void {
    for (const s of dirtyByPlacement(this.#state, effect)) this.#dirty.add(s);
  }

  /** Compiles what is dirty. Units that come out as they were are not in the delta. */
  flush(): Delta {
    const delta: Delta = { set: [], remove: [] };
    for (const subject of this.#dirty) this.#compile(subject, delta);
    this.#dirty.clear();
    return delta;
  }

  /** Compiles everything anew and says which units differ from what was emitted: the oracle. Changes nothing. */
  recompute(): { units: number; different: string[] } {
    this.recomputes++;
    const different: string[] = [];
    const seen = new Set<UnitKey>();
    for (const subject of this.allSubjects()) {
      for (const unit of compileSubject(this.#state, subject)) {
        seen.add(unit.key);
        const emitted = this.#emitted.get(unit.key);
        if (emitted === undefined) different.push(`${unit.key}: never emitted`);
        else if (emitted.hash !== hashBytes(this.#encode(unit.flows))) different.push(`${unit.key}: other flows`);
        else if (emitted.on.join() !== unit.on.join())
          different.push(`${unit.key}: other switches (${emitted.on} instead of ${unit.on})`);
      }
    }
    for (const key of this.#emitted.keys()) if (!seen.has(key)) different.push(`${key}: should be gone`);
    return { units: seen.size, different };
  }

  *allSubjects(): Iterable<Subject> {
    const { view, placement, hypervisors } = this.#state;
    yield 'base';
    for (const [port] of placement.ports()) yield `port:${port}`;
    for (const network of placement.networks()) {
      const buckets = new Set<Subject>();
      for (const rule of view.children('rule', network))
        buckets.add(`rules:${network}:${rule.spec.priority}:${rule.spec.action}`);
      yield* buckets;
    }
    for (const tenant of placement.tenants()) yield `admit:${tenant}`;
    for (const from of hypervisors.keys()) for (const to of placement.peersOf(from)) yield `tunnel:${from}:${to}`;
  }

  /** What commits like these would dirty, compiled against the state as it is now. */
  compileAll(subjects: Iterable<Subject>): Unit[] {
    return [...subjects].flatMap((s) => compileSubject(this.#state, s));
  }

  subjectsOf(changes: Iterable<ResourceChange>): Set<Subject> {
    const found = new Set<Subject>();
    for (const c of changes) for (const s of dirtyByCommit(this.#state.view, c)) found.add(s);
    return found;
  }

  #compile(subject: Subject, delta: Delta): void {
    this.compiled++;
    const units = this.#unitsFor(subject);
    const before = this.#unitsOf.get(subject);
    if (before !== undefined) {
      for (const key of before) if (!units.some((u) => u.key === key)) this.#withdraw(key, delta);
    }
    for (const unit of units) this.#emit(unit, delta);
    if (units.length > 0)
      this.#unitsOf.set(
        subject,
        units.map((u) => u.key),
      );
    else this.#unitsOf.delete(subject);
  }

  #unitsFor(subject: Subject): Unit[] {
    try {
      const units = compileSubject(this.#state, subject);
      this.failures.delete(subject);
      return units;
    } catch (error) {
      this.failures.set(subject, error instanceof Error ? error.message : String(error));
      return [];
    }
  }

  #emit(unit: Unit, delta: Delta): void {
    const flows = this.#encode(unit.flows);
    const hash = hashBytes(flows);
    const before = this.#emitted.get(unit.key);
    this.#emitted.set(unit.key, { hash, on: unit.on });
    if (before === undefined) {
      delta.set.push({ unit: unit.key, on: unit.on, flows });
      return;
    }
    const set = before.hash === hash ? unit.on.filter((h) => !before.on.includes(h)) : unit.on;
    const remove = before.on.filter((h) => !unit.on.includes(h));
    if (set.length > 0) delta.set.push({ unit: unit.key, on: set, flows });
    if (remove.length > 0) delta.remove.push({ unit: unit.key, on: remove });
  }

  #withdraw(key: UnitKey, delta: Delta): void {
    const before = this.#emitted.get(key);
    if (before === undefined) return;
    this.#emitted.delete(key);
    delta.remove.push({ unit: key, on: before.on });
  }
}

/** The units of one subject: a pure function of the state. */
export function compileSubject(state: CompileState, subject: Subject): Unit[] {
  const at = subject.indexOf(':');
  const kind = at < 0 ? subject : subject.slice(0, at);
  const rest = subject.slice(at + 1);
  switch (kind) {
    case 'base':
      return baseUnit(state);
    case 'port':
      return portUnits(state, rest as Path);
    case 'admit':
      return admitUnits(state, rest as Path);
    case 'tunnel': {
      const [from = 0, to = 0] = rest.split(':').map(Number);
      return tunnelUnit(state, from, to);
    }
    case 'rules': {
      const [network = '', priority = '', action = ''] = rest.split(':');
      return rulesUnit(state, network, Number(priority), action === 'deny' ? 'deny' : 'allow');
    }
    default:
      throw new Error(`no such subject: ${subject}`);
  }
}
