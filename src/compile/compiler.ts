/**
 * Turns dirty subjects into what has to change on switches. What was emitted for each unit is remembered as a hash and
 * a set of switches, so that compiling again is cheap to compare and full recompute can be held against it.
 */
import { hashBytes } from '../drivers/hash.ts';
import type { HypervisorNumber, Pass, UnitKey } from '../drivers/switch-plugin.ts';
import type { Path, ResourceChange } from '../intent/model.ts';
import type { GatewayEffect, PlacementEffect } from '../inventory/placement.ts';
import type { Flow, Meter } from '../pipeline/flow.ts';
import { dirtyByCommit, dirtyByFleet, dirtyByGateways, dirtyByPlacement } from './dirty.ts';
import { extraUnits } from './extra-addresses.ts';
import { admitUnits, baseUnit, tunnelUnit } from './fabric.ts';
import { failoverUnits } from './failover.ts';
import { gatewayUnits } from './gateway.ts';
import { ipPoolUnits } from './ip-pool.ts';
import { peeringUnits } from './peering.ts';
import { policyUnits } from './policies.ts';
import { portUnits } from './port.ts';
import { routeUnits } from './route.ts';
import { judgeUnit, ruleUnits } from './rules.ts';
import { servicesPortUnits, servicesUnits } from './services.ts';
import { Shapes } from './shapes.ts';
import type { CompileState, Subject, Unit } from './state.ts';
import { steeringUnits } from './steering.ts';
import { tierUnits } from './tier.ts';

type Emitted = { hash: number; on: HypervisorNumber[] };

type Encoded = { key: UnitKey; on: HypervisorNumber[]; flows: Uint8Array };

export type Delta = Pick<Pass, 'set' | 'remove'>;

/** A unit that is not what compiling anew gives. */
export type Difference = {
  unit: UnitKey;
  what: 'never emitted' | 'other flows' | 'other switches' | 'should be gone' | 'cannot be compiled';
  /** Switches that should have it and have not, or have it and should not. */
  on: HypervisorNumber[];
};

type Encode = (flows: readonly Flow[], meters: readonly Meter[] | undefined) => Uint8Array;

export class Compiler {
  readonly #state: CompileState;
  readonly #encode: Encode;
  readonly #dirty = new Set<Subject>();
  readonly #shapes: Shapes;
  readonly #emitted = new Map<UnitKey, Emitted>();
  readonly #unitsOf = new Map<Subject, UnitKey[]>();
  /** How many units each switch was given. */
  readonly #counts = new Map<HypervisorNumber, number>();
  readonly #watches = new Set<Set<UnitKey>>();
  /** Units that a switch is held to have though it was never given them: to be taken away by the next flush. */
  #strays: Delta['remove'] = [];
  /** Subjects compiled since the start. */
  compiled = 0;
  /** Full recomputes since the start. */
  recomputes = 0;
  /** Subjects that could not be compiled, and why: they have no flows (failed, closed), the others go on. */
  readonly failures = new Map<Subject, string>();
  /** Called by each flush with the subjects it has compiled. */
  onCompiled: ((subjects: ReadonlySet<Subject>) => void) | undefined;

  constructor(state: CompileState, encode: Encode) {
    this.#state = state;
    this.#encode = encode;
    this.#shapes = new Shapes(state);
  }

  get units(): number {
    return this.#emitted.size;
  }

  mark(subject: Subject): void {
    this.#dirty.add(subject);
  }

