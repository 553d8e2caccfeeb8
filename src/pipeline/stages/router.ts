/**
 * Tables Router, Route and NextHop: routing between the tiers of a network, to static routes and to peered networks, on
 * the switch where the packet starts (RFC 1812). What is rewritten there travels as any frame of the receiver's tier.
 */
import { cookie } from '../cookie.ts';
import type { Action, Flow, Match, Meter } from '../flow.ts';
import { load, matching, registers, subfield } from '../registers.ts';
import { expiredPriority, routePriority, tables, unreachablePriority } from '../tables.ts';
import { isLinkLocal, type TierFacts } from './gateway.ts';
import { checkTooBig, timeExceeded, tooBig, unreachable } from './icmp-error.ts';
import { type IpPrefix, ipVersions, type PortFacts, toIp, toPrefix } from './ports.ts';

/** Ids of the meters of tiers, above those of ports, networks and probes. */
const errorMeters = 0x3000_0000;

/** Frames to the router of the tier they are in. */
export function enterRouter(tier: TierFacts): Flow {
  return {
    table: tables.Router.id,
    priority: 100,
    cookie: cookie(tables.Router.id, tier.number),
    match: matching({ eth_dst: tier.routerMac }, registers.tier, tier.tier),
    actions: tier.mtu === undefined ? [] : [checkTooBig(tier.mtu, subfield(registers.tooBig))],
    goto: tables.Route.id,
  };
}

/** Everything else stays in its tier; and what has no time to live left is not forwarded (RFC 1812 section 5.3.1). */
export function pastRouter(): Flow[] {
  return [
    {
      table: tables.Router.id,
      priority: 110,
      cookie: cookie(tables.Router.id, 0),
      match: matching({}, registers.fromOutside, 1),
      actions: [],
      goto: tables.Route.id,
    },
    {
      table: tables.Router.id,
      priority: 1,
      cookie: cookie(tables.Router.id, 0),
      match: {},
      actions: [],
      goto: tables.Lookup.id,
    },
    ...ipVersions.flatMap((version) =>
      [0, 1].map((ttl) => ({
        table: tables.Route.id,
        priority: expiredPriority,
        cookie: cookie(tables.Route.id, 0),
        match: { ...version, ip_ttl: ttl },
        actions: [],
      })),
    ),
  ];
}

/**
 * Of a tier's own, so that no tenant can silence the router of another. It counts as the pipeline's own: a switch that has
 * no room for it routes all the same.
 */
export function errorMeter(tier: TierFacts): Meter {
  return { id: errorMeters + tier.tier, cookie: cookie(tables.NextHop.id, 0), unit: 'pktps', rate: 100, burst: 100 };
}

/** What the router of a tier tells the tier's ports of packets it does not pass on. */
export function routerErrors(tier: TierFacts): Flow[] {
  const match = matching({}, registers.tier, tier.tier);
  const meter = errorMeter(tier).id;
  const at = (table: number, priority: number) => ({
    table,
    priority,
    cookie: cookie(table, tier.number),
    match,
    meter,
  });
  return tier.gateways
    .filter((gateway) => !isLinkLocal(gateway))
    .flatMap((gateway) => [
      ...timeExceeded({ ...at(tables.Route.id, expiredPriority + 1), gateway }),
      ...(tier.mtu === undefined
        ? []
        : [
            tooBig(
              {
                ...at(tables.Route.id, expiredPriority + 2),
                match: matching(match, registers.tooBig, 1),
                gateway,
              },
              tier.mtu,
            ),
          ]),
      unreachable({ ...at(tables.Route.id, unreachablePriority), gateway }, 'netUnreachable'),
      unreachable({ ...at(tables.NextHop.id, unreachablePriority), gateway }, 'hostUnreachable'),
    ]);
}

function route(
  kind: Parameters<typeof routePriority>[1],
  resource: number,
  network: number,
  prefix: IpPrefix,
): Pick<Flow, 'table' | 'priority' | 'cookie' | 'match'> & { actions: Action[] } {
  return {
    table: tables.Route.id,
    priority: routePriority(prefix.length, kind),
    cookie: cookie(tables.Route.id, resource),
    match: matching(toPrefix(prefix), registers.network, network),
    actions: [{ type: 'decTtl' }, load(registers.routed, 1)],
  };
}

/** To whichever port of the tier has the address. */
export function routeToTier(tier: TierFacts, prefix: IpPrefix): Flow {
  return { ...route('tier', tier.number, tier.network, prefix), goto: tables.NextHop.id };
}

/** To whichever port of the peered network has the address. @param resource number of the peering */
export function routeToPeer(resource: number, network: number, prefix: IpPrefix, peer: number): Flow {
  const { actions, ...flow } = route('peering', resource, network, prefix);
  return { ...flow, actions: [...actions, load(registers.network, peer)], goto: tables.NextHop.id };
}

/** To the one port that forwards it. @param resource number of the static route */
export function routeToPort(resource: number, prefix: IpPrefix, hop: PortFacts): Flow {
  const { actions, ...flow } = route('static', resource, hop.network, prefix);
  return { ...flow, actions: [...actions, ...toward(hop)], goto: tables.Lookup.id };
}

/** The frame becomes one of the receiver's tier, from its router. */
function toward(port: PortFacts): Action[] {
  return [
    load(registers.tier, port.tier),
    { type: 'setField', field: 'eth_src', value: port.routerMac },
    { type: 'setField', field: 'eth_dst', value: port.mac },
  ];
}

export function nextHops(port: PortFacts): Flow[] {
  return port.ips.map((ip) => ({
    table: tables.NextHop.id,
    priority: 100,
    cookie: cookie(tables.NextHop.id, port.number),
    match: matching(toIp(ip), registers.network, port.network),
    actions: toward(port),
    goto: tables.Lookup.id,
  }));
}

/** A destination a static route leads to a port for, once the packet has been routed there: nobody gets it there directly. */
export function routedTo(prefix: IpPrefix, port: PortFacts): Match {
  const match = { ...toPrefix(prefix), eth_dst: port.mac };
  return matching(matching(matching(match, registers.key, port.key), registers.tier, port.tier), registers.routed, 1);
}
