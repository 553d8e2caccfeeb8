/**
 * The way of the data: commits of intent and events of the inventory go in, passes of units go out to the switches.
 * One loop, one step at a time: what arrives while a step is under way is taken together by the next one.
 */
import type { Logger } from 'pino';
import { Compiler, type Delta } from '../compile/compiler.ts';
import type { CompileState, Subject } from '../compile/state.ts';
import type { ChassisFacts, HypervisorNumber, InterfaceFacts, SwitchPlugin } from '../drivers/switch-plugin.ts';
import { parseMac } from '../intent/addresses.ts';
import type { Commit, Path, Resource, View } from '../intent/model.ts';
import { Bindings, type Decision } from '../inventory/bindings.ts';
import { datapathIdOf, Fleet, type Member } from '../inventory/fleet.ts';
import { Gateways } from '../inventory/gateways.ts';
import { parentPath } from '../inventory/paths.ts';
import type { GatewayEffect } from '../inventory/placement.ts';
import type { Zones } from '../inventory/zones.ts';
import type { Progress } from '../reconcile/progress.ts';
import type { Store } from '../store/store.ts';
import { hypervisorFields } from './naming.ts';
import { Records } from './records.ts';
import { Tunnels } from './tunnels.ts';
import { ZoneFlusher } from './zone-flusher.ts';

export type EngineEvent =
  | { type: 'commit'; commit: Commit }
  | { type: 'chassis'; facts: ChassisFacts }
  | { type: 'chassisGone'; systemId: string; reason: string }
  | { type: 'interfaces'; hypervisor: HypervisorNumber; interfaces: InterfaceFacts[] }
  | { type: 'tunnels'; hypervisor: HypervisorNumber; ofports: Map<HypervisorNumber, number> }
  | { type: 'patches'; hypervisor: HypervisorNumber; ofports: ReadonlyMap<string, number> }
  /** A switch has got further: retired zones may be flushed. */
  | { type: 'settle' }
  /** A conntrack zone has become free there. */
  | { type: 'zoneFreed'; hypervisor: HypervisorNumber };

export type EngineOptions = {
  view: View;
  store: Store;
  plugin: SwitchPlugin;
  progress: Progress;
  log: Logger /** Milliseconds. */;
  now?(): number;
  /** Whether routers tell senders of packets that are too big. */
  checkMtu?: boolean;
};

/** How long a hypervisor's tunnels are waited for before its switch is brought in line without them, milliseconds. */
const tunnelPatience = 3_000;

export class Engine {
  readonly fleet = new Fleet();
  readonly bindings: Bindings;
  readonly compiler: Compiler;
  readonly tunnels: Tunnels;
  readonly gateways: Gateways;
  readonly #view: View;
  readonly #records: Records;
  readonly #plugin: SwitchPlugin;
  readonly #progress: Progress;
  readonly #log: Logger;
  readonly #flusher: ZoneFlusher;
  readonly #checkMtu: boolean;
  #queue: EngineEvent[] = [];
  #running: Promise<void> | undefined;
  #stopped = false;
  #loaded = false;
  readonly #touched = new Set<Path>();
  /** Hypervisors whose tunnels have changed, or should, in this step. */
  readonly #tunnelsTold = new Set<HypervisorNumber>();
  /** Hypervisors that have told their interfaces and whose switches are not to be written to yet. */
  readonly #unready = new Set<Member>();
  /** Hypervisors whose tunnels are being waited for. */
  readonly #patient = new Set<HypervisorNumber>();
  readonly #lacksZone = new Map<Path, HypervisorNumber>();
  /** Called after each pass with what was deleted in it, and the switches the pass went to. */
  onPass:
    | ((pass: { sequence: number; on: HypervisorNumber[]; deleted: Resource[]; touched: Path[] }) => void)
    | undefined;

