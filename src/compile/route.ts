/**
 * Units of a static route: the route itself wherever its network is, and the way to its next hop, which is a port, or
 * several that share an address and its MAC: then each gets a copy, and who has the MAC at the moment takes it. While none
 * is bound, what takes the route goes nowhere: it does not fall to a wider one.
 */
import type { HypervisorNumber } from '../drivers/switch-plugin.ts';
import { hostPrefix, isHost } from '../intent/ip.ts';
import type { Path, Resource, View } from '../intent/model.ts';
import type { PortFacts } from '../pipeline/stages/ports.ts';
import { routeToPort } from '../pipeline/stages/router.ts';
import { lookupRouted, routedFromTunnel } from '../pipeline/stages/virtual-address.ts';
import { ip, ipPrefix } from './addresses.ts';
import { boundPort, type Claim, claimantsAt, homesOf, onePerSegment } from './bound.ts';
import { portFacts } from './facts.ts';
import { reachOf } from './routing.ts';
import type { CompileState, Unit } from './state.ts';

type Hop = { port: Resource<'port'>; facts: PortFacts; mac: number };

export function routeUnits(state: CompileState, path: Path): Unit[] {
  const { view } = state;
  const route = view.getAs('route', path);
  const on = route === undefined ? [] : reachOf(state, route.parent);
  const hops = route === undefined ? [] : nextHops(view, route);
  const [first] = hops;
  // Ports that share the address and not the MAC would each forward what they get.
  if (route === undefined || first === undefined || on.length === 0 || hops.some(({ mac }) => mac !== first.mac))
    return [];
  const { number } = route;
  const destination = ipPrefix(route.spec.destination);
  const to = { ...first.facts, mac: first.mac };
  const units: Unit[] = [{ key: `route/${number}`, on, flows: [routeToPort(number, destination, to)] }];

  // One that is remembered from an earlier run is reached once its hypervisor has told of it.
  const bound = hops.flatMap(({ port, mac }): Claim[] => {
    const at = boundPort(state, port);
    return at === undefined ? [] : [{ port: at, mac }];
  });
  const lookup = (hypervisor: HypervisorNumber | undefined) => {
    const claimants = claimantsAt(hypervisor, bound);
    return claimants === undefined ? [] : [lookupRouted(number, destination, claimants)];
  };
  const homes = bound.flatMap(({ port, mac }) => homesOf(port).map((home) => ({ home, mac })));
  const hosts = new Set(homes.map(({ home }) => home.hypervisor));
  for (const host of hosts) {
    const here = homes.filter(({ home }) => home.hypervisor === host && home.port.ofport > 0);
    const flows = [
      ...lookup(host),
      ...here.map(({ home, mac }) => routedFromTunnel(number, destination, home.port, mac)),
    ];
    for (const { port, mac } of onePerSegment(bound)) {
      // What the second gateway of a device sends on has the MAC that the device would get it under.
      if (port.standby !== undefined && port.hypervisor === host && port.ofport > 0 && mac !== port.mac)
        flows.push(routedFromTunnel(number, destination, port, mac, mac));
    }
    if (flows.length > 0) units.push({ key: `route/${number}/at/${host}`, on: [host], flows });
  }
  const elsewhere = on.filter((h) => !hosts.has(h));
  if (hosts.size > 0 && elsewhere.length > 0)
    units.push({ key: `route/${number}/remote`, on: elsewhere, flows: lookup(undefined) });
  return units;
}

/**
 * Why what takes the route goes nowhere: no port that has the next hop is bound, or several have it under MACs of their
 * own; undefined where it goes on.
 */
export function hopFault(
  { view, placement }: Pick<CompileState, 'view' | 'placement'>,
  route: Resource<'route'>,
): 'unbound' | 'shared' | undefined {
  const hops = nextHops(view, route);
  if (hops.some(({ mac }) => mac !== hops[0]?.mac)) return 'shared';
  return hops.some(({ port }) => placement.get(port.path) !== undefined) ? undefined : 'unbound';
}

/** The port that has the address to itself, or those that have it as an allowed address pair; and under which MAC. */
function nextHops(view: View, { parent, spec }: Resource<'route'>): Hop[] {
  const address = ip(spec.nextHop);
  const own = view.portByIp(parent, address);
  const ports = own === undefined ? [...view.portsPaired(parent, hostPrefix(address))] : [own];
  return ports
    .sort((a, b) => a.number - b.number)
    .flatMap((port): Hop[] => {
      const facts = portFacts(view, port);
      if (facts === undefined) return [];
      const pair = facts.pairs.find(({ prefix }) => isHost(prefix) && prefix.value === address.value);
      return [{ port, facts, mac: own === undefined ? (pair?.mac ?? facts.mac) : facts.mac }];
    });
}
