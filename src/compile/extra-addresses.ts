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
import { nextHops } from '../pipeline/stages/router.ts';
import {
  admitAnySource,
  admitPair,
  lookupUnsecured,
  lookupVirtual,
  unsecuredFromTunnel,
  virtualFromTunnel,
} from '../pipeline/stages/virtual-address.ts';
import { type BoundPort, boundPort, type Claim, claimantsAt } from './bound.ts';
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
        const hosts = new Map(by.map(({ port }) => [port.hypervisor, port]));
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

function boundPorts(state: CompileState, network: Path): BoundPort[] {
  const ports: BoundPort[] = [];
  for (const path of state.placement.boundPortsOf(network)) {
    const port = state.view.getAs('port', path);
    const bound = hasExtras(port) ? boundPort(state, port) : undefined;
    if (bound !== undefined) ports.push(bound);
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
  ports: readonly BoundPort[],
  shared: readonly Virtual[],
): Iterable<Flow> {
  const isToldOf = (port: BoundPort): boolean => port.hypervisor === hypervisor && port.ofport > 0;
  for (const virtual of shared) {
    yield* lookupAt(hypervisor, virtual);
    for (const { port, mac } of virtual.by) if (isToldOf(port)) yield virtualFromTunnel(virtual.prefix, port, mac);
  }
  // Ports of one peer may name the same.
  const said = new Set<string>();
  for (const port of ports) {
    const isHere = port.hypervisor === hypervisor;
    if (!port.secured) {
      for (const at of claimantsAt(hypervisor, [{ port, mac: port.mac }]) ?? []) yield lookupUnsecured(at);
      if (isToldOf(port)) yield unsecuredFromTunnel(port);
      if (!isHere && !said.has(`${port.hypervisor}`)) yield* admitAnySource(port, port.hypervisor);
      said.add(`${port.hypervisor}`);
    }
    if (isHere) continue;
    for (const pair of port.pairs) {
      const key = `${port.hypervisor} ${formatIp(pair.prefix)}/${pair.prefix.length}`;
      if (!said.has(key)) yield admitPair(port, pair.prefix, port.hypervisor);
      said.add(key);
    }
  }
}
