/**
 * Which port is bound where: decides by claims, keeps placement, and says what followed. Zones are allocated between
 * the decision and its effect, because they must be durable before any flow uses them.
 */
import type { HypervisorNumber } from '../drivers/switch-plugin.ts';
import type { Path, Resource, View } from '../intent/model.ts';
import { type Claim, Claims, holder } from './claims.ts';
import type { Fleet } from './fleet.ts';
import { type Bound, Placement, type PlacementEffect } from './placement.ts';

/** What a port should be bound to, beside its zone; undefined: nowhere. */
export type Decision = { port: Path; uid: string; to: Claim | undefined };

export class Bindings {
  readonly claims = new Claims();
  readonly placement = new Placement();
  readonly #view: View;
  readonly #fleet: Fleet;
  /** iface-ids to be decided anew. */
  readonly #open = new Set<string>();
  /** Who had which port in an earlier run, until it is decided. */
  readonly #remembered = new Map<Path, HypervisorNumber>();
  /** Ports that were bound and are no longer in intent. */
  readonly #deleted = new Set<Path>();

  constructor(view: View, fleet: Fleet) {
    this.#view = view;
    this.#fleet = fleet;
  }

  /** A hypervisor had the port in an earlier run. */
  remember({ path, spec }: Resource<'port'>, hypervisor: HypervisorNumber): void {
    this.claims.remember(spec.ifaceId, hypervisor);
    this.#remembered.set(path, hypervisor);
    this.#open.add(spec.ifaceId);
  }

  /** These iface-ids may be bound otherwise now. */
  reconsider(ifaceIds: Iterable<string>): void {
    for (const id of ifaceIds) this.#open.add(id);
  }

  portChanged(before: Resource<'port'> | undefined, after: Resource<'port'> | undefined): void {
    if (before !== undefined && (after === undefined || after.spec.ifaceId !== before.spec.ifaceId)) {
      this.#open.add(before.spec.ifaceId);
      if (after === undefined || after.uid !== before.uid) this.#deleted.add(before.path);
    }
    if (after !== undefined) this.#open.add(after.spec.ifaceId);
  }

  /** Every open question, decided. Ports whose binding stays as it is are left out. */
  decide(): Decision[] {
    const decisions = new Map<Path, Decision>();
    for (const path of this.#deleted)
      if (this.placement.get(path) !== undefined) decisions.set(path, { port: path, uid: '', to: undefined });
    this.#deleted.clear();
    for (const ifaceId of this.#open) {
      const port = this.#view.portByIfaceId(ifaceId);
      if (port === undefined || port.spec.attachment !== undefined) continue;
      const bound = this.placement.get(port.path);
      const present = bound?.hypervisor ?? this.#remembered.get(port.path);
      this.#remembered.delete(port.path);
      const to = holder(this.claims.claims(ifaceId), present, (h) => this.#allowed(port, h, present));
      if (to === undefined && bound === undefined) continue;
      if (to !== undefined && bound !== undefined && sameBinding(bound, to) && !decisions.has(port.path)) continue;
      decisions.set(port.path, { port: port.path, uid: port.uid, to });
    }
    this.#open.clear();
    return [...decisions.values()];
  }

  /** Carries a decision out. @param zone conntrack zone on the hypervisor, durable by now */
  carryOut(decision: Decision, zone: number | undefined): PlacementEffect {
    const { to } = decision;
    if (to === undefined || zone === undefined) return this.placement.unbind(decision.port);
    return this.placement.bind(decision.port, {
      hypervisor: to.hypervisor,
      interface: to.interface,
      ofport: to.ofport,
      zone,
    });
  }

  /** Claims on the port beside the one that has it, live ones: the conflict an admin should know of. */
  conflicts(port: Resource<'port'>): Claim[] {
    const bound = this.placement.get(port.path);
    return this.claims.claims(port.spec.ifaceId).filter((c) => c.live && c.hypervisor !== bound?.hypervisor);
  }

  #allowed(port: Resource<'port'>, hypervisor: HypervisorNumber, present: HypervisorNumber | undefined): boolean {
    const member = this.#fleet.get(hypervisor);
    if (member === undefined) return false;
    const { admission } = member.resource.spec;
    if (admission === 'lost') return false;
    if (admission === 'drained' && present !== hypervisor) return false;
    return port.spec.hypervisors?.includes(member.resource.name) ?? true;
  }
}

function sameBinding(bound: Bound, claim: Claim): boolean {
  return bound.hypervisor === claim.hypervisor && bound.interface === claim.interface && bound.ofport === claim.ofport;
}