  markCommit(change: ResourceChange): void {
    for (const s of dirtyByCommit(this.#state.view, change)) this.#dirty.add(s);
    this.#shapes.touchedBy(change);
  }

  /** A network that is there from the start. */
  markNetwork(network: Path): void {
    this.#shapes.touch(network);
  }

  /** The set of switches that are programmed has changed. */
  markFleet(): void {
    for (const s of dirtyByFleet(this.#state.view)) this.#dirty.add(s);
  }

  markPlacement(effect: PlacementEffect): void {
    for (const s of dirtyByPlacement(this.#state, effect)) this.#dirty.add(s);
  }

  markGateways(effect: GatewayEffect): void {
    for (const s of dirtyByGateways(this.#state, effect)) this.#dirty.add(s);
    this.#shapes.touch(effect.network);
  }

  /** Compiles what is dirty. Units that come out as they were are not in the delta. */
  flush(): Delta {
    const delta: Delta = { set: [], remove: [] };
    for (const subject of this.#shapes.settle()) this.#dirty.add(subject);
    for (const subject of this.#dirty) this.#compile(subject, delta);
    this.onCompiled?.(this.#dirty);
    this.#dirty.clear();
    if (this.#strays.length > 0) {
      delta.remove.push(...this.#strays);
      this.#strays = [];
    }
    return delta;
  }

  /** Compiles everything anew and says which units differ from what was emitted: the oracle. Changes nothing. */
  recompute(): { units: number; different: string[] } {
    this.recomputes++;
    const different: string[] = [];
    const seen = new Set<UnitKey>();
    for (const subject of this.allSubjects()) {
      for (const unit of this.#encoded(subject)) {
        seen.add(unit.key);
        const { what, on } = this.#difference(unit) ?? {};
        if (what === 'other switches') different.push(`${unit.key}: ${what} (${on})`);
        else if (what !== undefined) different.push(`${unit.key}: ${what}`);
      }
    }
    for (const key of this.#emitted.keys()) if (!seen.has(key)) different.push(`${key}: should be gone`);
    return { units: seen.size, different };
  }

  /**
   * The same for one subject, at this moment: meaningful while nothing waits to be compiled that touches it. For going
   * through `everySubject` a few at a time while the system lives.
   */
  compare(subject: Subject): { units: number; different: Difference[] } {
    const before = this.#unitsOf.get(subject) ?? [];
    let units: Encoded[];
    try {
      units = this.#encoded(subject);
    } catch {
      // Why, is in `failures` once a pass has tried it. It must have no flows then.
      const different = before.map((unit): Difference => ({ unit, what: 'cannot be compiled', on: this.#on(unit) }));
      return { units: before.length, different };
    }
    const different: Difference[] = [];
    for (const unit of units) {
      const found = this.#difference(unit);
      if (found !== undefined) different.push({ unit: unit.key, ...found });
    }
    for (const unit of before) {
      if (!units.some(({ key }) => key === unit)) different.push({ unit, what: 'should be gone', on: this.#on(unit) });
    }
    return { units: units.length, different };
  }

  /**
   * Every subject that has units, or should have some; each at least once, whatever changes while it is walked through.
   * `undefined` where there was none for one step, so that whoever walks can give way to others.
   */
  *everySubject(): Iterable<Subject | undefined> {
    yield* this.#unitsOf.keys();
    for (const subject of this.allSubjects()) yield this.#unitsOf.has(subject) ? undefined : subject;
  }

  #difference({ key, on, flows }: Encoded): Omit<Difference, 'unit'> | undefined {
    const emitted = this.#emitted.get(key);
    if (emitted === undefined) return { what: 'never emitted', on };
    if (emitted.hash !== hashBytes(flows)) return { what: 'other flows', on: union(on, emitted.on) };
    if (sameList(emitted.on, on)) return undefined;
    return { what: 'other switches', on: union(without(on, emitted.on), without(emitted.on, on)) };
  }

  #on(unit: UnitKey): HypervisorNumber[] {
    return this.#emitted.get(unit)?.on ?? [];
  }

  /** How many units the switch was given. */
  unitsOn(hypervisor: HypervisorNumber): number {
    return this.#counts.get(hypervisor) ?? 0;
  }

  /** Whether the switch was given the unit, with flows of this hash. */
  gave(unit: UnitKey, hypervisor: HypervisorNumber, hash: number): boolean {
    const emitted = this.#emitted.get(unit);
    return emitted !== undefined && emitted.hash === hash && emitted.on.includes(hypervisor);
  }

  /** Units the switch was given. Walks through all there are; `undefined` for each that is not among them, as above. */
  *unitsGiven(hypervisor: HypervisorNumber): Iterable<UnitKey | undefined> {
    for (const [unit, { on }] of this.#emitted) yield on.includes(hypervisor) ? unit : undefined;
  }

  /**
   * A switch turned out to have, or not to have, units against what it was given: the next flush puts it right.
   * Walks through every subject; a step for each, so that whoever walks can give way to others.
   */
  *correct(
    hypervisor: HypervisorNumber,
    { lacks, has }: { lacks: readonly UnitKey[]; has: readonly UnitKey[] },
  ): Iterable<undefined> {
    const wrong = new Set([...lacks, ...has]);
    for (const unit of lacks) this.#forget(unit, hypervisor);
    for (const unit of has) {
      const emitted = this.#emitted.get(unit);
      if (emitted === undefined) this.#strays.push({ unit, on: [hypervisor] });
      else if (!emitted.on.includes(hypervisor)) this.#set(unit, emitted.hash, [...emitted.on, hypervisor]);
    }
    for (const [subject, units] of this.#unitsOf) {
      if (units.some((unit) => wrong.has(unit))) this.mark(subject);
      yield undefined;
    }
  }

  /** Gathers the units that change from here on, until it is ended. */
  watch(): { changed: ReadonlySet<UnitKey>; end(): void } {
    const changed = new Set<UnitKey>();
    this.#watches.add(changed);
    return { changed, end: () => this.#watches.delete(changed) };
  }

  #forget(unit: UnitKey, hypervisor: HypervisorNumber): void {
    const emitted = this.#emitted.get(unit);
    if (emitted !== undefined) this.#set(unit, emitted.hash, without(emitted.on, [hypervisor]));
  }

  /** What is remembered of a unit; undefined: nothing. */
  #set(unit: UnitKey, hash: number | undefined, on: HypervisorNumber[]): void {
    for (const changed of this.#watches) changed.add(unit);
    const before = this.#on(unit);
    if (!sameList(before, on)) {
      for (const h of before) this.#counts.set(h, this.#counts.get(h)! - 1);
      for (const h of on) this.#counts.set(h, (this.#counts.get(h) ?? 0) + 1);
    }
    if (hash === undefined) this.#emitted.delete(unit);
    else this.#emitted.set(unit, { hash, on });
  }

  *allSubjects(): Iterable<Subject> {
    const { view, placement, hypervisors } = this.#state;
    yield 'base';
    for (const [port] of placement.ports()) yield `port:${port}`;
    for (const network of placement.networks()) {
      yield `gateway:${network}`;
      yield `services:${network}`;
      const buckets = new Set<Subject>();
      for (const tier of view.children('tier', network)) yield `tier:${tier.path}`;
      for (const route of view.children('route', network)) yield `route:${route.path}`;
      yield `judge:${network}`;
      yield `extra:${network}`;
      if (view.count('steering', network) > 0) yield `steering:${network}`;
      for (const rule of view.children('rule', network))
        buckets.add(`rules:${network}:${rule.spec.priority}:${rule.spec.action}`);
      yield* buckets;
    }
    const policies = new Set<Subject>();
    for (const { spec } of view.children('policy', '')) policies.add(`policies:${spec.priority}:${spec.action}`);
    yield* policies;
    for (const tenant of placement.tenants()) {
      yield `admit:${tenant}`;
      for (const peering of view.children('peering', tenant)) yield `peering:${peering.path}`;
    }
    const pools = [...view.children('ip-pool', '')];
    for (const from of hypervisors.keys()) {
      yield `failover:${from}`;
      for (const { path } of pools) yield `ip-pool:${path}:${from}`;
      yield `services-port:${from}`;
      for (const to of placement.peersOf(from)) yield `tunnel:${from}:${to}`;
    }
  }

  /** What commits like these would dirty, compiled against the state as it is now. */
  compileAll(subjects: Iterable<Subject>): Unit[] {
    return [...subjects].flatMap((s) => compileSubject(this.#state, s));
  }

  subjectsOf(changes: readonly ResourceChange[]): Set<Subject> {
    const found = new Set<Subject>(this.#shapes.differing(changes));
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

  /** @throws Error for what cannot be compiled, or not be put into bytes. */
  #encoded(subject: Subject): Encoded[] {
    return compileSubject(this.#state, subject).map(({ key, on, flows, meters }) => ({
      key,
      on,
      flows: this.#encode(flows, meters),
    }));
  }

  #unitsFor(subject: Subject): Encoded[] {
    try {
      const units = this.#encoded(subject);
      this.failures.delete(subject);
      return units;
    } catch (error) {
      this.failures.set(subject, error instanceof Error ? error.message : String(error));
      return [];
    }
  }

  #emit(unit: Encoded, delta: Delta): void {
    const { flows } = unit;
    const hash = hashBytes(flows);
    const before = this.#emitted.get(unit.key);
    this.#set(unit.key, hash, unit.on);
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
    this.#set(key, undefined, []);
    delta.remove.push({ unit: key, on: before.on });
  }
}

function without<T>(all: readonly T[], some: readonly T[]): T[] {
  return all.filter((one) => !some.includes(one));
}

function sameList<T>(a: readonly T[], b: readonly T[]): boolean {
  return a.length === b.length && a.every((one, i) => one === b[i]);
}

function union<T>(a: readonly T[], b: readonly T[]): T[] {
  return [...new Set([...a, ...b])];
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
    case 'tier':
      return tierUnits(state, rest as Path);
    case 'extra':
      return extraUnits(state, rest as Path);
    case 'steering':
      return steeringUnits(state, rest as Path);
    case 'route':
      return routeUnits(state, rest as Path);
    case 'peering':
      return peeringUnits(state, rest as Path);
    case 'admit':
      return admitUnits(state, rest as Path);
    case 'tunnel': {
      const [from = 0, to = 0] = rest.split(':').map(Number);
      return tunnelUnit(state, from, to);
    }
    case 'gateway':
      return gatewayUnits(state, rest as Path);
    case 'services':
      return servicesUnits(state, rest as Path);
    case 'services-port':
      return servicesPortUnits(state, Number(rest));
    case 'failover':
      return failoverUnits(state, Number(rest));
    case 'ip-pool': {
      const [pool = '', here] = rest.split(':');
      return ipPoolUnits(state, pool, Number(here));
    }
    case 'judge':
      return judgeUnit(state, rest as Path);
    case 'policies': {
      const [priority = '', action = ''] = rest.split(':');
      return policyUnits(state, Number(priority), action === 'deny' ? 'deny' : 'allow');
    }
    case 'rules': {
      const [network = '', priority = '', action = ''] = rest.split(':');
      return ruleUnits(state, network, Number(priority), action === 'deny' ? 'deny' : 'allow');
    }
    default:
      throw new Error(`no such subject: ${subject}`);
  }
}
