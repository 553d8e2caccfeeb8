/** The unit of a tier: its gateway, and where its network is routed, the way into the router and the route to its prefix. */
import type { Path } from '../intent/model.ts';
import { prefixesOf } from '../intent/versions.ts';
import type { Meter } from '../pipeline/flow.ts';
import { answerEcho } from '../pipeline/stages/gateway.ts';
import { refuseTransit } from '../pipeline/stages/judge.ts';
import { answerNeighbours } from '../pipeline/stages/neighbour.ts';
import { enterRouter, errorMeter, routerErrors, routeToTier } from '../pipeline/stages/router.ts';
import { tierFacts } from './facts.ts';
import { providerTierUnits } from './provider-tier.ts';
import { isRouted, reachOf } from './routing.ts';
import type { CompileState, Unit } from './state.ts';

export function tierUnits(state: CompileState, path: Path): Unit[] {
  const { view } = state;
  const tier = view.getAs('tier', path);
  const known = tier === undefined ? undefined : tierFacts(view, tier);
  const facts = known === undefined || state.checkMtu ? known : { ...known, mtu: undefined };
  if (tier === undefined || facts === undefined) return [];
  if (tier.spec.providerNetwork !== undefined) return providerTierUnits(state, tier);
  const on = reachOf(state, tier.parent);
  if (on.length === 0) return [];
  const flows = [
    ...answerNeighbours({ ...facts, mac: facts.routerMac, ips: facts.gateways, isRouter: true }),
    ...answerEcho(facts),
  ];
  if (facts.transit) flows.push(...prefixesOf(tier.spec).map((p) => refuseTransit(facts.network, p)));
  const meters: Meter[] = [];
  if (isRouted(state, tier.parent)) {
    flows.push(enterRouter(facts), ...prefixesOf(tier.spec).map((p) => routeToTier(facts, p)), ...routerErrors(facts));
    meters.push(errorMeter(facts));
  }
  return [{ key: `tier/${tier.number}`, on, flows, meters }];
}
