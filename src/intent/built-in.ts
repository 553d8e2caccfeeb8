/** Offerings every installation has. They may be replaced (with other providers, say), never deleted. */
import type { Path, Specs } from './model.ts';
import { formatPath } from './path.ts';
import { equalJson } from './spec.ts';

/** What flows alone serve, with gateway hosts where it is the way out or DHCP. */
const byFlows: Specs['offering']['services'] = [
  'routing',
  'rules',
  'source-nat',
  'static-nat',
  'port-forwarding',
  'dhcp',
];

export const builtInOfferings: Readonly<Record<'basic' | 'gold' | 'platinum', Specs['offering']>> = {
  basic: {
    description: 'Routing between tiers, access rules, addresses by DHCP and the way out by NAT',
    services: byFlows,
  },
  gold: {
    description: 'Firewall, load balancer and VPN',
    services: [...byFlows, 'firewall', 'load-balancer', 'vpn'],
    providers: { firewall: 'virtual-router', 'load-balancer': 'virtual-router', vpn: 'virtual-router' },
  },
  platinum: {
    description: 'Firewall, load balancer and VPN',
    services: [...byFlows, 'firewall', 'load-balancer', 'vpn'],
    providers: { firewall: 'juniper-srx', 'load-balancer': 'netscaler', vpn: 'juniper-srx' },
  },
};

/** What they were in earlier versions, as those wrote them. */
const earlier: Readonly<Record<string, readonly Specs['offering'][]>> = {
  basic: [{ description: 'Routing between tiers and access rules', services: ['routing', 'rules'] }],
  gold: [
    {
      ...builtInOfferings.gold,
      services: ['routing', 'rules', 'firewall', 'load-balancer', 'vpn'],
    },
  ],
  platinum: [
    {
      ...builtInOfferings.platinum,
      services: ['routing', 'rules', 'firewall', 'load-balancer', 'vpn'],
    },
  ],
};

/** Whether it is as an earlier version made it, so that nobody misses it when it is brought up to date. */
export function isOutdated(name: string, spec: Specs['offering']): boolean {
  return earlier[name]?.some((before) => equalJson(before, spec)) === true;
}

const paths: ReadonlySet<Path> = new Set(Object.keys(builtInOfferings).map((name) => formatPath('offering', '', name)));

export function isBuiltIn(path: Path): boolean {
  return paths.has(path);
}
