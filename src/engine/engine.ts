/**
 * The way of the data: commits of intent and events of the inventory go in, passes of units go out to the switches.
 * One loop, one step at a time: what arrives while a step is under way is taken together by the next one.
 */
import type { Logger } from 'pino';
import { Compiler, type Delta } from '../compile/compiler.ts';
import { dirtyByPool } from '../compile/dirty.ts';
import type { CompileState, Subject } from '../compile/state.ts';
import type { ChassisFacts, HypervisorNumber, InterfaceFacts, SwitchPlugin } from '../drivers/switch-plugin.ts';
import { parseMac } from '../intent/addresses.ts';
import type { Commit, Path, Resource, View } from '../intent/model.ts';
import { Bindings } from '../inventory/bindings.ts';
import { datapathIdOf, Fleet, type Member } from '../inventory/fleet.ts';
import { parentPath } from '../inventory/paths.ts';
import type { PlacementEffect } from '../inventory/placement.ts';
import type { Zones } from '../inventory/zones.ts';
import type { Progress } from '../reconcile/progress.ts';
import type { Store } from '../store/store.ts';
import { AfterPass } from './after-pass.ts';
import { Announcements } from './announcements.ts';
import { hypervisorFields } from './naming.ts';
import { type LearntHop, NextHops } from './next-hops.ts';
import { Patches } from './patches.ts';
import { PortZones } from './port-zones.ts';
import { Readiness } from './readiness.ts';
import { Records } from './records.ts';
import { StaleConnections } from './stale-connections.ts';
import { Tunnels } from './tunnels.ts';
import { WayOut } from './way-out.ts';
import { ZoneFlusher } from './zone-flusher.ts';

export type EngineEvent =
  | { type: 'commit'; commit: Commit }
  | { type: 'chassis'; facts: ChassisFacts }
  | { type: 'chassisGone'; systemId: string; reason: string }
  | { type: 'interfaces'; hypervisor: HypervisorNumber; interfaces: InterfaceFacts[] }
  | { type: 'tunnels'; hypervisor: HypervisorNumber; ofports: Map<HypervisorNumber, number> }
  | { type: 'patches'; hypervisor: HypervisorNumber; ofports: ReadonlyMap<string, number> }
  /** The next hop of a pool has answered. */
  | { type: 'nextHop'; pool: Path; hop: LearntHop }
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

