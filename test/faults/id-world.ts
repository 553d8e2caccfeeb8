/**
 * Hypervisors that keep what was once installed on them, whatever becomes of the controller: flows, each with what its ids
 * meant when it was sent, and connections in conntrack zones.
 */
import type { HypervisorNumber, Pass, TunnelSpec } from '../../src/drivers/switch-plugin.ts';
import type { View } from '../../src/intent/model.ts';
import { cookieResource } from '../../src/pipeline/cookie.ts';
import type { Flow, Scalar } from '../../src/pipeline/flow.ts';
import { type Register, registers } from '../../src/pipeline/registers.ts';
import { probeKey } from '../../src/pipeline/stages/probe.ts';
import { FakeSwitches } from '../support/fake-switches.ts';

/** `tenant-key 5` -> uid of its owner. Zones are not here: they are a hypervisor's own. */
type Meanings = Map<string, string>;

type Unit = { meanings: Meanings /** Zone -> uid of the port. */; zones: Map<number, string> };

const kinds = [
  ['tenant-key', registers.key, 'tenant'],
  ['network-number', registers.network, 'network'],
  ['tier-number', registers.tier, 'tier'],
  ['rule-id', registers.rule, 'rule'],
  ['hypervisor-number', registers.toPeer, 'hypervisor'],
  ['hypervisor-number', registers.fromPeer, 'hypervisor'],
] as const;

/** The value a flow matches or loads in the register, if it does. */
function partOf(register: Register, field: string, value: Scalar, mask: Scalar | undefined): number | undefined {
  if (field !== register.field) return undefined;
  const bits = (1n << BigInt(register.bits)) - 1n;
  const at = BigInt(register.offset);
  if (mask !== undefined && ((BigInt(mask) >> at) & bits) !== bits) return undefined;
  return Number((BigInt(value) >> at) & bits);
}

function* values(flow: Flow, register: Register): Iterable<number> {
  for (const [field, matched] of Object.entries(flow.match)) {
    const [value, mask] = typeof matched === 'object' ? [matched.value, matched.mask] : [matched, undefined];
    const found = partOf(register, field, value, mask);
    if (found !== undefined) yield found;
  }
  for (const action of flow.actions) {
    if (action.type !== 'setField') continue;
    const found = partOf(register, action.field, action.value, action.mask);
    if (found !== undefined) yield found;
  }
}

/** A physical host. */
export class Host {
  readonly systemId: string;
  installed = new Map<string, Unit>();
  /** Zone -> uids of ports whose connections are in it. */
  readonly connections = new Map<number, Set<string>>();

  constructor(systemId: string) {
    this.systemId = systemId;
  }

  /** Its switch has these flows from now on; ports that have flows have connections. */
  install(units: ReadonlyMap<string, Unit>): void {
    this.installed = new Map(units);
    for (const { zones } of units.values()) {
      for (const [zone, uid] of zones) {
        const there = this.connections.get(zone) ?? new Set();
        this.connections.set(zone, there.add(uid));
      }
    }
  }

  /** The machine starts anew: nothing is left. */
  reboot(): void {
    this.installed = new Map();
    this.connections.clear();
  }
}

/** The controller's side of the switches, for one run of the controller. */
export class IdSwitches extends FakeSwitches {
  readonly violations: string[] = [];
  readonly #hosts: ReadonlyMap<string, Host>;
  readonly #meant = new Map<HypervisorNumber, Map<string, Unit>>();
  readonly #live = new Set<string>();
  #view: View | undefined;
  /** Who had each id when it was last seen: a step that was under way when a hypervisor was deleted may still name it. */
  readonly #lastOwners = new Map<string, string>();
  /** Passes of the load, before anybody could say what ids mean. */
  #early: Pass[] = [];

  constructor(hosts: ReadonlyMap<string, Host>) {
    super();
    this.#hosts = hosts;
    this.prompt = false;
  }

