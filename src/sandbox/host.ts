import type { Fabric } from './fabric.ts';
import type { NetworkNamespace } from './namespace.ts';
import { allowForwarding } from './vm.ts';

export type HostLink = {
  /** Name of the switch it hangs on. */
  segment: string;
  /** Of an access port of that VLAN; untagged when left out. */
  vlan?: number;
  mac?: string;
  /** With its length: 203.0.113.1/25. */
  address: string;
};

/** A machine that no cloud owns: a router, a client somewhere, one of the sides of a hardware device. */
export type HostDescription = {
  name: string;
  /** The first is eth0. */
  links: HostLink[];
  /** Next hop of its default route. */
  gateway?: string;
  /** It passes on what is for others. */
  forwards?: boolean;
};

export async function createHost(host: HostDescription, namespace: NetworkNamespace, fabric: Fabric): Promise<void> {
  for (const [i, { segment, vlan = 0, mac, address }] of host.links.entries()) {
    const device = `eth${i}`;
    await fabric.connect(segment, { namespace, device, vlan, ...(mac === undefined ? {} : { mac }) });
    await namespace.ip(`addr add ${address} dev ${device}`, `link set ${device} up`);
    // As for VMs: a veth leaves checksums to hardware it does not have.
    await namespace.run('ethtool', ['-K', device, 'tx', 'off']);
  }
  if (host.gateway !== undefined) await namespace.ip(`route add default via ${host.gateway}`);
  if (host.forwards === true) await allowForwarding(namespace);
}
