/**
 * Which patches each hypervisor should have: to every provider network it maps that is in use, and on gateways to the VLANs
 * of attachments. What is there is told by the plugin, and remembered over a restart until it tells again.
 */
import type { HypervisorNumber, PatchSpec, SwitchPlugin } from '../drivers/switch-plugin.ts';
import type { Path, Resource, ResourceChange, View } from '../intent/model.ts';
import type { Fleet } from '../inventory/fleet.ts';
import { providerPatch, vlanPatch } from '../inventory/patch-keys.ts';
import type { Placement } from '../inventory/placement.ts';

type Wanted = Map<string, PatchSpec>;

export class Patches {
  readonly #view: View;
  readonly #fleet: Fleet;
  readonly #placement: Placement;
  readonly #plugin: Pick<SwitchPlugin, 'setPatches'>;
  /** Provider networks that are in use, as last seen. */
  readonly #used = new Set<Path>();
  /** Those that may be used from here on, or no more. */
  readonly #openProviders = new Set<Path>();
  /** Attachments to be placed anew, and where those are that have a place. */
  readonly #openVlans = new Set<Path>();
  readonly #vlans = new Map<Path, { spec: PatchSpec; on: HypervisorNumber[] }>();
  /** By hypervisor and key: of attachments. */
  readonly #vlansAt = new Map<HypervisorNumber, Map<string, PatchSpec>>();
  /** As last asked for. */
  readonly #wanted = new Map<HypervisorNumber, Wanted>();
  readonly #open = new Set<HypervisorNumber>();

  constructor(view: View, fleet: Fleet, placement: Placement, plugin: Pick<SwitchPlugin, 'setPatches'>) {
    this.#view = view;
    this.#fleet = fleet;
    this.#placement = placement;
    this.#plugin = plugin;
  }

  /** Everything there is at the start. */
  load(): void {
    for (const { path } of this.#view.children('provider-network', '')) this.#openProviders.add(path);
  }

  /** It came, or says something else of itself. */
  reconsider(hypervisor: HypervisorNumber): void {
    this.#open.add(hypervisor);
    for (const network of this.#placement.servedBy(hypervisor)) this.gatewaysChanged(network);
  }

  gatewaysChanged(network: Path): void {
    for (const { path } of this.#view.children('vlan-attachment', network)) this.#openVlans.add(path);
  }

  touchedBy(change: ResourceChange): void {
    const { kind, path, before, after } = change;
    if (kind === 'provider-network') this.#openProviders.add(path);
    else if (kind === 'vlan-attachment') this.#openVlans.add(path);
    else if (kind === 'ip-pool' || kind === 'tier') {
      for (const name of [before?.spec.providerNetwork, after?.spec.providerNetwork])
        if (name !== undefined) this.#openProviders.add(`provider-networks/${name}`);
    }
  }

  forget(hypervisor: HypervisorNumber): void {
    this.#wanted.delete(hypervisor);
  }

  /** Asks the plugin for what differs. @returns hypervisors whose set has changed */
  settle(): HypervisorNumber[] {
    this.#settleProviders();
    for (const path of this.#openVlans) this.#settleVlan(path);
    this.#openVlans.clear();
    const changed: HypervisorNumber[] = [];
    for (const hypervisor of this.#open) {
      const wanted = this.#wantedBy(hypervisor);
      const before = this.#wanted.get(hypervisor);
      if (wanted === undefined || (before !== undefined && sameSpecs(before, wanted))) continue;
      this.#wanted.set(hypervisor, wanted);
      changed.push(hypervisor);
      this.#plugin.setPatches(hypervisor, [...wanted.values()]);
    }
    this.#open.clear();
    return changed;
  }

  /** As last asked for. */
  wanted(hypervisor: HypervisorNumber): ReadonlyMap<string, PatchSpec> {
    return this.#wanted.get(hypervisor) ?? nothing;
  }

  /** Patches asked for that are not there. */
  missing(hypervisor: HypervisorNumber): number {
    const there = this.#fleet.get(hypervisor)?.patches;
    let missing = 0;
    for (const key of this.#wanted.get(hypervisor)?.keys() ?? []) if ((there?.get(key) ?? 0) === 0) missing++;
    return missing;
  }

  /** Ports remembered from an earlier run of which the hypervisor has not told yet. */
  untold(hypervisor: HypervisorNumber): number {
    let untold = 0;
    for (const ofport of this.#fleet.get(hypervisor)?.patches.values() ?? []) if (ofport === 0) untold++;
    return untold;
  }

  #settleProviders(): void {
    for (const path of this.#openProviders) {
      const network = this.#view.getAs('provider-network', path);
      const used = network !== undefined && isUsed(this.#view, path);
      if (used === this.#used.has(path)) continue;
      if (used) this.#used.add(path);
      else this.#used.delete(path);
      for (const { number } of this.#fleet.all()) this.#open.add(number);
    }
    this.#openProviders.clear();
  }

  #settleVlan(path: Path): void {
    const before = this.#vlans.get(path);
    for (const h of before?.on ?? []) {
      this.#vlansAt.get(h)?.delete(before!.spec.key);
      this.#open.add(h);
    }
    this.#vlans.delete(path);
    const attachment = this.#view.getAs('vlan-attachment', path);
    const trunk = attachment === undefined ? undefined : trunkOf(this.#view, attachment);
    if (attachment === undefined || trunk === undefined) return;
    const on: HypervisorNumber[] = [];
    const { vlan } = attachment.spec;
    for (const h of this.#placement.gatewaysOf(attachment.parent)) {
      const bridge = this.#fleet.get(h)?.facts?.bridgeMappings[trunk.spec.physicalNetwork];
      if (bridge === undefined) continue;
      const spec = { key: vlanPatch(attachment.number), bridge, vlan };
      const there = this.#vlansAt.get(h) ?? new Map<string, PatchSpec>();
      there.set(spec.key, spec);
      this.#vlansAt.set(h, there);
      this.#open.add(h);
      on.push(h);
      this.#vlans.set(path, { spec, on });
    }
  }

  #wantedBy(hypervisor: HypervisorNumber): Wanted | undefined {
    const facts = this.#fleet.get(hypervisor)?.facts;
    if (facts === undefined) return undefined;
    const wanted: Wanted = new Map();
    for (const path of this.#used) {
      const network = this.#view.getAs('provider-network', path);
      const bridge = network === undefined ? undefined : facts.bridgeMappings[network.spec.physicalNetwork];
      if (network === undefined || bridge === undefined) continue;
      const key = providerPatch(network.number);
      wanted.set(key, { key, bridge, vlan: network.spec.vlan });
    }
    for (const [key, spec] of this.#vlansAt.get(hypervisor) ?? []) wanted.set(key, spec);
    return wanted;
  }
}

const nothing: ReadonlyMap<string, PatchSpec> = new Map();

/** Whether anything is on the provider network: a pool, or a tier. */
function isUsed(view: View, providerNetwork: Path): boolean {
  for (const { kind } of view.referrers(providerNetwork)) if (kind === 'ip-pool' || kind === 'tier') return true;
  return false;
}

export function trunkOf(
  view: View,
  { spec }: Pick<Resource<'vlan-attachment'>, 'spec'>,
): Resource<'trunk'> | undefined {
  return view.getAs('trunk', `trunks/${spec.trunk}`);
}

function sameSpecs(a: Wanted, b: Wanted): boolean {
  if (a.size !== b.size) return false;
  for (const [key, { bridge, vlan }] of a) {
    const other = b.get(key);
    if (other === undefined || other.bridge !== bridge || other.vlan !== vlan) return false;
  }
  return true;
}
