import type { NetworkNamespace } from './namespace.ts';

/**
 * What lies between the hypervisors: a management network, where the controller listens, and a network that carries the
 * tunnels. Both are Linux bridges in the sandbox's own namespace. RFC 5737 addresses, so that they mean nothing outside.
 */
export const underlay = {
  management: { bridge: 'management', prefix: '192.0.2.0/24', controller: '192.0.2.1' },
  tunnels: { bridge: 'tunnels', prefix: '198.51.100.0/24', mtu: 1500 },
} as const;

export type UnderlayAddresses = { management: string; encap: string; encapMac: string };

/** @param index from 1; at most 200 hypervisors. */
export function addressesOf(index: number): UnderlayAddresses {
  const hex = (10 + index).toString(16).padStart(2, '0');
  return { management: `192.0.2.${10 + index}`, encap: `198.51.100.${10 + index}`, encapMac: `02:4b:57:00:00:${hex}` };
}

export async function createUnderlay(namespace: NetworkNamespace): Promise<void> {
  const { management, tunnels } = underlay;
  await namespace.ip(
    `link add ${management.bridge} type bridge`,
    `link add ${tunnels.bridge} type bridge`,
    `addr add ${management.controller}/24 dev ${management.bridge}`,
    `link set ${management.bridge} up`,
    `link set ${tunnels.bridge} up`,
  );
}

/** Gives a hypervisor its two links: `mgmt0` with its address, and `uplink`, which belongs to its Open vSwitch. */
export async function attachHypervisor(
  at: NetworkNamespace,
  hypervisor: NetworkNamespace,
  index: number,
): Promise<UnderlayAddresses> {
  const addresses = addressesOf(index);
  await at.ip(
    `link add m${index} type veth peer name mgmt0 netns ${hypervisor.path}`,
    `link add u${index} type veth peer name uplink netns ${hypervisor.path}`,
    `link set m${index} master ${underlay.management.bridge} up`,
    `link set u${index} master ${underlay.tunnels.bridge} up`,
  );
  await hypervisor.ip(
    `addr add ${addresses.management}/24 dev mgmt0`,
    'link set mgmt0 up',
    // What arrives there is Open vSwitch's: the kernel, which sees it too, would answer ARP for the bridge above it.
    'link set uplink arp off up',
  );
  return addresses;
}