  constructor(options: EngineOptions) {
    this.#view = options.view;
    this.#records = new Records(options.store, options.log);
    this.#plugin = options.plugin;
    this.#progress = options.progress;
    this.#log = options.log;
    this.#checkMtu = options.checkMtu ?? true;
    this.bindings = new Bindings(options.view, this.fleet);
    this.gateways = new Gateways(options.view, this.fleet, this.bindings.placement);
    this.tunnels = new Tunnels(this.fleet, this.bindings.placement, options.plugin);
    this.#flusher = new ZoneFlusher(this.zones, options.plugin, options.progress, options.log, (h) =>
      hypervisorFields(this.fleet, h),
    );
    this.compiler = new Compiler(this.state, (flows, meters) => options.plugin.encode(flows, meters));
  }

  get zones(): Zones {
    return this.#records.zones;
  }

  /** Ports that are not bound because their hypervisor has no conntrack zone left. */
  get lacksZone(): ReadonlyMap<Path, HypervisorNumber> {
    return this.#lacksZone;
  }

  get state(): CompileState {
    const { fleet } = this;
    const { placement } = this.bindings;
    return {
      view: this.#view,
      placement,
      hypervisors: fleet.programmed,
      tunnel: (from, to) => fleet.get(from)?.tunnels.get(to),
      checkMtu: this.#checkMtu,
      gateways: (network) => placement.gatewaysOf(network),
      patch: (hypervisor, key) => fleet.get(hypervisor)?.patches.get(key),
      natZone: (hypervisor, network) => {
        const uid = this.#view.getAs('network', network)?.uid;
        return uid === undefined ? undefined : this.zones.zoneOf(hypervisor, uid);
      },
      nextHopMac: (pool) => {
        const given = this.#view.getAs('ip-pool', pool)?.spec.gatewayMac;
        return given === undefined ? undefined : parseMac(given);
      },
    };
  }

  /** Takes over what is durable and compiles all of it once. Nothing reaches a switch before. */
  async load(revision: number): Promise<void> {
    const { facts, bound } = await this.#records.load();
    const known = new Set<HypervisorNumber>();
    for (const h of this.#view.children('hypervisor', '')) {
      known.add(h.id);
      if (h.spec.admission !== 'lost') this.#admit(h, facts.get(h.id));
    }
    for (const number of new Set([...this.zones.hypervisors(), ...facts.keys()])) {
      // Deleted, and the controller ended before it had taken note.
      if (!known.has(number)) this.#records.forget(number, facts.get(number)?.systemId);
    }
    for (const { hypervisor, port, uid } of bound) {
      const resource = this.#view.getAs('port', port);
      if (resource === undefined || resource.uid !== uid || this.fleet.get(hypervisor) === undefined)
        this.zones.retire(hypervisor, uid);
      else {
        this.bindings.claims.remember(resource.spec.ifaceId, hypervisor);
        this.bindings.reconsider([resource.spec.ifaceId]);
      }
    }
    this.compiler.markFleet();
    for (const network of this.#everyRuleBucket()) this.compiler.mark(network);
    await this.#step([], revision);
    this.#loaded = true;
    if (this.#queue.length > 0) this.#running ??= this.#run();
  }

  *#everyRuleBucket(): Iterable<Subject> {
    for (const tenant of this.#view.children('tenant', '')) {
      for (const network of this.#view.children('network', tenant.path)) {
        this.compiler.markNetwork(network.path);
        for (const rule of this.#view.children('rule', network.path))
          yield `rules:${network.path}:${rule.spec.priority}:${rule.spec.action}`;
      }
    }
  }

  push(event: EngineEvent): void {
    if (this.#stopped) return;
    this.#queue.push(event);
    // What comes while loading waits for its end.
    if (this.#loaded) this.#running ??= this.#run();
  }

  /** Nothing waits and nothing is under way: what was emitted is what the state gives. */
  get quiet(): boolean {
    return this.#loaded && this.#running === undefined && this.#queue.length === 0;
  }

  /** Resolves when everything pushed so far has been dealt with. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#records.stop();
    this.#queue = [];
    await this.idle();
  }

  async #run(): Promise<void> {
    // Let what arrives in this turn of the event loop come together.
    await Promise.resolve();
    try {
      while (this.#queue.length > 0) {
        const events = this.#queue;
        this.#queue = [];
        await this.#step(events, 0);
      }
    } catch (error) {
      this.#log.fatal({ err: error }, 'a step of the engine failed');
      throw error;
    } finally {
      this.#running = undefined;
    }
  }

  async #step(events: EngineEvent[], loadedRevision: number): Promise<void> {
    let revision = Math.max(this.#progress.observed, loadedRevision);
    const deleted: Resource[] = [];
    for (const event of events) {
      if (event.type === 'commit') revision = Math.max(revision, event.commit.revision);
      this.#take(event, deleted);
    }
    const decisions = this.bindings.decide();
    const zones = decisions.map((d) => this.#zoneFor(d));
    decisions.forEach((decision, i) => {
      const effect = this.bindings.carryOut(decision, zones[i]);
      this.compiler.markPlacement(effect);
      this.#touched.add(decision.port);
      for (const r of this.#view.referrers(decision.port)) if (r.kind === 'steering') this.#touched.add(r.path);
      const network = parentPath(decision.port);
      // The first port makes a network one that is in use, and with the last it ends.
      if (effect.networkHosts && this.bindings.placement.hostsOfNetwork(network).length <= 1)
        this.gateways.touch(network);
      this.#tenantChanged(parentPath(network), effect.tenantHosts);
    });
    for (const effect of this.gateways.settle()) this.#gatewaysChanged(effect);
    for (const h of this.bindings.placement.takeOtherPairs()) this.compiler.mark(`failover:${h}`);
    // No flow reaches a switch before what it counts on is durable.
    await this.#records.persist();
    for (const h of this.tunnels.settle()) this.#tunnelsTold.add(h);
    const delta = this.compiler.flush();
    this.#send(delta, revision, deleted);
    for (const h of this.#tunnelsTold) this.#tellTunnels(h);
    this.#tunnelsTold.clear();
    for (const member of this.#unready) this.#readyIfComplete(member);
    this.#flusher.run((hypervisor) => this.push({ type: 'zoneFreed', hypervisor }));
  }

  #take(event: EngineEvent, deleted: Resource[]): void {
    switch (event.type) {
      case 'commit': {
        const { changes } = event.commit;
        // One may be approved under another name in the commit that deletes it.
        for (const { kind, before, after } of changes)
          if (kind === 'hypervisor' && after === undefined) this.#hypervisorChanged(before, after);
        for (const change of changes) {
          this.#touched.add(change.path);
          if (change.after === undefined && change.before !== undefined) deleted.push(change.before);
          if (change.kind === 'port') this.bindings.portChanged(change.before, change.after);
          if (change.kind === 'port' && change.after === undefined) this.#lacksZone.delete(change.path);
          if (change.kind === 'hypervisor' && change.after !== undefined)
            this.#hypervisorChanged(change.before, change.after);
          this.gateways.touchedBy(change);
          this.compiler.markCommit(change);
        }
        return;
      }
      case 'chassis': {
        const member = this.fleet.seen(event.facts);
        if (member === undefined) return;
        this.#rememberChassis(member);
        this.#tunnelsTold.add(member.number);
        return;
      }
      case 'chassisGone': {
        const member = this.fleet.gone(event.systemId);
        if (member === undefined) return;
        this.bindings.reconsider(this.bindings.claims.away(member.number));
        this.#tunnelsTold.add(member.number);
        return;
      }
      case 'interfaces': {
        const member = this.fleet.get(event.hypervisor);
        if (member === undefined) return;
        member.reported = true;
        if (!member.ready) this.#unready.add(member);
        this.bindings.reconsider(this.bindings.claims.update(event.hypervisor, event.interfaces));
        return;
      }
      case 'tunnels': {
        const member = this.fleet.get(event.hypervisor);
        if (member === undefined) return;
        for (const peer of new Set([...member.tunnels.keys(), ...event.ofports.keys()])) {
          if (member.tunnels.get(peer) !== event.ofports.get(peer))
            this.compiler.mark(`tunnel:${event.hypervisor}:${peer}`);
        }
        member.tunnels = event.ofports;
        this.#tunnelsTold.add(event.hypervisor);
        return;
      }
      case 'patches': {
        const member = this.fleet.get(event.hypervisor);
        if (member !== undefined) member.patches = event.ofports;
        return;
      }
      case 'zoneFreed':
        for (const [path, hypervisor] of this.#lacksZone) {
          const port = hypervisor === event.hypervisor ? this.#view.getAs('port', path) : undefined;
          if (port !== undefined) this.bindings.reconsider([port.spec.ifaceId]);
        }
        return;
      case 'settle':
        return;
    }
  }

  /** Hypervisors came to the tenant, or left it. */
  #tenantChanged(tenant: Path, hosts: readonly HypervisorNumber[]): void {
    if (hosts.length === 0) return;
    for (const h of hosts) this.tunnels.reconsider(h);
    for (const peer of this.bindings.placement.hostsOfTenant(tenant)) this.tunnels.reconsider(peer);
  }

  #gatewaysChanged(effect: GatewayEffect): void {
    this.compiler.markGateways(effect);
    this.#touched.add(effect.network);
    this.#tenantChanged(parentPath(effect.network), effect.tenantHosts);
  }

  #hypervisorChanged(before: Resource<'hypervisor'> | undefined, after: Resource<'hypervisor'> | undefined): void {
    const number = (after ?? before)?.id;
    if (number === undefined) return;
    // One that is lost may come back, with connections in every zone it had: they stay retired until it has flushed them.
    if (after === undefined) this.#records.forget(number, before?.spec.systemId);
    if (after === undefined || after.spec.admission === 'lost') {
      if (before === undefined || this.fleet.get(number) === undefined) return;
      this.bindings.reconsider(this.bindings.claims.forget(number));
      for (const port of this.bindings.placement.portsOn(number)) {
        const resource = this.#view.getAs('port', port);
        if (resource !== undefined) this.bindings.reconsider([resource.spec.ifaceId]);
      }
      const member = this.fleet.remove(number);
      if (member?.present === true && member.facts !== undefined) this.fleet.seen(member.facts);
      this.#plugin.dismiss(number);
      this.#progress.remove(number);
      this.tunnels.forget(number);
      this.compiler.markFleet();
      return;
    }
    if (this.fleet.get(number) === undefined) this.#admit(after, undefined);
    else this.fleet.admit(after);
    this.bindings.reconsider(this.bindings.claims.ifaceIdsOn(number));
  }

  #admit(resource: Resource<'hypervisor'>, remembered: ChassisFacts | undefined): void {
    const member = this.fleet.admit(resource, remembered);
    this.#progress.add(member.number);
    this.compiler.markFleet();
    this.#records.inherit(member.number, resource.spec.systemId);
    if (member.present) this.#rememberChassis(member);
    this.#plugin.admit({
      hypervisor: member.number,
      systemId: resource.spec.systemId,
      datapathId: datapathIdOf(member.number),
    });
  }

  /** A hypervisor without an OVSDB session is not connected: nobody waits for tunnels that it cannot be told to make. */
  #tellTunnels(hypervisor: HypervisorNumber): void {
    const present = this.fleet.get(hypervisor)?.present === true;
    this.#progress.tunnelsMissing(hypervisor, present ? this.tunnels.missing(hypervisor) : 0);
  }

  #rememberChassis(member: Member): void {
    this.#records.remember(member.number, member.facts);
    this.gateways.touchFleet();
    for (const peer of this.bindings.placement.peersOf(member.number)) this.tunnels.reconsider(peer);
    this.tunnels.reconsider(member.number);
  }

  #zoneFor(decision: Decision): number | undefined {
    const before = this.bindings.placement.get(decision.port);
    const port = this.#view.getAs('port', decision.port);
    const uid = port?.uid ?? decision.uid;
    if (before !== undefined) {
      const owner = this.zones.ownerOf(before.hypervisor, before.zone) ?? uid;
      // Another port of the same name may have come in the place of one that is gone: it gets a zone of its own.
      if (before.hypervisor !== decision.to?.hypervisor || owner !== uid) this.zones.retire(before.hypervisor, owner);
    }
    this.#lacksZone.delete(decision.port);
    if (decision.to === undefined) return undefined;
    const zone = this.zones.allocate(decision.to.hypervisor, decision.port, uid);
    if (zone === undefined) this.#lacksZone.set(decision.port, decision.to.hypervisor);
    return zone;
  }

  #send(delta: Delta, revision: number, deleted: Resource[]): void {
    // A hypervisor that was given up in this step is no longer anybody's to write to.
    const ours = (h: HypervisorNumber) => this.fleet.programmed.has(h);
    for (const s of delta.set) s.on = s.on.filter(ours);
    for (const r of delta.remove) r.on = r.on.filter(ours);
    const on = new Set<HypervisorNumber>();
    for (const s of delta.set) for (const h of s.on) on.add(h);
    for (const r of delta.remove) for (const h of r.on) on.add(h);
    const targets = [...on];
    if (targets.length === 0 && revision <= this.#progress.observed && this.#touched.size === 0) return;
    const touched = [...this.#touched];
    this.#touched.clear();
    const sequence = this.#progress.begin(revision, targets, touched);
    for (const s of delta.set)
      if (s.unit.startsWith('tunnel/')) for (const h of s.on) this.#progress.tunnelsSent(h, sequence);
    if (targets.length > 0) this.#plugin.apply({ sequence, set: delta.set, remove: delta.remove });
    this.onPass?.({ sequence, on: targets, deleted, touched });
  }

  /** A switch is brought in line once everything that belongs on it is known: its interfaces and its tunnels' ports. */
  #readyIfComplete(member: Member): void {
    if (member.ready || !member.reported) return;
    if (this.tunnels.missing(member.number) > 0) {
      if (this.#patient.has(member.number)) return;
      this.#patient.add(member.number);
      setTimeout(() => {
        this.#patient.delete(member.number);
        if (member.ready || !member.reported || this.#stopped) return;
        this.#log.warn(
          { ...hypervisorFields(this.fleet, member.number), tunnels: this.tunnels.missing(member.number) },
          'tunnels are missing; the switch is programmed without them',
        );
        this.#ready(member);
      }, tunnelPatience).unref();
      return;
    }
    this.#ready(member);
  }

  #ready(member: Member): void {
    this.#unready.delete(member);
    if (this.fleet.get(member.number) !== member) return;
    member.ready = true;
    this.#plugin.ready(member.number);
  }
}
