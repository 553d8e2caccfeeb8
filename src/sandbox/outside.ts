import type { Lab } from './lab.ts';
import type { LabHost } from './lab-host.ts';
import type { PhysicalLink } from './operations.ts';

/**
 * What is outside of the cloud: a public network with a router on it, which is the next hop of the pools, and a client in
 * another subnet behind that router. Addresses of RFC 5737 and RFC 2544, so that they mean nothing anywhere.
 */
export const outside = {
  physicalNetwork: 'physnet',
  bridge: 'br-ex',
  segment: 'public',
  /** Untagged. */
  flat: { cidr: '203.0.113.0/25', gateway: '203.0.113.1' },
  /** Behind the same router on a VLAN of the same switch. */
  tagged: { vlan: 200, cidr: '203.0.113.128/25', gateway: '203.0.113.129' },
  routerMac: '02:4b:57:01:00:01',
  client: { address: '198.18.0.10', gateway: '198.18.0.1', prefixLength: 24 },
} as const;

/** For addHypervisor: a bridge to the public network. */
export const publicLink: PhysicalLink = {
  physicalNetwork: outside.physicalNetwork,
  bridge: outside.bridge,
  segment: outside.segment,
};

export type Outside = {
  /** eth0 on the untagged public network, eth1 on its VLAN, eth2 towards the client. */
  router: LabHost;
  /** It knows of the router alone. */
  client: LabHost;
};

/** Before the hypervisors that have a bridge to it. */
export async function buildOutside(lab: Lab): Promise<Outside> {
  const { segment, flat, tagged, client, routerMac } = outside;
  await lab.addSegment(segment);
  await lab.addSegment('internet');
  const router = await lab.addHost({
    name: 'router',
    links: [
      { segment, mac: routerMac, address: `${flat.gateway}/25` },
      { segment, vlan: tagged.vlan, address: `${tagged.gateway}/25` },
      { segment: 'internet', address: `${client.gateway}/${client.prefixLength}` },
    ],
    forwards: true,
  });
  const links = [{ segment: 'internet', address: `${client.address}/${client.prefixLength}` }];
  return { router, client: await lab.addHost({ name: 'client', links, gateway: client.gateway }) };
}
