/**
 * Units of a network's way out: the way to its gateways, what these take, and its public addresses where they are at home.
 * Each public address has a unit on each switch it is at home on, with all of its NAT rules, so that rules of one address
 * never meet another's.
 */
import type { HypervisorNumber } from '../drivers/switch-plugin.ts';
import { generatedMac, publicMac } from '../intent/addresses.ts';
import type { Path, Resource, View } from '../intent/model.ts';
import type { NatRuleSpec } from '../intent/resources/nat-rule.ts';
import { parentPath } from '../inventory/paths.ts';
import type { Flow } from '../pipeline/flow.ts';
import { type ForwardedPorts, forwardPorts, inForce, sourceNat, staticNat } from '../pipeline/stages/nat.ts';
import type { IpPrefix } from '../pipeline/stages/ports.ts';
import {
  giveToProvider,
  hairpin,
  type PublicAddress,
  refuseInside,
  refuseTooBig,
  takeFromProvider,
} from '../pipeline/stages/provider.ts';
import {
  admitOutside,
  arriveAtGateway,
  atFirstGateway,
  atSecondGateway,
  type OutwardNetwork,
  routeOutside,
  straightOut,
  toGateways,
} from '../pipeline/stages/way-out.ts';
import { AddressSet } from './address-set.ts';
import { ip, ipPrefix } from './addresses.ts';
import { natEpoch } from './epochs.ts';
import { maskedPorts } from './port-ranges.ts';
import { patchKeyOf, publicHomes, rulesOf } from './public-address.ts';
import { peersOf, switchesOf } from './routing.ts';
import type { CompileState, Unit } from './state.ts';

export function gatewayUnits(state: CompileState, path: Path): Unit[] {
  const { view } = state;
  const network = view.getAs('network', path);
  const tenant = view.getAs('tenant', parentPath(path));
  if (network === undefined || tenant === undefined) return [];
  const outward = {
    number: network.number,
    network: network.id,
    key: tenant.id,
    gatewayMac: generatedMac(network.number),
  };
  const units = wayToGateways(state, path, outward);
  // Without NAT rules nothing leaves, and the router says so to who tries.
  if (view.count('nat-rule', path) === 0) return units;
  const inside = insideOf(state, network);
  units.push(...toAndFromOutside(state, path, outward, inside));
  const taken = new Map<HypervisorNumber, PublicAddress[]>();
  for (const address of [...view.children('public-ip', path)].sort((a, b) => a.number - b.number)) {
    for (const at of publicHomes(state, address)) {
      const facts = addressAt(state, address, outward, network.spec.mtu, at);
      if (facts === undefined) continue;
      const flows = addressFlows(state, address, facts, at);
      if (flows.length === 0) continue;
      units.push({ key: `gateway/${network.number}/address/${address.number}/${at}`, on: [at], flows });
      const there = taken.get(at);
      if (there === undefined) taken.set(at, [facts]);
      else there.push(facts);
    }
  }
  for (const [at, addresses] of taken) {
    const { flows, meters } = refuseTooBig(addresses);
    const refused = [...refuseInside(outward, inside), ...flows];
    units.push({ key: `gateway/${network.number}/refuse/${at}`, on: [at], flows: refused, meters });
  }
  return units;
}

/** For what leaves the network, and for what asks the services. */
function wayToGateways(state: CompileState, path: Path, outward: OutwardNetwork): Unit[] {
  const [first, second] = state.gateways(path);
  if (first === undefined) return [];
  const key = `gateway/${outward.number}`;
  const units: Unit[] = [];
  const zone = state.natZone(first, path);
  if (zone !== undefined)
    units.push({
      key: `${key}/first`,
      on: [first],
      flows: [atFirstGateway(outward, zone), arriveAtGateway(outward, zone)],
    });
  const secondZone = second === undefined ? undefined : state.natZone(second, path);
  if (second !== undefined && secondZone !== undefined)
    units.push({
      key: `${key}/second`,
      on: [second],
      flows: [atSecondGateway(outward, secondZone, first), arriveAtGateway(outward, secondZone)],
    });
  const others = switchesOf(state, path).filter((h) => h !== first && h !== second);
  if (others.length > 0)
    units.push({ key: `${key}/hosts`, on: others, flows: [toGateways(outward, first, second ?? 0)] });
  return units;
}

/** Where ports of the network are: the route there, and what comes back. */
function toAndFromOutside(
  state: CompileState,
  path: Path,
  outward: OutwardNetwork,
  inside: readonly IpPrefix[],
): Unit[] {
  const on = switchesOf(state, path);
  if (on.length === 0) return [];
  const units: Unit[] = [{ key: `gateway/${outward.number}/route`, on, flows: routeOutside(outward, inside) }];
  for (const gateway of state.gateways(path)) {
    const others = on.filter((h) => h !== gateway);
    if (others.length > 0)
      units.push({
        key: `gateway/${outward.number}/from/${gateway}`,
        on: others,
        flows: admitOutside(outward, inside, gateway),
      });
  }
  return units;
}