export class Engine {
  readonly fleet = new Fleet();
  readonly bindings: Bindings;
  readonly compiler: Compiler;
  readonly tunnels: Tunnels;
  readonly patches: Patches;
  readonly nextHops: NextHops;
  readonly wayOut: WayOut;
  readonly #afterPass: AfterPass;
  readonly #announcements: Announcements;
  readonly #staleConnections: StaleConnections;
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
  /** Hypervisors that have told of other patches in this step. */
  readonly #patchesTold = new Set<HypervisorNumber>();
  readonly #portZones: PortZones;
  readonly #readiness: Readiness;
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
    this.tunnels = new Tunnels(this.fleet, this.bindings.placement, options.plugin);
    this.#flusher = new ZoneFlusher(this.zones, options.plugin, options.progress, options.log, (h) =>
      hypervisorFields(this.fleet, h),
    );
    const { view, plugin, progress, log } = options;
    const { fleet } = this;
    const { placement } = this.bindings;
    this.#portZones = new PortZones(view, this.zones, placement);
    this.patches = new Patches(view, fleet, placement, plugin);
    this.nextHops = new NextHops({
      view,
      fleet,
      progress,
      plugin,
      log,
      now: options.now ?? Date.now,
      learnt: (pool, hop) => this.push({ type: 'nextHop', pool, hop }),
    });
    const { tunnels, patches } = this;
    this.#readiness = new Readiness({ fleet, tunnels, patches, plugin, progress, log });
    const { state } = this;
    this.#afterPass = new AfterPass(progress, options.now ?? Date.now);
    this.#announcements = new Announcements({ state, plugin, log, afterPass: this.#afterPass });
    this.#staleConnections = new StaleConnections({ state, plugin, log, afterPass: this.#afterPass });
    this.compiler = new Compiler(state, (flows, meters) => plugin.encode(flows, meters));
    this.wayOut = new WayOut({
      view,
      fleet,
      placement,
      state,
      records: this.#records,
      portZones: this.#portZones,
      patches: this.patches,
      tunnels: this.tunnels,
      nextHops: this.nextHops,
      mark: (subject) => this.compiler.mark(subject),
      markGateways: (effect) => this.compiler.markGateways(effect),
      touched: (path) => this.#touched.add(path),
      placed: (effect) => this.#placed(effect),
    });
  }

  get zones(): Zones {
    return this.#records.zones;
  }

  /** Ports that are not bound because their hypervisor has no conntrack zone left. */
  get lacksZone(): ReadonlyMap<Path, HypervisorNumber> {
    return this.#portZones.lacking;
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
        return given === undefined ? this.nextHops.learntMac(pool) : parseMac(given);
      },
    };
  }

  /** Takes over what is durable and compiles all of it once. Nothing reaches a switch before. */
  async load(revision: number): Promise<void> {
    const { facts, bound, patches, nextHops } = await this.#records.load();
    const known = new Set<HypervisorNumber>();
    for (const h of this.#view.children('hypervisor', '')) {
      known.add(h.id);
      if (h.spec.admission !== 'lost') this.#admit(h, facts.get(h.id));
    }
    for (const [number, keys] of patches) {
      const member = this.fleet.get(number);
      if (member !== undefined) member.patches = new Map(keys.map((key) => [key, 0]));
    }
    this.nextHops.load(nextHops);
    for (const number of nextHops.keys())
      if (this.#view.byNumber(number)?.kind !== 'ip-pool') this.#records.rememberNextHop(number, undefined);
    for (const number of new Set([...this.zones.hypervisors(), ...facts.keys(), ...patches.keys()])) {
      // Deleted, and the controller ended before it had taken note.
      if (!known.has(number)) this.#records.forget(number, facts.get(number)?.systemId);
    }
    for (const { hypervisor, port, uid } of bound) {
      const resource = this.#view.get(port);
      if (resource === undefined || resource.uid !== uid || this.fleet.get(hypervisor) === undefined)
        this.zones.retire(hypervisor, uid);
      else if (resource.kind === 'network') this.wayOut.natZones.remember(port, uid, hypervisor);
      else if (resource.kind === 'port' && resource.spec.attachment !== undefined) {
        this.#portZones.remember(port, uid, hypervisor);
        this.wayOut.devices.reconsider(port);
      } else if (resource.kind === 'port') this.bindings.remember(resource, hypervisor);
    }
    this.wayOut.load();
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
    this.nextHops.stop();
    this.#readiness.stop();
    this.#afterPass.stop();
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
    const zones = decisions.map(
      ({ port, uid, to }) => this.#portZones.give(port, uid, to === undefined ? [] : [to.hypervisor])[0],
    );
    this.wayOut.decide(decisions.flatMap(({ port, to }) => (to === undefined ? [] : [parentPath(port)])));
    await this.#records.persist();
    decisions.forEach((decision, i) => {
      this.#placed(this.bindings.carryOut(decision, zones[i]));
    });
    this.wayOut.carryOut();
    // What was placed may have moved static NAT, or ended the use of a network. Mostly there is nothing to be written.
    this.wayOut.decide();
    await this.#records.persist();
    this.wayOut.carryOut();
    for (const h of this.patches.settle()) this.#readiness.asked(h);
    for (const h of this.fleet.takeRivals()) {
      const path = this.fleet.get(h)?.resource.path;
      if (path !== undefined) this.#touched.add(path);
    }
    for (const h of this.bindings.placement.takeOtherPairs()) this.compiler.mark(`failover:${h}`);
    for (const h of this.tunnels.settle()) this.#readiness.changed(h);
    const delta = this.compiler.flush();
    this.#send(delta, revision, deleted);
    this.#patchesTold.clear();
    this.#readiness.settle();
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
          if (change.kind === 'port' && change.after === undefined) this.#portZones.lacking.delete(change.path);
          if (change.kind === 'hypervisor' && change.after !== undefined)
            this.#hypervisorChanged(change.before, change.after);
          this.wayOut.touchedBy(change);
          this.#staleConnections.touchedBy(change);
          this.compiler.markCommit(change);
        }
        return;
      }
      case 'chassis': {
        const member = this.fleet.seen(event.facts);
        if (member === undefined) return;
        this.#rememberChassis(member);
        this.#readiness.changed(member.number);
        return;
      }
      case 'chassisGone': {
        const member = this.fleet.gone(event.systemId);
        if (member === undefined) return;
        this.bindings.reconsider(this.bindings.claims.away(member.number));
        this.#readiness.changed(member.number);
        return;
      }
      case 'interfaces': {
        const member = this.fleet.get(event.hypervisor);
        if (member === undefined) return;
        this.#readiness.reported(member);
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
        this.compiler.mark(`failover:${event.hypervisor}`);
        member.tunnels = event.ofports;
        this.#readiness.changed(event.hypervisor);
        return;
      }
      case 'patches': {
        const member = this.fleet.get(event.hypervisor);
        if (member === undefined) return;
        this.wayOut.patchesTold(member, event.ofports);
        this.#readiness.changed(event.hypervisor);
        this.#patchesTold.add(event.hypervisor);
        return;
      }
      case 'zoneFreed':
        for (const [path, hypervisor] of this.lacksZone) {
          const port = hypervisor === event.hypervisor ? this.#view.getAs('port', path) : undefined;
          if (port === undefined) continue;
          if (port.spec.attachment === undefined) this.bindings.reconsider([port.spec.ifaceId]);
          else this.wayOut.devices.reconsider(path);
        }
        this.wayOut.natZones.freed(event.hypervisor);
        return;
      case 'nextHop': {
        const pool = this.#view.getAs('ip-pool', event.pool);
        if (pool === undefined) return;
        this.#records.rememberNextHop(pool.number, event.hop);
        this.#touched.add(pool.path);
        for (const subject of dirtyByPool(this.#view, pool.path)) this.compiler.mark(subject);
        return;
      }
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

  #placed(effect: PlacementEffect): void {
    const { port } = effect;
    this.compiler.markPlacement(effect);
    this.#touched.add(port);
    for (const r of this.#view.referrers(port)) if (r.kind === 'steering') this.#touched.add(r.path);
    this.#tenantChanged(parentPath(parentPath(port)), effect.tenantHosts);
    this.wayOut.placed(effect);
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
      this.wayOut.hypervisorWent(number);
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

  #rememberChassis(member: Member): void {
    this.#records.remember(member.number, member.facts);
    this.wayOut.hypervisorCame(member);
    for (const peer of this.bindings.placement.peersOf(member.number)) this.tunnels.reconsider(peer);
    this.tunnels.reconsider(member.number);
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
    const lacking = this.#readiness.lacking(this.wayOut.concerned(touched));
    const sequence = this.#progress.begin(revision, targets, touched, lacking);
    for (const s of delta.set)
      if (s.unit.startsWith('tunnel/')) for (const h of s.on) this.#progress.tunnelsSent(h, sequence);
    for (const h of this.#patchesTold) if (on.has(h)) this.#progress.tunnelsSent(h, sequence);
    if (targets.length > 0) this.#plugin.apply({ sequence, set: delta.set, remove: delta.remove });
    this.#announcements.take(delta, sequence);
    this.#staleConnections.sent(sequence);
    this.onPass?.({ sequence, on: targets, deleted, touched });
  }
}
