/** What the API says of how far each object is. Worked out when asked, from what concerns the object only. */

import { hopFault } from '../compile/route.ts';
import type { Subject } from '../compile/state.ts';
import type { HypervisorNumber, Rejection } from '../drivers/switch-plugin.ts';
import type { Path, Resource, View } from '../intent/model.ts';
import type { Condition, State, Status, StatusSource } from '../reconcile/contract.ts';
import type { Progress, Touch } from '../reconcile/progress.ts';
import type { Engine } from './engine.ts';
import { deviceBoundness, switchesOfAddress, wayOutConditions } from './way-out-conditions.ts';

type Refusals = Map<HypervisorNumber, Rejection>;

type Deletion = { resource: Resource; touch: Touch };

/** Objects that wait for a switch, by what they wait for. */
type Waiting = Map<Touch, Set<Path>>;

/** Deletions gathered before they are looked through the first time for those that are over. */
const fewDeletions = 1_000;

export type StatusOptions = {
  view: View;
  engine: Engine;
  progress: Progress;
  /** Conditions of a network whose offering names services nobody provides. */
  servicesOf(network: Resource<'network'>): Condition[];
};

export class StatusBoard implements StatusSource {
  readonly #options: StatusOptions;
  /** Resource number -> what switches refused of it. */
  readonly #refusals = new Map<number, Refusals>();
  readonly #deletions = new Map<Path, Deletion>();
  /** Deletions at which they are looked through. */
  #manyDeletions = fewDeletions;
  readonly #listeners = new Set<(path: Path, status: Status) => void>();
  /** Objects whose status may have changed since the listeners were last told. */
  readonly #restless = new Set<Path>();
  /** Objects told as pending, and those told as being deleted, by a switch that has yet to confirm something of them. */
  readonly #pending = new Map<HypervisorNumber, Waiting>();
  readonly #leaving = new Map<HypervisorNumber, Waiting>();
  /** Switches that have got further since what waits for them was looked at. */
  readonly #further = new Set<HypervisorNumber>();
  #telling = false;

