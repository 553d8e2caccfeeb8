/**
 * What the way out of networks depends on: gateways, patches, conntrack zones of NAT, next hops, and devices behind VLANs.
 * Whatever happens is noted as it comes, and decided in one go once bindings are.
 */
import { publicHomes } from '../compile/public-address.ts';
import type { CompileState, Subject } from '../compile/state.ts';
import { type HypervisorNumber, servicesPatch } from '../drivers/switch-plugin.ts';
import type { Path, Resource, ResourceChange, View } from '../intent/model.ts';
import { type DeviceDecision, Devices, placeDevice } from '../inventory/devices.ts';
import type { Fleet, Member } from '../inventory/fleet.ts';
import { Gateways } from '../inventory/gateways.ts';
import { NatZones } from '../inventory/nat-zones.ts';
import { patchedResource } from '../inventory/patch-keys.ts';
import { parentPath } from '../inventory/paths.ts';
import type { GatewayEffect, Placement, PlacementEffect } from '../inventory/placement.ts';
import type { NextHops } from './next-hops.ts';
import type { Patches } from './patches.ts';
import type { PortZones } from './port-zones.ts';
import type { Records } from './records.ts';
import type { Tunnels } from './tunnels.ts';

export type WayOutOptions = {
  view: View;
  fleet: Fleet;
  placement: Placement;
  state: CompileState;
  records: Records;
  portZones: PortZones;
  patches: Patches;
  tunnels: Tunnels;
  nextHops: NextHops;
  mark(subject: Subject): void;
  markGateways(effect: GatewayEffect): void;
  /** The status of these may be another. */
  touched(path: Path): void;
  /** A device was placed otherwise. */
  placed(effect: PlacementEffect): void;
};

export class WayOut {
  readonly gateways: Gateways;
  readonly natZones: NatZones;
  readonly devices: Devices;
  readonly #options: WayOutOptions;
  /** To be placed, and the zones they have there. */
  #devicesDecided: [DeviceDecision, (number | undefined)[]][] = [];

  constructor(options: WayOutOptions) {
    const { view, fleet, placement, state, records } = options;
    this.#options = options;
    this.gateways = new Gateways(view, fleet, placement);
    this.devices = new Devices(state);
    this.natZones = new NatZones(view, records.zones, (network) => natHomes(state, network));
  }

  load(): void {
    const { view, patches } = this.#options;
    patches.load();
    for (const { id } of view.children('hypervisor', '')) this.#markHypervisor(id);
  }

  touchedBy(change: ResourceChange): void {
    const { view, patches, nextHops, records, touched } = this.#options;
    this.gateways.touchedBy(change);
    this.natZones.touchedBy(change);
    patches.touchedBy(change);
    const forgotten = nextHops.touchedBy(change);
    if (forgotten !== undefined) records.rememberNextHop(forgotten, undefined);
    if (change.kind === 'port') this.devices.portChanged(change.before, change.after);
    // Whether they have a host changes with hosts; whether they are used, with these.
    if (change.kind === 'hypervisor') for (const path of physical(view)) touched(path);
  }

  /** Its facts are others, or it is there from here on. */
  hypervisorCame({ number }: Member): void {
    const { patches, view, touched } = this.#options;
    this.gateways.touchFleet();
    patches.reconsider(number);
    for (const path of physical(view)) touched(path);
  }

  hypervisorWent(hypervisor: HypervisorNumber): void {
    this.gateways.touchFleet();
    this.#options.patches.forget(hypervisor);
    this.#markHypervisor(hypervisor);
    this.#options.mark(`services-port:${hypervisor}`);
  }

