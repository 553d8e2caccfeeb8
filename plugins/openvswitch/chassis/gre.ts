import { isIPv6 } from 'node:net';
import type { Encapsulation } from './encapsulation.ts';

/** Bytes: IPv4 and IPv6 headers, GRE with a key (RFC 2890), Ethernet. */
const header = { ipv4: 20, ipv6: 40, gre: 8, ethernet: 14 };

/**
 * GRE over IPv4 or IPv6 (RFC 2784 with the key of RFC 2890; ovs-vswitchd.conf.db(5), Interface, Tunnel Options). The key
 * is the tenant's and comes with each packet from the flows, so that one port per peer serves every tenant.
 */
export const gre: Encapsulation = {
  type: 'gre',
  options: ({ remoteIp, localIp }) => ({
    key: 'flow',
    remote_ip: remoteIp,
    ...(localIp === undefined ? {} : { local_ip: localIp }),
  }),
  overhead: (remoteIp) => (isIPv6(remoteIp) ? header.ipv6 : header.ipv4) + header.gre + header.ethernet,
};
