/**
 * Units of tiers straight on a provider network. Their ports have what every port has on its own switch, and nothing on others: no
 * tunnel leads to them, and the router of the network does not: their gateway is one out there.
 */
import type { Path, Resource, View } from '../intent/model.ts';
import { livePort } from '../pipeline/stages/liveness.ts';
import { lookupLocal } from '../pipeline/stages/lookup.ts';
import { answerNeighbours } from '../pipeline/stages/neighbour.ts';
import { portSecurity } from '../pipeline/stages/port-security.ts';
import { leaveForProvider, onProviderNetwork } from '../pipeline/stages/provider-tier.ts';
import { limitToVm, portMeters } from '../pipeline/stages/qos.ts';
import { admitSource } from '../pipeline/stages/tunnel.ts';
import { type BoundPort, classified } from './bound.ts';
import { qosOf } from './qos.ts';
import { switchesOf } from './routing.ts';
import { servicesOfPort } from './services.ts';
import { type CompileState, providerPatch, type Unit } from './state.ts';

/** The provider network a tier is straight on; undefined: it is in the overlay. */
export function providerOf(view: View, tier: Path): Resource<'provider-network'> | undefined {
  const name = view.getAs('tier', tier)?.spec.providerNetwork;
  return name === undefined ? undefined : view.getAs('provider-network', `provider-networks/${name}`);
}

export function isProviderPort(view: View, { parent, spec }: Resource<'port'>): boolean {
  return view.getAs('tier', `${parent}/tiers/${spec.tier}`)?.spec.providerNetwork !== undefined;
}

export function providerTierUnits(state: CompileState, tier: Resource<'tier'>): Unit[] {
  const provider = providerOf(state.view, tier.path);
  if (provider === undefined) return [];
  const units: Unit[] = [];
  for (const hypervisor of switchesOf(state, tier.parent)) {
    const patch = state.patch(hypervisor, providerPatch(provider.number)) ?? 0;
    if (patch > 0)
      units.push({
        key: `tier/${tier.number}/provider/${hypervisor}`,
        on: [hypervisor],
        flows: leaveForProvider({ number: tier.number, tier: tier.id, patch }),
      });
  }
  return units;
}

export function providerPortUnits(state: CompileState, port: Resource<'port'>, bound: BoundPort): Unit[] {
  const provider = providerOf(state.view, `${port.parent}/tiers/${port.spec.tier}`);
  const patch = provider && state.patch(bound.hypervisor, providerPatch(provider.number));
  // It would be on a network that its hypervisor has no way to.
  if (patch === undefined) return [];
  const services = servicesOfPort(state, port, bound);
  const units: Unit[] = [...services.units];
  const qos = qosOf(port.spec);
  if (bound.ofport > 0 && patch > 0)
    units.push({
      key: `port/${port.number}/local`,
      on: [bound.hypervisor],
      meters: portMeters(bound, qos),
      flows: [
        ...classified({ hypervisor: bound.hypervisor, port: bound }, qos),
        ...limitToVm(bound, qos),
        ...portSecurity(bound),
        ...answerNeighbours({ ...bound, isRouter: false }),
        ...lookupLocal(bound),
        ...onProviderNetwork(bound, patch),
        livePort(bound.number, bound.zone, bound.epoch),
        ...services.local,
      ],
    });
  // What it asks the services of its network travels to a gateway of that.
  const gateways = state.gateways(port.parent).filter((h) => h !== bound.hypervisor);
  if (gateways.length > 0)
    units.push({
      key: `port/${port.number}/gateway`,
      on: [...gateways].sort((a, b) => a - b),
      flows: admitSource({ ...bound, peer: bound.hypervisor }),
    });
  return units;
}
