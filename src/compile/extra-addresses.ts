/**
 * Units of addresses that ports of a network have beyond their own, and of ports without port security. They are
 * compiled together, because an address may be several ports' at once; what a switch needs to know of it depends on which
 * of them it has itself.
 */
import type { HypervisorNumber } from '../drivers/switch-plugin.ts';
import { formatIp, isHost, isIn } from '../intent/ip.ts';
import type { Path, Resource } from '../intent/model.ts';
import { prefixesOf } from '../intent/versions.ts';
import type { Flow } from '../pipeline/flow.ts';
import { answerNeighbours } from '../pipeline/stages/neighbour.ts';
import type { IpPrefix } from '../pipeline/stages/ports.ts';
import type { Qos } from '../pipeline/stages/qos.ts';
import { nextHops } from '../pipeline/stages/router.ts';
import {
  admitAnySource,
  admitPair,
  lookupUnsecured,
  lookupVirtual,
  unsecuredFromTunnel,
  virtualFromTunnel,
} from '../pipeline/stages/virtual-address.ts';
import {
  type BoundPort,
  boundPort,
  type Claim,
  claimantsAt,
  classified,
  type Home,
  homesOf,
  onePerSegment,
} from './bound.ts';
import { isProviderPort } from './provider-tier.ts';
import { qosOf } from './qos.ts';
import { isRouted, peersOf, reachOf, switchesOf } from './routing.ts';
import type { CompileState, Unit } from './state.ts';

/** An address and who may have it, each under which MAC. */
type Virtual = { prefix: IpPrefix; by: [Claim, ...Claim[]] };

/** Whether anything is compiled here for the port. */
export function hasExtras(port: Resource<'port'> | undefined): boolean {
  return port !== undefined && (port.spec.portSecurity === false || (port.spec.allowedAddressPairs ?? []).length > 0);
}

export function extraUnits(state: CompileState, network: Path): Unit[] {
  const { view } = state;
  const owner = view.getAs('network', network);
  const on = reachOf(state, network);
  if (owner === undefined || on.length === 0) return [];
  const ports = boundPorts(state, network);
  if (ports.length === 0) return [];
  const shared = virtuals(state, network, ports);
  const units: Unit[] = [];
  const everywhere = shared.flatMap(({ prefix, by: [{ port, mac }] }): Flow[] => {
    const as = { ...port, mac, ips: [prefix], isRouter: false };
    return [...answerNeighbours(as), ...(isRouted(state, network) ? nextHops(as) : [])];
  });
  if (everywhere.length > 0) units.push({ key: `extra/${owner.number}`, on, flows: everywhere });
  for (const hypervisor of on) {
    const flows = [...flowsOn(hypervisor, ports, shared)];
    if (flows.length > 0) units.push({ key: `extra/${owner.number}/${hypervisor}`, on: [hypervisor], flows });
  }
  return shared.length === 0 ? units : [...units, ...beyond(state, network, shared)];
}

/**
 * In peered networks: a sender there finds the addresses, and what comes from them is admitted. Prefixes among the pairs
 * are no addresses of the network, and a peering does not lead to them.
 */
function beyond(state: CompileState, network: Path, shared: readonly Virtual[]): Unit[] {
  const { view } = state;
  const [number, on] = [view.getAs('network', network)?.number, reachOf(state, network)];
  const units: Unit[] = [];
  const others = new Set<HypervisorNumber>();
  for (const peer of peersOf(view, network)) {
    for (const hypervisor of switchesOf(state, peer.path)) {
      if (!on.includes(hypervisor)) others.add(hypervisor);
      const flows = shared.flatMap(({ prefix, by }) => {
        const hosts = new Map(by.flatMap(({ port }) => homesOf(port).map((home) => [home.hypervisor, port] as const)));
        hosts.delete(hypervisor);
        return [...hosts].map(([host, port]) => admitPair({ ...port, network: peer.id }, prefix, host));
      });
      if (flows.length > 0)
        units.push({ key: `extra/${number}/in/${peer.number}/${hypervisor}`, on: [hypervisor], flows });
    }
  }
  const flows = shared.flatMap(({ prefix, by }) => [
    ...nextHops({ ...by[0].port, mac: by[0].mac, ips: [prefix] }),
    ...lookupAt(undefined, { prefix, by }),
  ]);
  if (others.size > 0) units.push({ key: `extra/${number}/beyond`, on: [...others].sort((a, b) => a - b), flows });
  return units;
}

