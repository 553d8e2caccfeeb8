/** What would have to be ordered for a packet to pass, as somebody would write the order. */
import { formatIp, type Ip, isIn, parseIpPrefix } from '../intent/ip.ts';
import type { Path, Resource, View } from '../intent/model.ts';
import { networkOf, tenantOf } from '../intent/path.ts';
import { canonicalProtocol } from '../intent/protocols.ts';
import { prefixesOf } from '../intent/versions.ts';
import type { Decision } from './answer.ts';
import { type Resolved, reachable } from './request.ts';

const bits = ({ family }: Ip): number => (family === 4 ? 32 : 128);

/** `tcp 5432`, `icmp type 8`, `gre`. */
export function serviceText({ protocol, destinationPort, icmp }: Resolved): string {
  const name = canonicalProtocol(String(protocol)) ?? String(protocol);
  if (name === 'icmp' || name === 'icmpv6') return `${name} type ${icmp.type}`;
  return ['tcp', 'udp', 'sctp'].includes(name) ? `${name} ${destinationPort}` : name;
}

/** Who opens the connection, and to what: of a reply, the other side and its source port. */
function opened(asked: Resolved): {
  from: [Resource<'port'> | undefined, Ip];
  to: [Resource<'port'> | undefined, Ip];
  service: string;
} {
  const { sender, receiver, target } = asked;
  const ends: [[Resource<'port'> | undefined, Ip], [Resource<'port'> | undefined, Ip]] = [
    [sender.port, sender.ip],
    [receiver?.port, target],
  ];
  if (asked.state !== 'reply') return { from: ends[0], to: ends[1], service: serviceText(asked) };
  return { from: ends[1], to: ends[0], service: serviceText(opening(asked)) };
}

/** Protocol and port of the packet that opens the connection. */
export function openedService(asked: Resolved): string {
  return opened(asked).service;
}

/** The packet that opened the connection of a reply, as far as ports and ICMP types go. */
export function opening(asked: Resolved): Resolved {
  const requests: Record<number, number> = { 0: 8, 14: 13, 16: 15, 18: 17, 129: 128 };
  const { sourcePort, destinationPort, icmp } = asked;
  const type = requests[icmp.type] ?? icmp.type;
  return { ...asked, sourcePort: destinationPort, destinationPort: sourcePort, icmp: { ...icmp, type } };
}

/** The allow rule that is missing on the side that denied. */
export function missingRule(view: View, asked: Resolved, denied: Decision | undefined): string {
  const { from, to, service } = opened(asked);
  const receiver = denied?.side === 'receiver' ? asked.receiver?.port : undefined;
  const network = receiver === undefined ? asked.network : networkOf(receiver.path)!;
  const foreign = asked.sender.port === undefined && asked.state !== 'reply';
  // `any` includes outside.
  const source = `${foreign ? 'any, or ' : ''}${end(network, ...from)}`;
  const rule = `an allow rule in ${network} from ${source} to ${end(network, ...to)}, ${service}`;
  if (denied?.by !== 'rule' || denied.path === undefined) return rule;
  const priority = view.getAs('rule', denied.path)?.spec.priority ?? 0;
  const name = denied.path.slice(denied.path.lastIndexOf('/') + 1);
  return priority <= 1
    ? `rule ${name} deleted or changed`
    : `${rule}, with a priority below ${priority} (rule ${name})`;
}

function end(network: Path, port: Resource<'port'> | undefined, ip: Ip): string {
  if (port !== undefined && networkOf(port.path) === network) return `tier ${port.spec.tier}`;
  return `cidr ${formatIp(ip)}/${bits(ip)}`;
}

/** A peering where another network of the tenant has the destination; else a tier or a static route. */
export function missingRoute(view: View, { network, sender, target }: Resolved): string[] {
  const tenant = tenantOf(network)!;
  const known = new Set(reachable(view, network));
  const text = formatIp(target);
  for (const route of view.children('route', network))
    if (holds(route.spec.destination, target)) return [`status programmed of ${route.path}, and its next hop bound`];
  for (const other of view.children('network', tenant)) {
    if (!has(other, target)) continue;
    if (other.path === network) return [`a tier of ${network} that has ${text}, or a route to it`];
    const names = [network, other.path].map((path) => path.slice(path.lastIndexOf('/') + 1));
    if (known.has(other.path)) return [`status programmed of the peering of ${names.join(' and ')} in ${tenant}`];
    return [`a peering of ${names.join(' and ')} in ${tenant}: the networks are not peered`];
  }
  const route = `a route in ${network} with destination ${text}/${bits(target)}, or a prefix around it`;
  return [...wayOut(view, network, sender.port, target), route];
}

/** The NAT rule that would let it out; none where addresses are not translated, or the offering has no such thing. */
export function wayOut(view: View, network: Path, port: Resource<'port'> | undefined, target: Ip): string[] {
  const offering = view.getAs('offering', `offerings/${view.getAs('network', network)?.spec.offering}`);
  if (target.family !== 4 || offering?.spec.services.includes('source-nat') !== true) return [];
  const tier = port === undefined ? '' : ` for tier ${port.spec.tier}`;
  const address = view.count('public-ip', network) === 0 ? ', and a public-ip for it' : '';
  return [`a nat-rule of type source in ${network}${tier}${address}`];
}

/** The same, of a packet that was refused before anybody looked for a route: none where there is one. */
export function unroutable(view: View, asked: Resolved): string[] {
  const { network, receiver, target } = asked;
  if (receiver !== undefined || asked.sender.port === undefined) return [];
  if (leaves(view, asked)) return [];
  const routed = [...view.children('route', network)].some(({ spec }) => holds(spec.destination, target));
  const near = reachable(view, network).some((path) => {
    const other = view.getAs('network', path);
    return other !== undefined && has(other, target);
  });
  return routed || near ? [] : missingRoute(view, asked);
}

/** Whether a NAT rule would take it outside. */
function leaves(view: View, { network, sender, target }: Resolved): boolean {
  if (target.family !== 4 || sender.port === undefined) return false;
  const { tier } = sender.port.spec;
  for (const { spec } of view.children('nat-rule', network)) {
    if (spec.type === 'source' && (spec.tiers === undefined || spec.tiers.includes(tier))) return true;
    if (spec.type === 'static' && spec.port === sender.port.name) return true;
  }
  return false;
}

/** The tier an address belongs into, of the sender's network or one peered with it. */
export function tierWith(view: View, network: Path, ip: Ip): string {
  const networks = reachable(view, network);
  for (const network of networks) {
    for (const { path, spec } of view.children('tier', network))
      if (prefixesOf(spec).some((prefix) => isIn(prefix, ip))) return path;
  }
  return networks[0]!;
}

function has({ spec }: Resource<'network'>, ip: Ip): boolean {
  return prefixesOf(spec).some((prefix) => isIn(prefix, ip));
}

export function holds(prefix: string, ip: Ip): boolean {
  const parsed = parseIpPrefix(prefix);
  return parsed !== undefined && isIn(parsed, ip);
}
