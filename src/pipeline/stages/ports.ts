/** What the stages need to know of a port. Addresses are numbers: MAC in 48 bits, IPv4 in 32. */

export type PortFacts = {
  /** Resource number, for the cookie. */
  number: number;
  mac: number;
  ips: readonly number[];
  /** Key of its tenant, numbers of its network and tier. */
  key: number;
  network: number;
  tier: number;
};

/** A port on the switch the flows are for. */
export type LocalPort = PortFacts & { ofport: number; zone: number };

/** A port on another hypervisor. */
export type RemotePort = PortFacts & { peer: number };

export const ethType = { ipv4: 0x0800, arp: 0x0806, ipv6: 0x86dd } as const;

export const ipProtocol = { icmp: 1, tcp: 6, udp: 17, sctp: 132 } as const;
