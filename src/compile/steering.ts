/**
 * Units of the steering rules of a network. They are compiled together: hops are shared, and where two rules say the
 * same of a packet the one with the lower number has the flow. A hop that is not bound is dead: its rule then leads past it
 * (open) or nowhere (closed). The flows a sender's switch needs name hops, not places, and are the same everywhere.
 */
import { hostPrefix, isIn } from '../intent/ip.ts';
import type { Path, Resource } from '../intent/model.ts';
import type { Flow } from '../pipeline/flow.ts';
import type { Alternative } from '../pipeline/stages/judge.ts';
import type { Ip, IpPrefix, LocalPort, PortFacts } from '../pipeline/stages/ports.ts';
import {
  admitFromHop,
  admitReturns,
  lookupHopLocal,
  lookupHopRemote,
  lookupHopStandby,
  type Onward,
  passHop,
  refuseReturn,
  type Steerer,
  steer,
  steeredFromTunnel,
  steerReturn,
} from '../pipeline/stages/steering.ts';
import { ip } from './addresses.ts';
import { addressesOf, alternativeKey, alternativesOf, servicesOf } from './alternatives.ts';
import { type BoundPort, boundPort, elsewhere, homesOf, isAt } from './bound.ts';
import { reachOf } from './routing.ts';
import type { CompileState, Unit } from './state.ts';

type Rule = {
  steerer: Steerer;
  /** In the order packets pass them; those that are not there left out. */
  hops: BoundPort[];
  closed: boolean;
  alternatives: Alternative[];
  /** What of them is from or to a hop itself. */
  ofHops: Alternative[];
};

export function steeringUnits(state: CompileState, network: Path): Unit[] {
  const { view } = state;
  const owner = view.getAs('network', network);
  // At the gateways too: what comes from outside is steered there.
  const on = reachOf(state, network);
  if (owner === undefined || on.length === 0) return [];
  const rules = [...view.children('steering', network)]
    .sort((a, b) => a.number - b.number)
    .map((steering) => ruleOf(state, steering, owner.id));
  if (rules.length === 0) return [];

  const units: Unit[] = [{ key: `steering/${owner.number}`, on, flows: entrances(rules) }];
  const hops = new Map(rules.flatMap((r) => r.hops.map((hop) => [hop.number, hop])));
  for (const hop of hops.values()) {
    const key = `steering/${owner.number}/hop/${hop.number}`;
    const passing = rules.filter((r) => r.hops.some(({ number }) => number === hop.number));
    for (const { hypervisor, port, behind } of homesOf(hop)) {
      if (port.ofport === 0) continue;
      units.push({
        key: behind === undefined ? `${key}/local` : `${key}/standby`,
        on: [hypervisor],
        flows: [behind === undefined ? lookupHopLocal(port) : lookupHopStandby(port, behind), ...atHop(passing, port)],
      });
    }
    const others = on.filter((h) => !isAt(hop, h));
    if (others.length > 0)
      units.push({
        key: `${key}/remote`,
        on: others,
        flows: [lookupHopRemote({ ...hop, ...elsewhere(hop) })],
      });
  }
  for (const hypervisor of new Set([...hops.values()].flatMap((hop) => homesOf(hop).map((home) => home.hypervisor)))) {
    const others = on.filter((h) => h !== hypervisor);
    const through = rules.filter((r) => r.hops.some((hop) => isAt(hop, hypervisor)));
    if (others.length > 0)
      units.push({
        key: `steering/${owner.number}/from/${hypervisor}`,
        on: others,
        flows: firstOfEach(through, ({ steerer, alternatives }) =>
          alternatives.map((a) => [alternativeKey(a), () => admitFromHop(steerer, a, hypervisor)]),
        ),
      });
  }
  return units;
}

function ruleOf(state: CompileState, { number, parent, spec }: Resource<'steering'>, network: number): Rule {
  const { view } = state;
  const hops: BoundPort[] = [];
  const addresses: Ip[] = [];
  for (const name of spec.via) {
    const port = view.getAs('port', `${parent}/ports/${name}`);
    addresses.push(...(port?.spec.ips ?? []).map(ip));
    const hop = boundPort(state, port);
    if (hop !== undefined) hops.push(hop);
  }
  const services = servicesOf({ protocol: spec.protocol ?? 'any', ports: spec.ports, icmp: spec.icmp });
  const [from, to] = [addressesOf(view, parent, spec.from), addressesOf(view, parent, spec.to)];
  const own = (ends: readonly IpPrefix[]): IpPrefix[] =>
    addresses.filter((address) => ends.some((end) => isIn(end, address))).map(hostPrefix);
  return {
    steerer: { number, network, priority: spec.priority },
    hops,
    closed: spec.onFailure !== 'open' && hops.length < spec.via.length,
    alternatives: [...alternativesOf(from, to, services)],
    ofHops: [...alternativesOf(own(from), to, services), ...alternativesOf(from, own(to), services)],
  };
}

function entrances(rules: readonly Rule[]): Flow[] {
  return firstOfEach(rules, ({ steerer, alternatives, ofHops, hops, closed }) => {
    const onward: Onward = closed ? 'nowhere' : (hops[0] ?? 'receiver');
    return [
      ...ofHops.map((a): Claim => [`${steerer.priority} hop ${alternativeKey(a)}`, () => passHop(steerer, a)]),
      ...alternatives.map((a): Claim => [`${steerer.priority} ${alternativeKey(a)}`, () => steer(steerer, a, onward)]),
    ];
  });
}

/** What a hop's own switch has for it. */
function atHop(rules: readonly Rule[], hop: LocalPort): Flow[] {
  const returns = firstOfEach(rules, ({ steerer, alternatives, ofHops, hops, closed }) => {
    const next: PortFacts | undefined = hops[hops.findIndex(({ number }) => number === hop.number) + 1];
    const onward: Onward = closed ? 'nowhere' : (next ?? 'receiver');
    return [
      ...ofHops.map(
        (a): Claim => [`${steerer.priority} hop ${alternativeKey(a)}`, () => refuseReturn(steerer, hop, a)],
      ),
      ...alternatives.map(
        (a): Claim => [`${steerer.priority} ${alternativeKey(a)}`, () => steerReturn(steerer, hop, a, onward)],
      ),
    ];
  });
  const arrivals = firstOfEach(rules, ({ steerer, alternatives }) =>
    alternatives.map((a): Claim => [alternativeKey(a), () => steeredFromTunnel(steerer, hop, a)]),
  );
  return [...admitReturns(hop), ...returns, ...arrivals];
}

/** What a flow is said of, and the flow. */
type Claim = [key: string, flow: () => Flow];

/** Of flows that would have one match, the first. */
function firstOfEach(rules: readonly Rule[], claims: (rule: Rule) => Claim[]): Flow[] {
  const flows = new Map<string, Flow>();
  for (const rule of rules) for (const [key, flow] of claims(rule)) if (!flows.has(key)) flows.set(key, flow());
  return [...flows.values()];
}