  /** What a hypervisor has whatever networks it has. */
  #markHypervisor(hypervisor: HypervisorNumber): void {
    const { view, mark } = this.#options;
    mark(`failover:${hypervisor}`);
    mark(`services-port:${hypervisor}`);
    for (const { path } of view.children('ip-pool', '')) mark(`ip-pool:${path}:${hypervisor}`);
  }

  /** Objects of the way out whose status depends on the hypervisor. */
  *dependants(hypervisor: HypervisorNumber): Iterable<Path> {
    const { view, placement } = this.#options;
    for (const network of placement.servedBy(hypervisor)) {
      yield network;
      yield* ofNetwork(view, network);
    }
    for (const port of placement.portsOn(hypervisor)) yield* published(view, port);
  }

  /** Hypervisors whose patches the objects depend on; one may be named several times. */
  *concerned(paths: Iterable<Path>): Iterable<HypervisorNumber> {
    const { view, placement, state } = this.#options;
    for (const path of paths) {
      const resource = view.get(path);
      if (resource?.kind === 'vlan-attachment') yield* placement.gatewaysOf(resource.parent);
      else if (resource?.kind === 'public-ip') yield* publicHomes(state, resource);
      else if (resource?.kind === 'nat-rule') {
        const address = view.getAs('public-ip', `${resource.parent}/public-ips/${resource.spec.publicIp}`);
        if (address !== undefined) yield* publicHomes(state, address);
      } else if (resource?.kind === 'port' && resource.spec.attachment !== undefined)
        yield* placement.gatewaysOf(resource.parent);
    }
  }

  /** A port was bound, moved or unbound. */
  placed({ port, networkHosts }: PlacementEffect): void {
    const { view, placement, touched } = this.#options;
    const network = parentPath(port);
    // With the first port a network is in use, and with the last it ends.
    if (networkHosts && placement.hostsOfNetwork(network).length <= 1) this.gateways.touch(network);
    for (const path of published(view, port)) {
      this.natZones.touch(network);
      touched(path);
    }
  }

  /** The hypervisor tells which patches it has. */
  patchesTold(member: Member, ofports: ReadonlyMap<string, number>): void {
    const { records } = this.#options;
    const before = member.patches;
    member.patches = ofports;
    member.patchesTold = true;
    records.rememberPatches(member.number, ofports.keys());
    for (const key of new Set([...before.keys(), ...ofports.keys()]))
      if (before.get(key) !== ofports.get(key)) this.#patchChanged(member.number, key);
  }

  /**
   * Decides what is open. What that needs is not durable yet. @param expected networks that are about to have ports; undefined:
   * ports are where they are to be
   */
  decide(expected?: readonly Path[]): void {
    for (const effect of this.gateways.settle(expected ?? [])) this.#gatewaysChanged(effect);
    for (const decision of this.devices.decide()) this.#giveZones(decision);
    for (const network of this.natZones.settle(expected === undefined)) this.#options.mark(`gateway:${network}`);
  }

  /** What was decided, once it is durable. */
  carryOut(): void {
    const { placement, placed } = this.#options;
    for (const [decision, zones] of this.#devicesDecided) {
      const wasBound = placement.get(decision.port) !== undefined;
      const effect = placeDevice(placement, decision, zones);
      if (wasBound || placement.get(decision.port) !== undefined) placed(effect);
    }
    this.#devicesDecided = [];
  }

  #gatewaysChanged(effect: GatewayEffect): void {
    const { view, placement, patches, tunnels, markGateways, touched } = this.#options;
    const { network } = effect;
    markGateways(effect);
    touched(network);
    for (const path of ofNetwork(view, network)) touched(path);
    for (const h of effect.tenantHosts) tunnels.reconsider(h);
    if (effect.tenantHosts.length > 0)
      for (const peer of placement.hostsOfTenant(parentPath(network))) tunnels.reconsider(peer);
    // Tunnels to gateways are fast.
    for (const h of effect.roles) {
      tunnels.reconsider(h);
      for (const peer of placement.peersOf(h)) tunnels.reconsider(peer);
    }
    patches.gatewaysChanged(network);
    this.devices.gatewaysChanged(network);
    this.natZones.touch(network);
  }

  #giveZones(decision: DeviceDecision): void {
    const at = decision.homes.map(({ hypervisor }) => hypervisor);
    this.#devicesDecided.push([decision, this.#options.portZones.give(decision.port, decision.uid, at)]);
  }

  #patchChanged(hypervisor: HypervisorNumber, key: string): void {
    const { view, mark } = this.#options;
    if (key === servicesPatch) {
      mark(`services-port:${hypervisor}`);
      return;
    }
    const resource = view.byNumber(patchedResource(key) ?? 0);
    if (resource?.kind === 'provider-network') this.#providerPatched(hypervisor, resource);
    else if (resource?.kind === 'vlan-attachment') {
      this.#options.touched(resource.path);
      this.devices.attachmentChanged(resource.path);
    }
  }

  /** What the hypervisor has to do with the provider network: networks it serves, and ports it has. */
  #providerPatched(hypervisor: HypervisorNumber, provider: Resource<'provider-network'>): void {
    const { view, placement, nextHops, mark, touched } = this.#options;
    const open = new Set<Path>();
    for (const r of view.referrers(provider.path)) {
      if (r.kind === 'ip-pool') {
        mark(`ip-pool:${r.path}:${hypervisor}`);
        nextHops.soon(r.path);
      } else if (r.kind === 'tier' && placement.hostsOfNetwork(r.parent).includes(hypervisor)) mark(`tier:${r.path}`);
    }
    for (const network of placement.servedBy(hypervisor)) if (view.count('public-ip', network) > 0) open.add(network);
    for (const path of placement.portsOn(hypervisor)) {
      const network = parentPath(path);
      const port = view.getAs('port', path);
      const tier = port === undefined ? undefined : view.getAs('tier', `${network}/tiers/${port.spec.tier}`);
      if (tier?.spec.providerNetwork === provider.name) {
        mark(`port:${path}`);
        touched(path);
      }
      for (const r of view.referrers(path)) if (r.kind === 'nat-rule') open.add(network);
    }
    for (const network of open) {
      mark(`gateway:${network}`);
      this.natZones.touch(network);
      for (const path of ofNetwork(view, network)) touched(path);
    }
  }
}

/** What needs hypervisors that map it. */
function* physical(view: View): Iterable<Path> {
  for (const kind of ['provider-network', 'trunk'] as const) for (const { path } of view.children(kind, '')) yield path;
}

function* ofNetwork(view: View, network: Path): Iterable<Path> {
  for (const kind of ['public-ip', 'nat-rule', 'vlan-attachment'] as const)
    for (const { path } of view.children(kind, network)) yield path;
}

/** NAT rules that lead to the port, and their addresses. */
function* published(view: View, port: Path): Iterable<Path> {
  for (const r of view.referrers(port)) {
    if (r.kind !== 'nat-rule') continue;
    yield r.path;
    yield `${r.parent}/public-ips/${r.spec.publicIp}`;
  }
}

/** Hypervisors that do NAT for a network: its gateways, and those where its public addresses are at home. */
function* natHomes(state: CompileState, network: Path): Iterable<HypervisorNumber> {
  yield* state.gateways(network);
  for (const address of state.view.children('public-ip', network)) yield* publicHomes(state, address);
}
