/**
 * Switches without switches: what the API is told by reconcile and inventory, by the rules of the contract. Every
 * commit must be acknowledged by every switch; by itself, or when the test says so.
 */

import type {
  Binding,
  DumpedFlow,
  Fabric,
  Hits,
  SeenInterface,
  Status,
  StatusSource,
  WaitMode,
} from '../../src/api/context.ts';
import type { ChassisFacts } from '../../src/drivers/switch-plugin.ts';
import { findPublicIps } from '../../src/engine/where.ts';
import type { Intent } from '../../src/intent/intent.ts';
import type { Path, Resource, ResourceChange } from '../../src/intent/model.ts';
import { Problem } from '../../src/problems.ts';
import type { Diagnosis, Recomputation, Upkeep } from '../../src/reconcile/upkeep.ts';
import type { Answer, Connectivity, TraceRequest, TraceService } from '../../src/trace/service.ts';

type Switch = { connected: boolean; acknowledged: number; automatic: boolean };

export class Fleet implements StatusSource, Fabric, Upkeep, TraceService {
  readonly switches = new Map<string, Switch>();
  readonly waiting: { name: string; facts: ChassisFacts }[] = [];
  readonly bindings = new Map<Path, Binding>();
  readonly installed: DumpedFlow[] = [];
  isReady = true;
  /** What was asked to be traced, and what a trace answers. */
  readonly traced: TraceRequest[] = [];
  answer: Answer | undefined;
  readonly #intent: Intent;
  readonly #going = new Map<Path, Resource & { deletedAt: number }>();
  readonly #listeners = new Set<(path: Path, status: Status) => void>();
  readonly #waiters = new Set<() => void>();

  constructor(intent: Intent) {
    this.#intent = intent;
    intent.onCommit(({ revision, changes }) => {
      for (const { path, before, after } of changes) {
        if (after) this.#going.delete(path);
        else if (before) this.#going.set(path, { ...before, deletedAt: revision });
      }
      for (const one of this.switches.values()) if (one.connected && one.automatic) one.acknowledged = revision;
      this.#settle(changes.map(({ path }) => path));
    });
  }

  trace(request: TraceRequest): Promise<Answer> {
    this.traced.push(request);
    if (this.answer !== undefined) return Promise.resolve(this.answer);
    return Promise.reject(new Problem('hypervisor.not-connected', 'hv1 is not connected'));
  }

  traceLive(request: TraceRequest): Promise<Answer> {
    return this.trace(request);
  }

  /** Names it was asked for with. */
  readonly probed: (readonly string[] | undefined)[] = [];

  connectivity(hypervisors?: readonly string[]): Promise<Connectivity> {
    this.probed.push(hypervisors);
    return Promise.resolve({ at: 1, worst: 'ok', pairs: [] });
  }

