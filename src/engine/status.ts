/** What the API says of how far each object is. Worked out when asked, from what concerns the object only. */

import type { HypervisorNumber, Rejection } from '../drivers/switch-plugin.ts';
import type { Path, Resource, View } from '../intent/model.ts';
import type { Condition, State, Status, StatusSource } from '../reconcile/contract.ts';
import type { Progress, Touch } from '../reconcile/progress.ts';
import type { Engine } from './engine.ts';

type Refusals = Map<HypervisorNumber, Rejection>;

type Deletion = { resource: Resource; sequence: number; on: Set<HypervisorNumber> };

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
  readonly #listeners = new Set<(path: Path, status: Status) => void>();
  /** Objects whose status may have changed since the listeners were last told. */
  readonly #restless = new Set<Path>();
  /** Objects told as pending, and those told as being deleted, by the pass that some switch has yet to confirm. */
  readonly #pending = new Map<Touch, Set<Path>>();
  readonly #leaving = new Map<Touch, Set<Path>>();
  #telling = false;

  constructor(options: StatusOptions) {
    this.#options = options;
    options.engine.onPass = ({ sequence, on, deleted, touched }) => {
      for (const resource of deleted) {
        const open = new Set(on.filter((h) => options.progress.of(h) !== undefined));
        if (open.size > 0) this.#deletions.set(resource.path, { resource, sequence, on: open });
        this.#refusals.delete(resource.number);
      }
      this.#disturb(touched);
    };
    options.progress.onProgress = () => this.#progressed();
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
    if (deletion === undefined) return undefined;
    for (const h of deletion.on) {
      const s = this.#options.progress.of(h);
      if (s === undefined || s.acknowledged >= deletion.sequence) deletion.on.delete(h);
    }
    if (deletion.on.size > 0) return deletion.resource;
    this.#deletions.delete(path);
    return undefined;
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
    ]);
  }

  #concerned(resource: Resource): readonly HypervisorNumber[] {
    const { placement } = this.#options.engine.bindings;
    switch (resource.kind) {
      case 'port':
        return placement.get(resource.path) === undefined ? [] : placement.hostsOfNetwork(resource.parent);
      case 'network':
        return placement.hostsOfNetwork(resource.path);
      case 'tier':
      case 'group':
      case 'rule':
        return placement.hostsOfNetwork(resource.parent);
      case 'tenant':
        return placement.hostsOfTenant(resource.path);
      case 'hypervisor':
        return resource.spec.admission === 'lost' ? [] : [resource.id];
      case 'offering':
        return [];
    }
  }

  #ownConditions(resource: Resource): { condition: Condition; state: State }[] {
    const found: { condition: Condition; state: State }[] = [];
    const { engine } = this.#options;
    if (resource.kind === 'port') {
      const bound = engine.bindings.placement.get(resource.path);
      found.push({
        condition:
          bound === undefined
            ? condition('Bound', 'False', 'NoInterface', 'no hypervisor shows an interface with this ifaceId')
            : condition(
                'Bound',
                'True',
                'InterfaceFound',
                `bound on hypervisor ${engine.fleet.name(bound.hypervisor)}`,
              ),
        state: 'programmed',
      });
      for (const c of engine.bindings.conflicts(resource)) {
        const message = `hypervisor ${engine.fleet.name(c.hypervisor)} shows an interface with this ifaceId too, and does not get it`;
        found.push({ condition: condition('BindingConflict', 'True', 'SecondClaim', message), state: 'degraded' });
      }
      const failure = engine.compiler.failures.get(`port:${resource.path}`);
      if (failure !== undefined)
        found.push({ condition: condition('Compiled', 'False', 'CompilerError', failure), state: 'failed' });
    }
    if (resource.kind === 'rule') {
      const failure = engine.compiler.failures.get(
        `rules:${resource.parent}:${resource.spec.priority}:${resource.spec.action}`,
      );
      if (failure !== undefined)
        found.push({ condition: condition('Compiled', 'False', 'CompilerError', failure), state: 'failed' });
    }
    if (resource.kind === 'network') {
      for (const c of this.#options.servicesOf(resource)) found.push({ condition: c, state: 'degraded' });
    }
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

  #disturbNumber(resourceNumber: number): void {
    const resource = this.#options.view.byNumber(resourceNumber);
    if (resource !== undefined) this.#disturb([resource.path]);
  }

  #disturb(paths: Iterable<Path>): void {
    for (const path of paths) this.#restless.add(path);
    this.#progressed();
  }

  /** Tells listeners of what may have changed. What awaits a switch is looked at again once its pass is confirmed. */
  #progressed(): void {
    if (this.#listeners.size === 0) {
      for (const paths of [this.#restless, this.#pending, this.#leaving]) paths.clear();
      return;
    }
    if (this.#telling || this.#restless.size + this.#pending.size + this.#leaving.size === 0) return;
    this.#telling = true;
    setImmediate(() => {
      this.#telling = false;
      const { progress } = this.#options;
      this.#release(this.#pending, (touch) => progress.isOpen(touch, true));
      this.#release(this.#leaving, (touch) => progress.isOpen(touch));
      const paths = [...this.#restless];
      this.#restless.clear();
      for (const path of paths) {
        const status = this.#told(path);
        const touch = progress.awaited(path);
        if (touch !== undefined && status.state === 'pending') addTo(this.#pending, touch, path);
        if (touch !== undefined && status.state === 'deleting') addTo(this.#leaving, touch, path);
        for (const listener of this.#listeners) listener(path, status);
      }
    });
  }

  #release(waiting: Map<Touch, Set<Path>>, isOpen: (touch: Touch) => boolean): void {
    for (const [touch, paths] of waiting) {
      if (isOpen(touch)) continue;
      waiting.delete(touch);
      for (const path of paths) this.#restless.add(path);
    }
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

function addTo(waiting: Map<Touch, Set<Path>>, touch: Touch, path: Path): void {
  const paths = waiting.get(touch);
  if (paths === undefined) waiting.set(touch, new Set([path]));
  else paths.add(path);
}

const rank: Record<State, number> = { programmed: 0, degraded: 1, pending: 2, deleting: 3, failed: 4 };

function condition(type: string, status: Condition['status'], reason: string, message: string): Condition {
  return { type, status, reason, message };
}