  /** What ids mean; nothing has changed since the load. */
  set view(view: View) {
    this.#view = view;
    for (const pass of this.#early) this.#understand(pass);
    this.#early = [];
  }

  hostOf(hypervisor: HypervisorNumber): Host | undefined {
    return this.#hosts.get(this.admitted.get(hypervisor)?.systemId ?? '');
  }

  numberOf(systemId: string): HypervisorNumber | undefined {
    return [...this.admitted].find(([, admission]) => admission.systemId === systemId)?.[0];
  }

  /** Its OpenFlow session is up: it is brought in line as soon as it may be. */
  connectSwitch(systemId: string): void {
    this.#live.add(systemId);
    const hypervisor = this.numberOf(systemId);
    if (hypervisor !== undefined && this.readied.has(hypervisor)) this.#sync(hypervisor);
  }

  disconnectSwitch(systemId: string): void {
    if (!this.#live.delete(systemId)) return;
    const hypervisor = this.numberOf(systemId);
    if (hypervisor !== undefined && this.readied.has(hypervisor)) this.events.disconnected(hypervisor, 'gone');
  }

  /** The switch confirms what it was sent, if it is there. */
  confirm(systemId: string): void {
    const hypervisor = this.numberOf(systemId);
    if (hypervisor === undefined || !this.#live.has(systemId) || !this.readied.has(hypervisor)) return;
    this.#install(hypervisor);
    this.acknowledge([hypervisor]);
  }

  override setTunnels(hypervisor: HypervisorNumber, tunnels: TunnelSpec[]): void {
    this.tunnels.set(hypervisor, tunnels);
    // Numbers of hypervisors are high here, those of ports must not be.
    const ports = new Map(tunnels.map(({ peer }) => [peer, 65_535 - peer + 100]));
    queueMicrotask(() => {
      if (this.admitted.has(hypervisor)) this.events.tunnels(hypervisor, ports);
    });
  }

  override ready(hypervisor: HypervisorNumber): void {
    this.readied.add(hypervisor);
    if (this.#live.has(this.admitted.get(hypervisor)?.systemId ?? '')) this.#sync(hypervisor);
  }

  override dismiss(hypervisor: HypervisorNumber): void {
    this.#live.delete(this.admitted.get(hypervisor)?.systemId ?? '');
    super.dismiss(hypervisor);
    this.readied.delete(hypervisor);
    this.#meant.delete(hypervisor);
  }

  override apply(pass: Pass): void {
    super.apply(pass);
    if (this.#view === undefined) this.#early.push(pass);
    else this.#understand(pass);
  }

  #understand(pass: Pass): void {
    for (const { unit, on } of pass.remove) for (const h of on) this.#meant.get(h)?.delete(unit);
    for (const { unit, on, flows } of pass.set) {
      const meant = this.#meaning(this.decode(flows));
      for (const h of on) this.#meant.set(h, (this.#meant.get(h) ?? new Map<string, Unit>()).set(unit, meant));
    }
  }

  override flushZone(hypervisor: HypervisorNumber, zone: number): Promise<void> {
    const host = this.hostOf(hypervisor);
    if (host === undefined || !this.#live.has(host.systemId)) return Promise.reject(new Error('not connected'));
    for (const [unit, { zones }] of host.installed)
      if (zones.has(zone)) this.violations.push(`zone ${zone} of ${host.systemId} flushed while ${unit} uses it`);
    host.connections.delete(zone);
    return super.flushZone(hypervisor, zone);
  }

  #sync(hypervisor: HypervisorNumber): void {
    this.#install(hypervisor);
    this.events.connected(hypervisor);
    this.acknowledge([hypervisor]);
  }

  #install(hypervisor: HypervisorNumber): void {
    this.hostOf(hypervisor)?.install(this.#meant.get(hypervisor) ?? new Map());
  }

  /** Ids in what is wanted on switches that belong to nobody: there are none once everything has been dealt with. */
  strays(): string[] {
    const owners = ownersOf(this.#view!);
    const found: string[] = [];
    for (const [hypervisor, units] of this.#meant) {
      for (const [key, { meanings }] of units)
        for (const [id, uid] of meanings)
          if (owners.get(id) !== uid)
            found.push(`${id} in ${key} for hypervisor ${hypervisor} is not ${uid}'s any more`);
    }
    return found;
  }

  /** What the ids in the flows mean now. */
  #meaning(flows: readonly Flow[]): Unit {
    const owners = ownersOf(this.#view!);
    for (const [id, uid] of owners) this.#lastOwners.set(id, uid);
    const unit: Unit = { meanings: new Map(), zones: new Map() };
    for (const flow of flows) {
      for (const [pool, register] of kinds) {
        // 0 is nobody: a register that is cleared.
        for (const value of values(flow, register)) if (value !== 0) this.#note(unit, owners, `${pool} ${value}`);
      }
      const key = flow.match.tun_id;
      // Probes between hypervisors travel under no tenant's key.
      const ofTenant = (typeof key === 'bigint' || typeof key === 'number') && BigInt(key) !== BigInt(probeKey);
      if (ofTenant) this.#note(unit, owners, `tenant-key ${key}`);
      for (const zone of values(flow, registers.zone)) {
        const port = this.#view!.byNumber(cookieResource(flow.cookie));
        if (port === undefined) this.violations.push(`zone ${zone} in a flow of no port`);
        else unit.zones.set(zone, port.uid);
      }
    }
    return unit;
  }

  #note(unit: Unit, owners: ReadonlyMap<string, string>, id: string): void {
    const owner = owners.get(id) ?? this.#lastOwners.get(id);
    if (owner === undefined) this.violations.push(`${id} is sent to a switch and belongs to nobody`);
    else unit.meanings.set(id, owner);
  }
}

/** Every id that is given out in intent, with the uid of its owner. */
export function ownersOf(view: View): Map<string, string> {
  const owners = new Map<string, string>();
  const add = (pool: string, one: { id: number; uid: string }): void => void owners.set(`${pool} ${one.id}`, one.uid);
  for (const hypervisor of view.children('hypervisor', '')) add('hypervisor-number', hypervisor);
  for (const policy of view.children('policy', '')) add('rule-id', policy);
  for (const tenant of view.children('tenant', '')) {
    add('tenant-key', tenant);
    for (const network of view.children('network', tenant.path)) {
      add('network-number', network);
      for (const tier of view.children('tier', network.path)) add('tier-number', tier);
      for (const rule of view.children('rule', network.path)) add('rule-id', rule);
      for (const steering of view.children('steering', network.path)) add('rule-id', steering);
    }
  }
  return owners;
}

/** Ids with two meanings at once, on any host or in intent, and zones that hold somebody else's connections. */
export function conflicts(view: View, hosts: Iterable<Host>): string[] {
  const found: string[] = [];
  const meanings = ownersOf(view);
  for (const host of hosts) {
    const zones = new Map<number, string>();
    for (const [key, unit] of host.installed) {
      for (const [id, uid] of unit.meanings) {
        const other = meanings.get(id) ?? uid;
        if (other !== uid) found.push(`${id} means ${uid} in ${key} on ${host.systemId}, and ${other} elsewhere`);
        meanings.set(id, uid);
      }
      for (const [zone, uid] of unit.zones) {
        const other = zones.get(zone) ?? uid;
        if (other !== uid) found.push(`zone ${zone} on ${host.systemId} is ${uid}'s and ${other}'s`);
        zones.set(zone, uid);
        for (const left of host.connections.get(zone) ?? [])
          if (left !== uid) found.push(`zone ${zone} on ${host.systemId} is ${uid}'s and holds connections of ${left}`);
      }
    }
  }
  return found;
}