type ExtraPort = BoundPort & { qos: Qos };

function boundPorts(state: CompileState, network: Path): ExtraPort[] {
  const ports: ExtraPort[] = [];
  for (const path of state.placement.boundPortsOf(network)) {
    const port = state.view.getAs('port', path);
    // What is straight on a provider network has no address but its own there.
    if (port === undefined || !hasExtras(port) || isProviderPort(state.view, port)) continue;
    const bound = boundPort(state, port);
    if (bound !== undefined) ports.push({ ...bound, qos: qosOf(port.spec) });
  }
  return ports.sort((a, b) => a.number - b.number);
}

/** Single addresses of a tier that its ports name. Others are reached by static routes only. */
function virtuals({ view }: CompileState, network: Path, ports: readonly BoundPort[]): Virtual[] {
  const prefixes = new Map([...view.children('tier', network)].map((tier) => [tier.id, prefixesOf(tier.spec)]));
  const found = new Map<string, Virtual>();
  for (const port of ports) {
    for (const { prefix, mac } of port.pairs) {
      if (!isHost(prefix) || prefixes.get(port.tier)?.some((p) => isIn(p, prefix)) !== true) continue;
      const key = `${port.tier} ${formatIp(prefix)}`;
      const known = found.get(key);
      if (known === undefined) found.set(key, { prefix, by: [{ port, mac }] });
      else if (!known.by.some((other) => other.port === port)) known.by.push({ port, mac });
    }
  }
  return [...found.values()];
}

function lookupAt(hypervisor: HypervisorNumber | undefined, { prefix, by }: Virtual): Flow[] {
  const claimants = claimantsAt(hypervisor, by);
  return claimants === undefined ? [] : [lookupVirtual(prefix, claimants)];
}

function* flowsOn(
  hypervisor: HypervisorNumber,
  ports: readonly ExtraPort[],
  shared: readonly Virtual[],
): Iterable<Flow> {
  /** Where it is here, once told of. */
  const homeHere = (port: BoundPort): Home | undefined =>
    homesOf(port).find((home) => home.hypervisor === hypervisor && home.port.ofport > 0);
  for (const virtual of shared) {
    yield* lookupAt(hypervisor, virtual);
    for (const { port, mac } of virtual.by) {
      const home = homeHere(port);
      if (home !== undefined) yield virtualFromTunnel(virtual.prefix, home.port, mac);
    }
    for (const { port, mac } of onePerSegment(virtual.by)) {
      // What the second gateway of a device sends on has the MAC that the device would get it under.
      const isFirst = port.standby !== undefined && port.hypervisor === hypervisor && port.ofport > 0;
      if (isFirst && mac !== port.mac) yield virtualFromTunnel(virtual.prefix, port, mac, mac);
    }
  }
  // Ports of one peer may name the same.
  const said = new Set<string>();
  const isFirst = (key: string): boolean => !said.has(key) && said.add(key) !== undefined;
  for (const port of ports) {
    const here = homeHere(port);
    const others = homesOf(port).filter((home) => home.hypervisor !== hypervisor);
    if (here !== undefined) yield* classifiedBeyond(here, port, isFirst);
    if (!port.secured) {
      for (const at of claimantsAt(hypervisor, [{ port, mac: port.mac }]) ?? []) yield lookupUnsecured(at);
      if (here !== undefined) yield unsecuredFromTunnel(here.port);
      for (const other of others) if (isFirst(`${other.hypervisor}`)) yield* admitAnySource(port, other.hypervisor);
    }
    for (const { hypervisor: other } of others)
      for (const pair of port.pairs) {
        const key = `${other} ${formatIp(pair.prefix)}/${pair.prefix.length}`;
        if (isFirst(key)) yield admitPair(port, pair.prefix, other);
      }
  }
}

/**
 * Devices behind one VLAN are told apart by their MACs. One that several may have is taken for the first one's, and so is
 * what comes from no MAC that is known: rules go by address, and are the same for all of them.
 */
function* classifiedBeyond(home: Home, port: ExtraPort, isFirst: (key: string) => boolean): Iterable<Flow> {
  const { attachment, pairs, qos, secured } = port;
  if (attachment === undefined) return;
  for (const { mac } of pairs)
    if (mac !== port.mac && isFirst(`from ${attachment} ${mac}`)) yield* classified(home, qos, mac);
  if (!secured && isFirst(`from ${attachment}`)) yield* classified(home, qos, 'any');
}
