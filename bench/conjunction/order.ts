/** What is ordered of both contenders: clients may reach servers, each a group of ports, on some TCP ports. */
export type Order = { clients: number; servers: number; services: number };

export type Member = {
  name: string;
  mac: string;
  ip: string;
  /** Hypervisor: 0 hosts every server, 1 every client. */
  host: 0 | 1;
  group: 'clients' | 'servers';
};

/** The network's one tier; a client more than ordered for each change that is measured. */
export const tierPrefix = '10.0.0.0/16';

export function membersOf({ clients, servers }: Order, more: number): Member[] {
  const members = (group: Member['group'], count: number, host: 0 | 1): Member[] =>
    Array.from({ length: count }, (_, i) => {
      // No two of them are one prefix.
      const [high, low] = [i >> 6, 2 + 2 * (i & 0x3f)];
      const hex = (n: number) => n.toString(16).padStart(2, '0');
      return {
        name: `${group}-${i}`,
        mac: `02:00:00:0${host}:${hex(high)}:${hex(low)}`,
        ip: `10.0.${host * 128 + high}.${low}`,
        host,
        group,
      };
    });
  return [...members('servers', servers, 0), ...members('clients', clients + more, 1)];
}

export const tcpPorts = ({ services }: Order): number[] => Array.from({ length: services }, (_, i) => 2000 + 7 * i);

/** What the rule costs on the switch that hosts every server, and what a client more costs until both switches have it. */
export type Cost = { before: number; flows: number; rule: number; changes: number[] };
