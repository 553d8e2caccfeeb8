/**
 * Units of addresses that ports of a network have beyond their own, and of ports without port security. They are
 * compiled together, because an address may be several ports' at once; what a switch needs to know of it depends on which
 * of them it has itself.
 */
import type { HypervisorNumber } from '../drivers/switch-plugin.ts';
import { formatIp, hostPrefix, isIn } from '../intent/ip.ts';
import type { Path, Resource } from '../intent/model.ts';
import type { Flow } from '../pipeline/flow.ts';
import { answerNeighbours } from '../pipeline/stages/neighbour.ts';
import type { AddressPair, Ip, LocalPort } from '../pipeline/stages/ports.ts';
import { nextHops } from '../pipeline/stages/router.ts';
import {
  admitAnySource,
  admitPair,
  type Claimant,
  lookupUnsecured,
  lookupVirtual,
  unsecuredFromTunnel,
  virtualFromTunnel,
} from '../pipeline/stages/virtual-address.ts';
import { ipPrefix } from './addresses.ts';
import { portEpoch } from './epochs.ts';
import { isHost, portFacts, tierPrefixes } from './facts.ts';
import { isRouted, peersOf, switchesOf } from './routing.ts';
import type { CompileState, Unit } from './state.ts';

type Bound = LocalPort & { hypervisor: HypervisorNumber };

/** An address and who may have it, each under which MAC. */
type Virtual = { ip: Ip; by: { port: Bound; mac: number }[] };

/** Whether anything is compiled here for the port. */
export function hasExtras(port: Resource<'port'> | undefined): boolean {
  return port !== undefined && (port.spec.portSecurity === false || (port.spec.allowedAddressPairs ?? []).length > 0);
}

export function extraUnits(state: CompileState, network: Path): Unit[] {
  const { view } = state;
  const owner = view.getAs('network', network);
  const on = switchesOf(state, network);
  if (owner === undefined || on.length === 0) return [];
  const ports = boundPorts(state, network);
  if (ports.length === 0) return [];
  const shared = virtuals(state, network, ports);
  const units: Unit[] = [];
  const everywhere = shared.flatMap(({ ip, by: [{ port, mac } = never()] }): Flow[] => {
    const as = { ...port, mac, ips: [ip], isRouter: false };
    return [...answerNeighbours(as), ...(isRouted(view, network) ? nextHops(as) : [])];
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
  const [number, on] = [view.getAs('network', network)?.number, switchesOf(state, network)];
  const units: Unit[] = [];
  const others = new Set<HypervisorNumber>();
  for (const peer of peersOf(view, network)) {
    for (const hypervisor of switchesOf(state, peer.path)) {
      if (!on.includes(hypervisor)) others.add(hypervisor);
      const flows = shared.flatMap(({ ip, by }) => {
        const hosts = new Map(by.map(({ port }) => [port.hypervisor, port]));
        hosts.delete(hypervisor);
        const pair = { prefix: hostPrefix(ip), mac: 0 };
        return [...hosts].map(([host, port]) => admitPair({ ...port, network: peer.id }, pair, host));
      });
      if (flows.length > 0)
        units.push({ key: `extra/${number}/in/${peer.number}/${hypervisor}`, on: [hypervisor], flows });
    }
  }
  const flows = shared.flatMap(({ ip, by }) => {
    const [first, ...more] = by.map(({ port, mac }): Claimant => ({ port, mac, at: { peer: port.hypervisor } }));
    return first === undefined
      ? []
      : [...nextHops({ ...first.port, mac: first.mac, ips: [ip] }), lookupVirtual(ip, [first, ...more])];
  });
  if (others.size > 0) units.push({ key: `extra/${number}/beyond`, on: [...others].sort((a, b) => a - b), flows });
  return units;
}

function never(): never {
  throw new Error('a virtual address that nobody has');
}

function boundPorts({ view, placement, hypervisors }: CompileState, network: Path): Bound[] {
  const ports: Bound[] = [];
  for (const path of placement.boundPortsOf(network)) {
    const port = view.getAs('port', path);
    if (port === undefined || !hasExtras(port)) continue;
    const bound = placement.get(path);
    const facts = portFacts(view, port);
    if (facts === undefined || bound === undefined || bound.ofport <= 0 || !hypervisors.has(bound.hypervisor)) continue;
    const { hypervisor, ofport, zone } = bound;
    ports.push({ ...facts, ofport, zone, epoch: portEpoch(port), hypervisor });
  }
  return ports.sort((a, b) => a.number - b.number);
}

/** Single addresses of a tier that its ports name. Others are reached by static routes only. */
function virtuals({ view }: CompileState, network: Path, ports: readonly Bound[]): Virtual[] {
  const prefixes = new Map(
    [...view.children('tier', network)].map((tier) => [tier.id, tierPrefixes(tier).map(ipPrefix)]),
  );
  const found = new Map<string, Virtual>();
  for (const port of ports) {
    for (const { prefix, mac } of port.pairs) {
      if (!isHost(prefix) || prefixes.get(port.tier)?.some((p) => isIn(p, prefix)) !== true) continue;
      const key = `${port.tier} ${formatIp(prefix)}`;
      const known = found.get(key);
      if (known === undefined) found.set(key, { ip: hostIp(prefix), by: [{ port, mac }] });
      else if (!known.by.some((other) => other.port === port)) known.by.push({ port, mac });
    }
  }
  return [...found.values()];
}

const hostIp = (prefix: AddressPair['prefix']): Ip =>
  prefix.family === 4 ? { family: 4, value: prefix.value } : { family: 6, value: prefix.value };

function* flowsOn(hypervisor: number, ports: readonly Bound[], shared: readonly Virtual[]): Iterable<Flow> {
  const claimant = (port: Bound, mac: number): Claimant => ({
    port,
    mac,
    at: port.hypervisor === hypervisor ? port : { peer: port.hypervisor },
  });
  for (const { ip, by } of shared) {
    const [first, ...others] = by.map(({ port, mac }) => claimant(port, mac));
    if (first !== undefined) yield lookupVirtual(ip, [first, ...others]);
    for (const { port, mac } of by) if (port.hypervisor === hypervisor) yield virtualFromTunnel(ip, port, mac);
  }
  // Ports of one peer may name the same.
  const said = new Set<string>();
  for (const port of ports) {
    const isHere = port.hypervisor === hypervisor;
    if (!port.secured) {
      yield lookupUnsecured(claimant(port, port.mac));
      if (isHere) yield unsecuredFromTunnel(port);
      else if (!said.has(`${port.hypervisor}`)) yield* admitAnySource(port, port.hypervisor);
      said.add(`${port.hypervisor}`);
    }
    if (isHere) continue;
    for (const pair of port.pairs) {
      const key = `${port.hypervisor} ${formatIp(pair.prefix)}/${pair.prefix.length}`;
      if (!said.has(key)) yield admitPair(port, pair, port.hypervisor);
      said.add(key);
    }
  }
}