  add(name: string, options: Partial<Switch> = {}): Switch {
    const one = { connected: true, acknowledged: this.#intent.revision, automatic: true, ...options };
    this.switches.set(name, one);
    return one;
  }

  acknowledge(name: string, revision = this.#intent.revision): void {
    this.switches.get(name)!.acknowledged = revision;
    this.#settle(this.#tell());
  }

  status(resource: Resource): Status {
    const programmed = this.#reached('programmed');
    const unreachable = [...this.switches].filter(([, { connected }]) => !connected).map(([name]) => name);
    return {
      state: programmed < resource.revision ? 'pending' : unreachable.length > 0 ? 'degraded' : 'programmed',
      observedRevision: this.#intent.revision,
      programmedRevision: Math.min(programmed, this.#intent.revision),
      conditions: unreachable.map((name) => ({
        type: 'HypervisorUnreachable',
        status: 'True',
        reason: 'NotConnected',
        message: `${name} (192.0.2.7) has no session`,
      })),
    };
  }

  deleting(path: Path): Resource | undefined {
    return this.#going.get(path);
  }

  async wait(revision: number, mode: WaitMode, timeout: number): Promise<boolean> {
    if (this.#reached(mode) >= revision) return true;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const check = () => this.#reached(mode) >= revision && resolve(true);
    const late = setTimeout(() => resolve(false), timeout);
    this.#waiters.add(check);
    const done = await promise;
    clearTimeout(late);
    this.#waiters.delete(check);
    return done;
  }

  onStatus(listener: (path: Path, status: Status) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  pending() {
    return this.waiting.filter(({ facts }) => ![...this.#systemIds()].includes(facts.systemId));
  }

  chassis(hypervisor: Path): ChassisFacts | undefined {
    const systemId = this.#intent.getAs('hypervisor', hypervisor)?.spec.systemId;
    return this.waiting.find(({ facts }) => facts.systemId === systemId)?.facts;
  }

  connected(hypervisor: Path): boolean {
    return this.switches.get(nameOf(hypervisor))?.connected ?? false;
  }

  portsOn(hypervisor: Path): number {
    return [...this.bindings.values()].filter((binding) => binding.hypervisor === nameOf(hypervisor)).length;
  }

  readonly interfaces: SeenInterface[] = [];

  unclaimed(): SeenInterface[] {
    return this.interfaces.filter(({ ifaceId }) => this.#intent.portByIfaceId(ifaceId) === undefined);
  }

  binding(port: Path): Binding | null {
    return this.bindings.get(port) ?? null;
  }

  datapathId({ id }: Resource<'hypervisor'>): string {
    return id.toString(16).padStart(16, '0');
  }

  async flows(hypervisor: Path, which: 'installed' | 'desired'): Promise<DumpedFlow[]> {
    if (which === 'installed' && !this.connected(hypervisor))
      throw new Problem('hypervisor.not-connected', `${hypervisor} has no session`);
    return which === 'installed' ? this.installed : this.installed.map(({ stats: _, ...flow }) => flow);
  }

  async drift(hypervisor: Path) {
    const [first] = await this.flows(hypervisor, 'installed');
    return { missing: [], extra: first ? [first] : [], different: [] };
  }

  async explain(text: string) {
    const found = this.installed.find(({ flow }) => `0x${flow.cookie.toString(16)}` === text);
    if (!found) throw new Problem('resource.not-found', `Nothing has the cookie ${text}`);
    const { purpose } = found;
    return { flow: found.text, stage: purpose.stage, path: purpose.path, text: [purpose.text], hypervisors: ['hv1'] };
  }

  /** What the tests say that switches have counted. */
  counted: Hits = { packets: 0, bytes: 0, carried: { packets: 0, bytes: 0 }, complete: true };

  hits(): Promise<Hits> {
    return Promise.resolve(this.counted);
  }

  where(query: string) {
    const found: { port: Resource<'port'>; binding: Binding | null }[] = [];
    for (const tenant of this.#intent.children('tenant', ''))
      for (const network of this.#intent.children('network', tenant.path))
        for (const port of this.#intent.children('port', network.path)) {
          const { mac, ips, ifaceId } = port.spec;
          if ([port.path, port.name, mac, ifaceId, ...ips].includes(query))
            found.push({ port, binding: this.binding(port.path) });
        }
    return found;
  }

  wherePublic(query: string) {
    return findPublicIps(this.#intent, query).map((publicIp) => ({ publicIp, on: ['gw1'] }));
  }

  preview() {
    let added = 0;
    let removed = 0;
    return {
      staged(changes: readonly ResourceChange[]) {
        for (const { before, after } of changes) {
          if (after && !before) added++;
          if (before && !after) removed++;
        }
      },
      result: () => [...this.switches.keys()].map((hypervisor) => ({ hypervisor, added, changed: 0, removed })),
    };
  }

  metrics() {
    return [
      {
        name: 'keyway_switches',
        help: 'Switches by session',
        type: 'gauge' as const,
        values: [...this.switches].map(([hypervisor, { connected }]) => ({
          labels: { hypervisor },
          value: connected ? 1 : 0,
        })),
      },
    ];
  }

  async recompute(mend: boolean): Promise<Recomputation> {
    const unit = { unit: 'port/1', subject: 'port:x', where: 'compiler' as const, what: 'other flows' };
    const different = [{ ...unit, hypervisors: [...this.switches.keys()] }];
    const { revision } = this.#intent;
    return { revision, subjects: 2, units: 3, different, unsettled: [], mended: mend, took: 1.5, longestSlice: 0.5 };
  }

  async doctor(quick: boolean): Promise<Diagnosis> {
    const found = quick ? 'not read back' : 'no drift';
    return { at: 1, worst: 'ok', checks: [{ check: 'drift', object: 'switches', state: 'ok', found, advice: '' }] };
  }

  ready() {
    return this.isReady
      ? { ready: true, reason: 'serving' }
      : { ready: false, reason: 'the southbound does not listen' };
  }

  *#systemIds(): Generator<string> {
    for (const { spec } of this.#intent.children('hypervisor', '')) yield spec.systemId;
  }

  #reached(mode: WaitMode): number {
    let reached = Number.MAX_SAFE_INTEGER;
    for (const { connected, acknowledged } of this.switches.values())
      if (connected || mode === 'all') reached = Math.min(reached, acknowledged);
    return reached;
  }

  /** Forgets what every switch has confirmed to be gone. */
  #tell(): Path[] {
    return [...this.#going].filter(([, { deletedAt }]) => this.#reached('all') >= deletedAt).map(([path]) => path);
  }

  #settle(touched: Path[]): void {
    const gone = this.#tell().map((path) => [path, this.#going.get(path)!] as const);
    for (const [path] of gone) this.#going.delete(path);
    for (const waiter of this.#waiters) waiter();
    const told = new Map<Path, Resource>(gone);
    for (const path of touched) {
      const resource = this.#intent.get(path) ?? this.#going.get(path);
      if (resource) told.set(path, resource);
    }
    for (const [path, resource] of told) for (const listener of this.#listeners) listener(path, this.status(resource));
  }
}

function nameOf(hypervisor: Path): string {
  return hypervisor.slice(hypervisor.lastIndexOf('/') + 1);
}
