/** What a rule or policy says of packets, spelled out: each combination of source, destination and service is one flow. */
import { isHost } from '../intent/ip.ts';
import type { Path, Resource, View } from '../intent/model.ts';
import { protocolNumber } from '../intent/protocols.ts';
import type { PolicySpec } from '../intent/resources/policy.ts';
import type { RuleEnd, RuleSpec } from '../intent/resources/rule.ts';
import { prefixesOf } from '../intent/versions.ts';
import type { Alternative, Service } from '../pipeline/stages/judge.ts';
import type { IpPrefix } from '../pipeline/stages/ports.ts';
import { AddressSet } from './address-set.ts';
import { addressOrPrefix, ipPrefix } from './addresses.ts';
import { maskedPorts } from './port-ranges.ts';
import { onlyIn } from './service-set.ts';

/** Every address of both IP versions. */
const everything: readonly IpPrefix[] = [
  { family: 4, value: 0, length: 0 },
  { family: 6, value: 0n, length: 0 },
];

export function* alternativesOf(
  sources: readonly IpPrefix[],
  destinations: readonly IpPrefix[],
  services: readonly Service[],
): Iterable<Alternative> {
  for (const service of services) {
    const only = service.protocol === undefined ? undefined : onlyIn.get(service.protocol);
    for (const source of sources) {
      if (only !== undefined && source.family !== only) continue;
      for (const destination of destinations)
        if (destination.family === source.family) yield { source, destination, service };
    }
  }
}

/** Two alternatives with one key are one flow. */
export function alternativeKey({ source, destination, service }: Alternative): string {
  const { protocol, ports, icmp } = service;
  const said = `${protocol}:${ports?.value ?? 0}/${ports?.mask ?? 0}:${icmp?.type}.${icmp?.code}`;
  return `${source.value}/${source.length}>${destination.value}/${destination.length}:${source.family}:${said}`;
}

/** Addresses an end stands for, by whatever name; none when it names a group without ports. */
export function addressesOf(view: View, network: Path, end: RuleEnd): readonly IpPrefix[] {
  if (end.any === true) return everything;
  if (end.cidr !== undefined) return [ipPrefix(end.cidr)];
  if (end.cidrs !== undefined) return end.cidrs.map(ipPrefix);
  if (end.tier !== undefined) {
    const tier = view.getAs('tier', `${network}/tiers/${end.tier}`);
    return tier === undefined ? [] : prefixesOf(tier.spec);
  }
  if (end.port !== undefined) {
    const port = view.getAs('port', `${network}/ports/${end.port}`);
    return port === undefined ? [] : hostsOf(port);
  }
  return end.group === undefined ? [] : members(view, network, end.group).flatMap(hostsOf);
}

/** Ends of the rules of one network as sets: one set for each end, however many rules have it. */
export class Ends {
  readonly #view: View;
  readonly #network: Path;
  readonly #sets = new Map<string, AddressSet>();

  constructor(view: View, network: Path) {
    this.#view = view;
    this.#network = network;
  }

  addresses(end: RuleEnd): AddressSet {
    const key = JSON.stringify(end);
    let set = this.#sets.get(key);
    if (set === undefined) {
      set = new AddressSet(addressesOf(this.#view, this.#network, end));
      this.#sets.set(key, set);
    }
    return set;
  }
}

/** What a port has, and the single addresses it may have: a rule for it is a rule for its virtual addresses. */
export function hostsOf({ spec }: Resource<'port'>): IpPrefix[] {
  return [...spec.ips, ...(spec.allowedAddressPairs ?? []).map((pair) => pair.ip)].map(addressOrPrefix).filter(isHost);
}

/** Ports of a group: those it names and those that name it. */
function members(view: View, network: Path, name: string): Resource<'port'>[] {
  const path = `${network}/groups/${name}`;
  const group = view.getAs('group', path);
  if (group === undefined) return [];
  const found = new Map<Path, Resource<'port'>>();
  for (const n of group.spec.ports ?? []) {
    const port = view.getAs('port', `${network}/ports/${n}`);
    if (port !== undefined) found.set(port.path, port);
  }
  for (const r of view.referrers(path)) if (r.kind === 'port') found.set(r.path, r);
  return [...found.values()];
}

export function servicesOf(spec: Pick<RuleSpec | PolicySpec, 'protocol' | 'ports' | 'icmp'>): Service[] {
  if (spec.protocol === 'any') return [{}];
  const protocol = protocolNumber(spec.protocol);
  // A protocol that is none fails closed.
  if (protocol === undefined) return [];
  if (spec.icmp !== undefined) return [{ protocol, icmp: spec.icmp }];
  if (spec.ports === undefined) return [{ protocol }];
  return maskedPorts(spec.ports).map((ports) => ({ protocol, ports }));
}
