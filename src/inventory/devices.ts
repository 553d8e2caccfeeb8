/**
 * Ports of devices behind a VLAN: no hypervisor shows an interface of theirs. They are at the gateways of their network, where
 * the patch to the VLAN is: at the first, and at the second for as long as the first is dead.
 */
import type { HypervisorNumber } from '../drivers/switch-plugin.ts';
import type { Path, Resource, View } from '../intent/model.ts';
import { vlanPatch } from './patch-keys.ts';
import { parentPath } from './paths.ts';
import type { Bound, Placement, PlacementEffect } from './placement.ts';

/** Where a device should be, beside its zones; nowhere: it is not to be bound. */
export type DeviceDecision = {
  port: Path;
  uid: string;
  /** Key of the patch. */
  interface: string;
  /** At most two, the first is in charge. */
  homes: { hypervisor: HypervisorNumber; ofport: number }[];
};

export type DeviceState = {
  view: View;
  placement: Placement;
  hypervisors: ReadonlyMap<HypervisorNumber, number>;
  patch(hypervisor: HypervisorNumber, key: string): number | undefined;
};

export class Devices {
  readonly #state: DeviceState;
  readonly #open = new Set<Path>();

  constructor(state: DeviceState) {
    this.#state = state;
  }

  reconsider(port: Path): void {
    this.#open.add(port);
  }

  portChanged(before: Resource<'port'> | undefined, after: Resource<'port'> | undefined): void {
    // What is no longer a device is decided by its interface.
    if (after?.spec.attachment !== undefined) this.reconsider(after.path);
    else if (before?.spec.attachment !== undefined) this.#open.delete(before.path);
  }

  /** The gateways of the network are others. */
  gatewaysChanged(network: Path): void {
    for (const { path } of this.#state.view.children('vlan-attachment', network)) this.attachmentChanged(path);
  }

  attachmentChanged(attachment: Path): void {
    for (const r of this.#state.view.referrers(attachment)) if (r.kind === 'port') this.reconsider(r.path);
  }

  /** Every open question, decided; a device's place may come out as it is. */
  decide(): DeviceDecision[] {
    const { view, placement, hypervisors, patch } = this.#state;
    const decisions: DeviceDecision[] = [];
    for (const path of this.#open) {
      const port = view.getAs('port', path);
      if (port?.spec.attachment === undefined) continue;
      const network = parentPath(path);
      const attachment = view.getAs('vlan-attachment', `${network}/vlan-attachments/${port.spec.attachment}`);
      const key = attachment === undefined ? '' : vlanPatch(attachment.number);
      const homes: DeviceDecision['homes'] = [];
      for (const hypervisor of attachment === undefined ? [] : placement.gatewaysOf(network)) {
        const ofport = hypervisors.has(hypervisor) ? patch(hypervisor, key) : undefined;
        if (ofport !== undefined) homes.push({ hypervisor, ofport });
      }
      decisions.push({ port: path, uid: port.uid, interface: key, homes });
    }
    this.#open.clear();
    return decisions;
  }
}

/** Carries a decision out. @param zones conntrack zone at each home; a home without one is none */
export function placeDevice(
  placement: Placement,
  decision: DeviceDecision,
  zones: readonly (number | undefined)[],
): PlacementEffect {
  const [first, second] = decision.homes.flatMap((home, i) => {
    const zone = zones[i];
    return zone === undefined ? [] : [{ ...home, zone }];
  });
  if (first === undefined) return placement.unbind(decision.port);
  const bound: Bound = { ...first, interface: decision.interface };
  if (second !== undefined) bound.standby = second;
  return placement.bind(decision.port, bound);
}
