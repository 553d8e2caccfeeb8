/** What comes from outside: by which public address, where, and for whom it is published. */
import type { HypervisorNumber } from '../drivers/switch-plugin.ts';
import { type Ip, isIn, parseIp, parseIpPrefix } from '../intent/ip.ts';
import type { Path, Resource, View } from '../intent/model.ts';
import { tenantOf } from '../intent/path.ts';
import { protocolNumber } from '../intent/protocols.ts';
import { providerPatch } from '../inventory/patch-keys.ts';
import type { Placement } from '../inventory/placement.ts';
import { fieldProblem } from '../problems.ts';
import { destination, type PacketAsked, packetAsked, portAt, publicIpAt, type TraceRequest } from './request.ts';
import type { Surroundings } from './surroundings.ts';

/** RFC 5737, TEST-NET-2: somebody outside, whom no rule speaks of. */
const somebody = '198.51.100.1';

export type Inbound = PacketAsked & {
  source: Ip & { family: 4 };
  /** Undefined: nothing of the port is published there. */
  publicIp: Resource<'public-ip'> | undefined;
  /** Port that was named. */
  port: Resource<'port'> | undefined;
};

/** @throws Problem about the field at fault */
export function resolveInbound({ view }: Surroundings, request: TraceRequest): Inbound {
  const { from, to, within } = request;
  const text = (typeof from === 'string' ? undefined : from.outside) ?? somebody;
  const source = parseIp(text);
  if (source?.family !== 4)
    throw fieldProblem('address.invalid', '/from', `${text} is no IPv4 address: only such come in by public addresses`);
  if (request.source !== undefined)
    throw fieldProblem(
      'request.invalid',
      '/source',
      'The address of a sender outside is given with it: outside:ADDRESS',
    );
  if ('ask' in to) throw fieldProblem('request.invalid', '/to', 'Nobody outside may ask that');
  const packet = packetAsked(request, false);
  const common = { ...packet, source };
  if ('publicIp' in to) return { ...common, publicIp: publicIpAt(view, to.publicIp, '/to'), port: undefined };
  if ('port' in to) {
    const port = portAt(view, to.port, '/to', within);
    return { ...common, publicIp: publishedBy(view, port, packet), port };
  }
  const publicIp = publicIpWith(view, destination(to.ip), within);
  if (publicIp === undefined)
    throw fieldProblem(
      'resource.not-found',
      '/to',
      `${to.ip} is no public address${within === undefined ? '' : ' of yours'}`,
    );
  return { ...common, publicIp, port: undefined };
}

/** The public address with this number. @param within of this tenant only */
export function publicIpWith(view: View, ip: Ip, within?: Path): Resource<'public-ip'> | undefined {
  if (ip.family !== 4) return undefined;
  for (const pool of view.children('ip-pool', '')) {
    const cidr = parseIpPrefix(pool.spec.cidr);
    if (cidr === undefined || !isIn(cidr, ip)) continue;
    const found = view.publicIpByAddress(pool.path, ip.value);
    if (found !== undefined && (within === undefined || tenantOf(found.path) === within)) return found;
  }
  return undefined;
}

/** The public address by which packets to this service reach the port: of a forwarded port, else its own. */
function publishedBy(view: View, port: Resource<'port'>, asked: PacketAsked): Resource<'public-ip'> | undefined {
  let found: Path | undefined;
  for (const rule of view.referrers(port.path)) {
    if (rule.kind !== 'nat-rule' || rule.spec.port !== port.name) continue;
    const address = `${rule.parent}/public-ips/${rule.spec.publicIp}`;
    if (rule.spec.type === 'static') found ??= address;
    else if (forwards(rule, asked)) return view.getAs('public-ip', address);
  }
  return found === undefined ? undefined : view.getAs('public-ip', found);
}

function forwards({ spec }: Resource<'nat-rule'>, { protocol, destinationPort }: PacketAsked): boolean {
  if (spec.protocol === undefined || protocolNumber(spec.protocol) !== protocol) return false;
  const [first = 0, last = first] = (spec.publicPorts ?? '').split('-').map(Number);
  return first <= destinationPort && destinationPort <= last;
}

/** A hypervisor with the provider network, and the port it has to it. */
export type Entrance = { hypervisor: HypervisorNumber; ofport: number };

/** Where packets for the address may come in: hypervisors with the provider network that may be in charge of it. */
export function entrances({ view, placement, fleet }: Surroundings, address: Resource<'public-ip'>): Entrance[] {
  const pool = view.getAs('ip-pool', `ip-pools/${address.spec.pool}`);
  const provider = pool && view.getAs('provider-network', `provider-networks/${pool.spec.providerNetwork}`);
  if (provider === undefined) return [];
  const found: Entrance[] = [];
  for (const hypervisor of homes(view, placement, address)) {
    const ofport = fleet.get(hypervisor)?.patches.get(providerPatch(provider.number));
    if (ofport !== undefined && ofport !== 0) found.push({ hypervisor, ofport });
  }
  return found;
}

/** Hypervisors of ports it stands for, then gateways of its network. */
function homes(view: View, placement: Placement, { path, parent }: Resource<'public-ip'>): Set<HypervisorNumber> {
  const found = new Set<HypervisorNumber>();
  for (const { spec } of view.natRulesOf(path)) {
    const bound = spec.type === 'static' ? placement.get(`${parent}/ports/${spec.port}`) : undefined;
    if (bound !== undefined) found.add(bound.hypervisor);
  }
  for (const gateway of placement.gatewaysOf(parent)) found.add(gateway);
  return found;
}

/** What would have to be ordered for the packet to be let through to a port. */
export function missingNatRule(
  view: View,
  network: Path,
  address: Resource<'public-ip'> | undefined,
  { protocol, destinationPort }: PacketAsked,
  port: Resource<'port'> | undefined,
): string {
  const name = protocol === 6 ? 'tcp' : protocol === 17 ? 'udp' : undefined;
  const to = port === undefined ? '' : ` to port ${port.name}`;
  const by = address === undefined ? '' : ` for public-ip ${address.name}`;
  const also = address === undefined && view.count('public-ip', network) === 0 ? ', and a public-ip for it' : '';
  // Beside another rule a static one would collide.
  if (name !== undefined)
    return `a nat-rule of type port-forward in ${network}${by}${to}, ${name} ${destinationPort}${also}`;
  return `a nat-rule of type static in ${network}${by}${to}${also}`;
}
