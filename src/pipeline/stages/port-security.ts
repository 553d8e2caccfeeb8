/**
 * Table PortSecurity: only the port's own MAC and IPs, untagged. ARP must carry the same pair as sender (sha and spa),
 * so a VM can't speak for another. Later fragments carry the source address too, and pass or fall by it.
 */
import { cookie } from '../cookie.ts';
import type { Flow, Match } from '../flow.ts';
import { tables } from '../tables.ts';
import { icmpv6, ndType } from './neighbour.ts';
import {
  cameFrom,
  ethType,
  fromIp,
  fromPrefix,
  type IpPrefix,
  ipProtocol,
  ipVersions,
  type LocalPort,
  linkLocal,
} from './ports.ts';

/** OpenFlow 1.5 OFPVID_NONE: the frame has no VLAN tag. */
const untagged = 0;

/** Source of solicitations in duplicate address detection, RFC 4862. */
const unspecified: IpPrefix = { family: 6, value: 0n, length: 128 };

/** UDP ports DHCP servers answer from: RFC 2131, RFC 8415. */
const dhcpServer = { v4: 67, v6: 547 } as const;

export function portSecurity(port: LocalPort): Flow[] {
  const own = { ...cameFrom(port), eth_src: port.mac, vlan_vid: untagged };
  const flow = (priority: number, match: Match, next: number): Flow => ({
    table: tables.PortSecurity.id,
    priority,
    cookie: cookie(tables.PortSecurity.id, port.number),
    match: { ...own, ...match },
    actions: [],
    goto: next,
  });
  const { NeighbourResponder, Gateway } = tables;
  const solicitation = icmpv6(ndType.neighbourSolicit);
  const flows: Flow[] = [];
  for (const ip of port.ips) {
    flows.push(flow(100, fromIp(ip), Gateway.id));
    if (ip.family === 4)
      flows.push(flow(100, { eth_type: ethType.arp, arp_sha: port.mac, arp_spa: ip.value }, NeighbourResponder.id));
    else flows.push(flow(150, { ...solicitation, ...fromIp(ip) }, NeighbourResponder.id));
  }
  if (port.ips.some((ip) => ip.family === 6)) {
    for (const source of [linkLocal, unspecified])
      flows.push(flow(150, { ...solicitation, ...fromPrefix(source) }, NeighbourResponder.id));
  }
  for (const { prefix, mac } of port.pairs) {
    const pair = { eth_src: mac, ...fromPrefix(prefix) };
    flows.push(flow(95, pair, Gateway.id));
    if (prefix.family === 4)
      flows.push(
        flow(95, { eth_src: mac, eth_type: ethType.arp, arp_sha: mac, ...arpSource(prefix) }, NeighbourResponder.id),
      );
    else flows.push(flow(145, { ...pair, ...solicitation }, NeighbourResponder.id));
  }
  return port.secured ? flows : [...flows, ...anything(port)];
}

/** An admin has taken the port's security off: it may send under any MAC and address. */
function anything(port: LocalPort): Flow[] {
  const { NeighbourResponder, Gateway } = tables;
  const said: [number, Match, number][] = [
    [50, { eth_type: ethType.arp }, NeighbourResponder.id],
    [140, icmpv6(ndType.neighbourSolicit), NeighbourResponder.id],
    ...ipVersions.map((version): [number, Match, number] => [50, version, Gateway.id]),
  ];
  return said.map(([priority, match, next]) => ({
    table: tables.PortSecurity.id,
    priority,
    cookie: cookie(tables.PortSecurity.id, port.number),
    match: { ...cameFrom(port), vlan_vid: untagged, ...match },
    actions: [],
    goto: next,
  }));
}

function arpSource(prefix: IpPrefix): Match {
  const { ipv4_src } = fromPrefix(prefix);
  return ipv4_src === undefined ? {} : { arp_spa: ipv4_src };
}

/** What no VM says, whatever its addresses (RFC 6105, RFC 7610): the same on every switch. */
export function guards(): Flow[] {
  const forbidden: Match[] = [
    ...[ndType.routerAdvert, ndType.neighbourAdvert, ndType.redirect].map((icmpv6_type): Match => {
      return { eth_type: ethType.ipv6, ip_proto: ipProtocol.icmpv6, icmpv6_type };
    }),
    { eth_type: ethType.ipv4, ip_proto: ipProtocol.udp, udp_src: dhcpServer.v4 },
    { eth_type: ethType.ipv6, ip_proto: ipProtocol.udp, udp_src: dhcpServer.v6 },
  ];
  return forbidden.map((match) => ({
    table: tables.PortSecurity.id,
    priority: 200,
    cookie: cookie(tables.PortSecurity.id, 0),
    match,
    actions: [],
  }));
}
