/** Offerings every installation has. They may be replaced (with other providers, say), never deleted. */
import type { Path, Specs } from './model.ts';
import { formatPath } from './path.ts';

export const builtInOfferings: Readonly<Record<'basic' | 'gold' | 'platinum', Specs['offering']>> = {
  basic: {
    description: 'Routing between tiers and access rules',
    services: ['routing', 'rules'],
  },
  gold: {
    description: 'Firewall, load balancer and VPN',
    services: ['routing', 'rules', 'firewall', 'load-balancer', 'vpn'],
    providers: { firewall: 'virtual-router', 'load-balancer': 'virtual-router', vpn: 'virtual-router' },
  },
  platinum: {
    description: 'Firewall, load balancer and VPN',
    services: ['routing', 'rules', 'firewall', 'load-balancer', 'vpn'],
    providers: { firewall: 'juniper-srx', 'load-balancer': 'netscaler', vpn: 'juniper-srx' },
  },
};

const paths: ReadonlySet<Path> = new Set(Object.keys(builtInOfferings).map((name) => formatPath('offering', '', name)));

export function isBuiltIn(path: Path): boolean {
  return paths.has(path);
}