  constructor(options: StatusOptions) {
    this.#options = options;
    options.engine.onPass = ({ deleted, touched }) => {
      for (const resource of deleted) {
        const touch = options.progress.awaited(resource.path);
        if (touch !== undefined) this.#deletions.set(resource.path, { resource, touch });
        this.#refusals.delete(resource.number);
      }
      if (this.#deletions.size >= this.#manyDeletions) {
        for (const path of this.#deletions.keys()) this.deleting(path);
        this.#manyDeletions = Math.max(fewDeletions, 2 * this.#deletions.size);
      }
      this.#disturb(touched);
    };
    options.progress.onProgress = (hypervisor) => {
      if (hypervisor === undefined) return;
      this.#further.add(hypervisor);
      this.#progressed();
    };
  }

  status(resource: Resource): Status {
    const { progress } = this.#options;
    const conditions: Condition[] = [];
    const on = this.#concerned(resource);
    let state: State = 'programmed';
    let programmed = progress.observed;
    const worse = (s: State) => {
      if (rank[s] > rank[state]) state = s;
    };
    for (const h of on) {
      if (progress.of(h)?.connected === true) programmed = Math.min(programmed, progress.revisionOf(h));
      else {
        worse('degraded');
        conditions.push(
          condition(
            'HypervisorUnreachable',
            'True',
            'NotConnected',
            `hypervisor ${this.#options.engine.fleet.name(h)} is not connected`,
          ),
        );
      }
    }
    const outstanding = progress.outstanding(resource.path).filter((h) => progress.of(h)?.connected === true);
    if (progress.observed < resource.revision || outstanding.length > 0) {
      worse('pending');
      programmed = Math.min(programmed, resource.revision - 1);
    } else
      programmed = Math.max(
        programmed,
        on.some((h) => progress.of(h)?.connected === true) || on.length === 0 ? resource.revision : 0,
      );
    for (const c of this.#ownConditions(resource)) {
      conditions.push(c.condition);
      worse(c.state);
    }
    for (const rejection of this.#refusals.get(resource.number)?.values() ?? []) {
      worse('failed');
      const where = this.#options.engine.fleet.name(rejection.hypervisor);
      conditions.push(
        condition('Rejected', 'True', rejection.error, `hypervisor ${where} refused the flow ${rejection.flow}`),
      );
    }
    return { state, observedRevision: progress.observed, programmedRevision: programmed, conditions };
  }

  deleting(path: Path): Resource | undefined {
    const deletion = this.#deletions.get(path);
    if (deletion === undefined || this.#options.progress.isOpen(deletion.touch)) return deletion?.resource;
    this.#deletions.delete(path);
    return undefined;
  }

  /** Deletions that are remembered, of which some may be over. */
  get deletions(): number {
    return this.#deletions.size;
  }

  wait(revision: number, mode: 'programmed' | 'all', timeout: number): Promise<boolean> {
    return this.#options.progress.wait(revision, mode, timeout);
  }

  onStatus(listener: (path: Path, status: Status) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  refused(resourceNumber: number, rejection: Rejection): void {
    const refusals = this.#refusals.get(resourceNumber) ?? new Map<HypervisorNumber, Rejection>();
    refusals.set(rejection.hypervisor, rejection);
    this.#refusals.set(resourceNumber, refusals);
    this.#disturbNumber(resourceNumber);
  }

  accepted(resourceNumber: number, hypervisor: HypervisorNumber): void {
    const refusals = this.#refusals.get(resourceNumber);
    if (refusals?.delete(hypervisor) !== true) return;
    if (refusals.size === 0) this.#refusals.delete(resourceNumber);
    this.#disturbNumber(resourceNumber);
  }

  /** Resource number, and what each switch refused of it. */
  *refusals(): Iterable<[number, Iterable<Rejection>]> {
    for (const [number, refusals] of this.#refusals) yield [number, refusals.values()];
  }

  get refusedObjects(): number {
    return this.#refusals.size;
  }

  /** Connections come and go: whatever is bound there may say otherwise now. */
  connectionChanged(hypervisor: HypervisorNumber): void {
    const { engine } = this.#options;
    const member = engine.fleet.get(hypervisor);
    this.#disturb([
      ...(member === undefined ? [] : [member.resource.path]),
      ...engine.bindings.placement.portsOn(hypervisor),
      ...engine.wayOut.dependants(hypervisor),
    ]);
  }

  #concerned(resource: Resource): readonly HypervisorNumber[] {
    const { placement } = this.#options.engine.bindings;
    switch (resource.kind) {
      case 'port':
        return placement.get(resource.path) === undefined ? [] : placement.reachOfNetwork(resource.parent);
      case 'network':
        return placement.reachOfNetwork(resource.path);
      case 'tier':
      case 'route':
        return placement.reachOfNetwork(resource.parent);
      case 'group':
      case 'rule':
      case 'steering':
        return placement.hostsOfNetwork(resource.parent);
      case 'vlan-attachment':
        return placement.gatewaysOf(resource.parent);
      case 'public-ip':
        return switchesOfAddress(this.#options.view, this.#options.engine, resource.path);
      case 'nat-rule': {
        const address = `${resource.parent}/public-ips/${resource.spec.publicIp}`;
        return switchesOfAddress(this.#options.view, this.#options.engine, address);
      }
      case 'peering': {
        const networks = resource.spec.networks.map((name) => `${resource.parent}/networks/${name}`);
        return [...new Set(networks.flatMap((network) => placement.hostsOfNetwork(network)))];
      }
      case 'policy': {
        const { tenants } = resource.spec;
        if (tenants === undefined) return [...this.#options.engine.fleet.programmed.keys()];
        return [...new Set(tenants.flatMap((name) => placement.hostsOfTenant(`tenants/${name}`)))];
      }
      case 'tenant':
        return placement.hostsOfTenant(resource.path);
      case 'hypervisor':
        return resource.spec.admission === 'lost' ? [] : [resource.id];
      case 'offering':
      case 'quota':
      case 'reservation':
      case 'provider-network':
      case 'ip-pool':
      case 'trunk':
        return [];
    }
  }

  #ownConditions(resource: Resource): { condition: Condition; state: State }[] {
    const found: { condition: Condition; state: State }[] = [];
    const { engine } = this.#options;
    if (resource.kind === 'port') {
      if (resource.spec.attachment !== undefined) found.push(deviceBoundness(engine, resource));
      else found.push(this.#boundness(resource));
      for (const c of engine.bindings.conflicts(resource)) {
        // Nobody else has it: it is not bound there for another reason.
        if (c.hypervisor === engine.lacksZone.get(resource.path)) continue;
        const name = engine.fleet.name(c.hypervisor);
        if (resource.spec.hypervisors?.includes(name) === true) {
          const message = `hypervisor ${name} shows the interface too, and gets the port when the other lets it go`;
          found.push({ condition: condition('Migrating', 'True', 'BothPlugged', message), state: 'programmed' });
          continue;
        }
        const message = `hypervisor ${name} shows an interface with this ifaceId too, and does not get it`;
        found.push({ condition: condition('BindingConflict', 'True', 'SecondClaim', message), state: 'degraded' });
      }
    }
    const failure = engine.compiler.failures.get(subjectOf(resource));
    if (failure !== undefined)
      found.push({ condition: condition('Compiled', 'False', 'CompilerError', failure), state: 'failed' });
    if (resource.kind === 'route') {
      const fault = hopFault({ view: this.#options.view, placement: engine.bindings.placement }, resource);
      const { nextHop } = resource.spec;
      if (fault === 'unbound') {
        const why = `no hypervisor shows a VM that has ${nextHop}: what takes the route goes nowhere`;
        found.push({ condition: condition('NextHop', 'False', 'NotBound', why), state: 'degraded' });
      } else if (fault === 'shared') {
        const why = `several ports share ${nextHop} and not its MAC: what takes the route goes nowhere`;
        found.push({ condition: condition('NextHop', 'False', 'SharedAddress', why), state: 'degraded' });
      }
    }
    if (resource.kind === 'steering') {
      const { onFailure, via } = resource.spec;
      const dead = via.filter(
        (name) => engine.bindings.placement.get(`${resource.parent}/ports/${name}`) === undefined,
      );
      if (dead.length > 0) {
        const message = `not bound: ${dead.join(', ')}; its traffic goes ${onFailure === 'open' ? 'past' : 'nowhere'}`;
        found.push({ condition: condition('HopsBound', 'False', 'HopNotBound', message), state: 'degraded' });
      }
    }
    if (resource.kind === 'network') {
      for (const c of this.#options.servicesOf(resource)) found.push({ condition: c, state: 'degraded' });
    }
    found.push(...wayOutConditions(this.#options.view, engine, resource));
    if (resource.kind === 'hypervisor') {
      const { admission } = resource.spec;
      found.push({
        condition: condition(
          'Approved',
          admission === 'lost' ? 'False' : 'True',
          admission,
          `admission is ${admission}`,
        ),
        state: 'programmed',
      });
    }
    return found;
  }

  #boundness({ path }: Resource<'port'>): { condition: Condition; state: State } {
    const { fleet, bindings, lacksZone } = this.#options.engine;
    const bound = bindings.placement.get(path);
    if (bound !== undefined) {
      const where = `bound on hypervisor ${fleet.name(bound.hypervisor)}`;
      return { condition: condition('Bound', 'True', 'InterfaceFound', where), state: 'programmed' };
    }
    const full = lacksZone.get(path);
    if (full !== undefined) {
      const why = `hypervisor ${fleet.name(full)} has no conntrack zone left; the port is bound as soon as one is free`;
      return { condition: condition('Bound', 'False', 'NoZone', why), state: 'degraded' };
    }
    const why = 'no hypervisor shows an interface with this ifaceId';
    return { condition: condition('Bound', 'False', 'NoInterface', why), state: 'programmed' };
  }

  #disturbNumber(resourceNumber: number): void {
    const resource = this.#options.view.byNumber(resourceNumber);
    if (resource !== undefined) this.#disturb([resource.path]);
  }

  #disturb(paths: Iterable<Path>): void {
    for (const path of paths) this.#restless.add(path);
    this.#progressed();
  }

  /** Tells listeners of what may have changed. What awaits a switch is looked at again once that has confirmed it. */
  #progressed(): void {
    if (this.#listeners.size === 0) {
      for (const gathered of [this.#restless, this.#pending, this.#leaving, this.#further]) gathered.clear();
      return;
    }
    if (this.#telling || (this.#restless.size === 0 && !this.#isAwaited())) return;
    this.#telling = true;
    setImmediate(() => {
      this.#telling = false;
      for (const hypervisor of this.#further) {
        this.#release(hypervisor, this.#pending, true);
        this.#release(hypervisor, this.#leaving, false);
      }
      this.#further.clear();
      const paths = [...this.#restless];
      this.#restless.clear();
      for (const path of paths) {
        const status = this.#told(path);
        const touch = this.#options.progress.awaited(path);
        if (touch !== undefined && status.state === 'pending') this.#await(touch, [path], this.#pending, true);
        if (touch !== undefined && status.state === 'deleting') this.#await(touch, [path], this.#leaving, false);
        for (const listener of this.#listeners) listener(path, status);
      }
    });
  }

  /** Whether anything waits for a switch that has got further. */
  #isAwaited(): boolean {
    for (const h of this.#further) if (this.#pending.has(h) || this.#leaving.has(h)) return true;
    this.#further.clear();
    return false;
  }

  /** Hands on what waited for the switch: to the next one that is awaited for it, or to be told. */
  #release(hypervisor: HypervisorNumber, all: Map<HypervisorNumber, Waiting>, connected: boolean): void {
    const waiting = all.get(hypervisor);
    if (waiting === undefined) return;
    all.delete(hypervisor);
    for (const [touch, paths] of waiting) this.#await(touch, paths, all, connected);
  }

  /** They wait for one of the switches that are awaited, or are restless. @param connected only connected ones are awaited */
  #await(touch: Touch, paths: Iterable<Path>, all: Map<HypervisorNumber, Waiting>, connected: boolean): void {
    const hypervisor = this.#options.progress.awaitedBy(touch, connected);
    if (hypervisor === undefined) {
      for (const path of paths) this.#restless.add(path);
      return;
    }
    const waiting: Waiting = all.get(hypervisor) ?? new Map();
    all.set(hypervisor, waiting);
    const there = waiting.get(touch) ?? new Set();
    waiting.set(touch, there);
    for (const path of paths) there.add(path);
  }

  /** What listeners are told of a path: of one that is gone, once more when the last switch has confirmed. */
  #told(path: Path): Status {
    const resource = this.#options.view.get(path);
    if (resource !== undefined) return this.status(resource);
    const { observed } = this.#options.progress;
    const open = this.deleting(path) !== undefined;
    const state: State = open ? 'deleting' : 'programmed';
    return { state, observedRevision: observed, programmedRevision: open ? 0 : observed, conditions: [] };
  }
}

/** What is compiled for the object by itself, or together with its like. */
function subjectOf({ kind, path, parent, spec }: Resource): Subject {
  return kind === 'rule' ? `rules:${parent}:${spec.priority}:${spec.action}` : `${kind}:${path}`;
}

const rank: Record<State, number> = { programmed: 0, degraded: 1, pending: 2, deleting: 3, failed: 4 };

function condition(type: string, status: Condition['status'], reason: string, message: string): Condition {
  return { type, status, reason, message };
}
