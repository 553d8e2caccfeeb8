/**
 * Table PortSecurity: only the port's own MAC and IPs, untagged. ARP must carry the same pair as sender (sha and spa),
 * so a VM can't speak for another. Later fragments carry the source address too, and pass or fall by it.
 */
import { cookie } from '../cookie.ts';
import type { Flow } from '../flow.ts';
import { tables } from '../tables.ts';
import { ethType, type LocalPort } from './ports.ts';

/** OpenFlow 1.5 OFPVID_NONE: the frame has no VLAN tag. */
const untagged = 0;

export function portSecurity(port: LocalPort): Flow[] {
  const flows: Flow[] = [];
  const own = { in_port: port.ofport, eth_src: port.mac, vlan_vid: untagged };
  const common = {
    table: tables.PortSecurity.id,
    priority: 100,
    cookie: cookie(tables.PortSecurity.id, port.number),
    actions: [],
  };
  for (const ip of port.ips) {
    flows.push({ ...common, match: { ...own, eth_type: ethType.ipv4, ipv4_src: ip }, goto: tables.EgressConntrack.id });
    flows.push({
      ...common,
      match: { ...own, eth_type: ethType.arp, arp_sha: port.mac, arp_spa: ip },
      goto: tables.ArpResponder.id,
    });
  }
  return flows;
}
