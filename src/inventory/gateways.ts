/**
 * Which hypervisors are the gateways of each network: a function of present state, by rendezvous hashing (Thaler and
 * Ravishankar), so that a gateway that comes or goes moves only the networks it gets or had. A network has them while its
 * offering asks for something they do and it is in use: it has a bound port, a public address or a VLAN.
 */
import { hashBytes } from '../drivers/hash.ts';
import type { HypervisorNumber } from '../drivers/switch-plugin.ts';
import type { Path, Resource, ResourceChange, View } from '../intent/model.ts';
import type { Fleet } from './fleet.ts';
import { parentPath } from './paths.ts';
import type { GatewayEffect, Placement } from './placement.ts';

/** Services that need a gateway. */
const gatewayServices: ReadonlySet<string> = new Set(['source-nat', 'static-nat', 'port-forwarding', 'dhcp']);

type Candidate = { number: HypervisorNumber; uid: string; physicalNetworks: ReadonlySet<string> };

export class Gateways {
  readonly #view: View;
  readonly #fleet: Fleet;
  readonly #placement: Placement;
  /** Networks to be decided anew. */
  readonly #open = new Set<Path>();
  #candidates: Candidate[] = [];
  /** All of them as one text: while it stays the same, no network needs a look. */
  #signature = '[]';
  #fleetChanged = true;

  constructor(view: View, fleet: Fleet, placement: Placement) {
    this.#view = view;
    this.#fleet = fleet;
    this.#placement = placement;
  }

  /** Whether there is any hypervisor that may be a gateway. */
  get any(): boolean {
    return this.#candidates.length > 0;
  }

  /** The network may have other gateways now. */
  touch(network: Path): void {
    this.#open.add(network);
  }

  /** A hypervisor came, went or says something else of itself. */
  touchFleet(): void {
    this.#fleetChanged = true;
  }

  touchedBy({ kind, path, before, after }: ResourceChange): void {
    switch (kind) {
      case 'hypervisor':
        this.touchFleet();
        return;
      case 'network':
        this.touch(path);
        return;
      case 'public-ip':
      case 'vlan-attachment':
        this.touch(parentPath(path));
        return;
      case 'offering':
        if (servesByGateway(before) !== servesByGateway(after))
          for (const r of this.#view.referrers(path)) if (r.kind === 'network') this.touch(r.path);
        return;
      default:
    }
  }

  /** Decides what is open, and sets it in the placement. @param expected networks that are about to have ports */
  settle(expected: readonly Path[]): GatewayEffect[] {
    if (this.#fleetChanged) this.#reviewFleet();
    const effects: GatewayEffect[] = [];
    for (const network of expected) if (this.#placement.gatewaysOf(network).length === 0) this.touch(network);
    if (this.#open.size === 0) return effects;
    const soon = new Set(expected);
    for (const network of this.#open) {
      const now = this.#decide(network, soon.has(network));
      const before = this.#placement.gatewaysOf(network);
      if (now.length === before.length && now.every((h, i) => h === before[i])) continue;
      effects.push(this.#placement.setGateways(network, now));
    }
    this.#open.clear();
    return effects;
  }

  #reviewFleet(): void {
    this.#fleetChanged = false;
    const candidates: Candidate[] = [];
    for (const { number, resource, facts } of this.#fleet.all()) {
      // One that nobody can reach yet would be in charge of what goes nowhere.
      if (resource.spec.gateway !== true || resource.spec.admission !== 'approved' || facts?.encapIp === undefined)
        continue;
      candidates.push({ number, uid: resource.uid, physicalNetworks: new Set(Object.keys(facts.bridgeMappings)) });
    }
    candidates.sort((a, b) => a.number - b.number);
    const signature = JSON.stringify(candidates.map((c) => [c.number, c.uid, ...[...c.physicalNetworks].sort()]));
    if (signature === this.#signature) return;
    this.#signature = signature;
    this.#candidates = candidates;
    for (const tenant of this.#view.children('tenant', ''))
      for (const network of this.#view.children('network', tenant.path)) this.touch(network.path);
  }

  /** Those that reach most of the physical networks it needs come first; all of them, where there is one that does. */
  #decide(path: Path, expected: boolean): HypervisorNumber[] {
    const network = this.#candidates.length === 0 ? undefined : this.#view.getAs('network', path);
    if (network === undefined || !this.#needsGateway(network, expected)) return [];
    const needed = new Set(physicalNetworksOf(this.#view, path));
    const ranked = this.#candidates.map(({ number, uid, physicalNetworks }) => {
      let missing = 0;
      for (const name of needed) if (!physicalNetworks.has(name)) missing++;
      return { number, missing, weight: hashBytes(Buffer.from(`${network.uid} ${uid}`)) };
    });
    ranked.sort((a, b) => a.missing - b.missing || b.weight - a.weight || a.number - b.number);
    return ranked.slice(0, 2).map(({ number }) => number);
  }

  #needsGateway({ path, spec }: Resource<'network'>, expected: boolean): boolean {
    if (!servesByGateway(this.#view.getAs('offering', `offerings/${spec.offering}`))) return false;
    return (
      expected ||
      this.#placement.hostsOfNetwork(path).length > 0 ||
      this.#view.count('public-ip', path) > 0 ||
      this.#view.count('vlan-attachment', path) > 0
    );
  }
}

/** Whether networks ordered under the offering have gateways. */
export function servesByGateway(offering: Resource | undefined): boolean {
  return offering?.kind === 'offering' && offering.spec.services.some((service) => gatewayServices.has(service));
}

/** Physical networks that the network's public addresses and VLANs are on; a name may come several times. */
export function* physicalNetworksOf(view: View, network: Path): Iterable<string> {
  for (const { spec } of view.children('public-ip', network)) {
    const found = providerNetworkOf(view, `ip-pools/${spec.pool}`);
    if (found !== undefined) yield found.spec.physicalNetwork;
  }
  for (const { spec } of view.children('vlan-attachment', network)) {
    const trunk = view.getAs('trunk', `trunks/${spec.trunk}`);
    if (trunk !== undefined) yield trunk.spec.physicalNetwork;
  }
}

/** The provider network a pool is on. */
export function providerNetworkOf(view: View, pool: Path): Resource<'provider-network'> | undefined {
  const spec = view.getAs('ip-pool', pool)?.spec;
  return spec === undefined ? undefined : view.getAs('provider-network', `provider-networks/${spec.providerNetwork}`);
}