/** Prefixes that lead inside, of IPv4: nobody outside has an address of theirs. A default route says nothing of that. */
function insideOf({ view }: CompileState, network: Resource<'network'>): readonly IpPrefix[] {
  const texts = [network.spec.cidr];
  // Those of transit are not within it.
  for (const { spec } of view.children('tier', network.path))
    if (spec.cidr !== undefined && spec.providerNetwork === undefined) texts.push(spec.cidr);
  for (const { spec } of view.children('route', network.path)) texts.push(spec.destination);
  for (const peer of peersOf(view, network.path)) texts.push(peer.spec.cidr);
  return new AddressSet(texts.map(ipPrefix).filter(({ length }) => length > 0)).of(4);
}

/** Undefined where that switch has not told of its patch, or has no zone for the network. */
function addressAt(
  state: CompileState,
  address: Resource<'public-ip'>,
  network: OutwardNetwork,
  mtu: number | undefined,
  at: HypervisorNumber,
): PublicAddress | undefined {
  const key = patchKeyOf(state, address);
  const patch = key === undefined ? undefined : state.patch(at, key);
  const zone = state.natZone(at, address.parent);
  if (address.spec.address === undefined || patch === undefined || patch === 0 || zone === undefined) return undefined;
  const homes = publicHomes(state, address);
  return {
    number: address.number,
    address: ipv4(address.spec.address),
    mac: publicMac(ipv4(address.spec.address)),
    network,
    patch,
    zone,
    first: homes.length > 1 && homes[0] !== at ? homes[0] : undefined,
    mtu: state.checkMtu ? mtu : undefined,
  };
}

/** All an address is for; nothing where no rule says anything of it. */
function addressFlows(
  state: CompileState,
  { path, spec }: Resource<'public-ip'>,
  at: PublicAddress,
  here: HypervisorNumber,
): Flow[] {
  const flows: Flow[] = [];
  for (const rule of rulesOf(state, path)) flows.push(...ruleFlows(state, rule, at, here));
  if (flows.length === 0) return [];
  const nextHop = state.nextHopMac(`ip-pools/${spec.pool}`);
  if (nextHop !== undefined) flows.push(giveToProvider(at, nextHop));
  return [...takeFromProvider(at), hairpin(at), ...flows];
}

function ruleFlows(
  { view, placement }: CompileState,
  { number, id, parent, spec }: Resource<'nat-rule'>,
  { address, network, zone }: PublicAddress,
  here: HypervisorNumber,
): Flow[] {
  const said = { number, id, network: network.network };
  if (spec.type === 'source') {
    const from = sources(view, parent, spec.tiers);
    const rule = {
      ...said,
      epoch: natEpoch(
        spec,
        address,
        from.map(({ value, length }) => `${value}/${length}`),
      ),
    };
    return [...inForce(rule), ...from.map((prefix) => sourceNat(rule, prefix, address))];
  }
  const port = view.getAs('port', `${parent}/ports/${spec.port}`);
  const inner = spec.address ?? port?.spec.ips.find((text) => ip(text).family === 4);
  // A rule for what the port no longer has says nothing.
  if (port === undefined || inner === undefined || !port.spec.ips.includes(inner)) return [];
  const translation = { public: address, private: ipv4(inner) };
  const rule = { ...said, epoch: natEpoch(spec, address, [inner]) };
  if (spec.type === 'port-forward')
    return [...inForce(rule), ...[...forwardedPorts(spec)].flatMap((ports) => forwardPorts(rule, translation, ports))];
  const flows = [...inForce(rule), ...staticNat(rule, translation)];
  // What the port sends leaves from here, and goes to no gateway first.
  if (placement.get(port.path)?.hypervisor === here) flows.push(straightOut(rule, network, translation.private, zone));
  return flows;
}

/** Prefixes of the tiers; everything where none are named. */
function sources(view: View, network: Path, tiers: readonly string[] | undefined): IpPrefix[] {
  if (tiers === undefined) return [{ family: 4, value: 0, length: 0 }];
  const found: IpPrefix[] = [];
  for (const name of tiers) {
    const cidr = view.getAs('tier', `${network}/tiers/${name}`)?.spec.cidr;
    if (cidr !== undefined) found.push(ipPrefix(cidr));
  }
  return found;
}

/** An address that the checks of intent have passed as IPv4. */
function ipv4(text: string): number {
  const address = ip(text);
  if (address.family !== 4) throw new Error(`not IPv4: ${text}`);
  return address.value;
}

/** @param said of a rule for port forwarding */
function* forwardedPorts({ protocol, publicPorts, privatePorts }: NatRuleSpec): Iterable<ForwardedPorts> {
  if (protocol === undefined || publicPorts === undefined) return;
  const [first = 0, last = first] = publicPorts.split('-').map(Number);
  const shift = privatePorts === undefined ? 0 : Number(privatePorts.split('-')[0]) - first;
  if (shift === 0) for (const ports of maskedPorts([publicPorts])) yield { protocol, public: ports };
  // Each port has its own: the switch knows no arithmetic.
  else
    for (let port = first; port <= last; port++)
      yield { protocol, public: { value: port, mask: 0xffff }, private: port + shift };
}
