/** The part of the story that is about outside: public addresses, what they lead to, and who is reached by whom. */
import { outside } from './outside.ts';
import { allow, networkPath, type Probe, type StoryResource } from './story.ts';

/** Given by order, so that the probes know them. */
export const publicAddress = { acme: '203.0.113.10', umbrella: '203.0.113.20' } as const;

/** The client answers there with the address it sees. */
export const mirrorPort = 8000;

const tenants = ['acme', 'umbrella'] as const;

/** Beside `resources` of the story. */
export function outsideResources(): StoryResource[] {
  const { physicalNetwork, flat } = outside;
  const result: StoryResource[] = [];
  const add = (kind: string, path: string, spec: Record<string, unknown>): void => {
    result.push({ kind, path, spec });
  };
  add('provider-network', 'provider-networks/internet', { physicalNetwork });
  add('ip-pool', 'ip-pools/public', { providerNetwork: 'internet', cidr: flat.cidr, gateway: flat.gateway });
  for (const tenant of tenants) {
    const base = networkPath(tenant);
    const forward = { type: 'port-forward', publicIp: 'front', protocol: 'tcp' };
    add('public-ip', `${base}/public-ips/front`, { pool: 'public', address: publicAddress[tenant] });
    add('nat-rule', `${base}/nat-rules/out`, { type: 'source', publicIp: 'front', tiers: ['web'] });
    const web = { ...forward, port: 'web1', publicPorts: '80', privatePorts: '8080' };
    add('nat-rule', `${base}/nat-rules/http`, web);
    const client = { cidr: `${outside.client.address}/32` };
    const any = { protocol: 'tcp', ports: [`${mirrorPort}`] };
    add('rule', `${base}/rules/web-to-outside`, allow(400, { tier: 'web' }, client, any));
    const ping = { protocol: 'icmp', icmp: { type: 8 } };
    add('rule', `${base}/rules/web-pings-outside`, allow(400, { tier: 'web' }, client, ping));
    add('rule', `${base}/rules/db-to-outside`, allow(400, { tier: 'db' }, client, any));
    const front = { protocol: 'tcp', ports: ['80'] };
    add('rule', `${base}/rules/web-to-fronts`, allow(400, { tier: 'web' }, { cidr: flat.cidr }, front));
    const http = { protocol: 'tcp', ports: ['8080'] };
    add('rule', `${base}/rules/outside-to-web`, allow(400, { any: true }, { port: 'web1' }, http));
    // Published, but no rule lets anybody in.
    add('nat-rule', `${base}/nat-rules/sql`, { ...forward, port: 'db1', publicPorts: '5432' });
  }
  return result;
}

const inward = (from: string, tenant: keyof typeof publicAddress, port: number) => {
  return { kind: 'inward', from, to: `${tenant}/web1`, address: publicAddress[tenant], port } as const;
};
const outward = (tenant: keyof typeof publicAddress, vm: string) => {
  return { kind: 'outward', from: `${tenant}/${vm}`, to: 'client', as: publicAddress[tenant] } as const;
};

export const outsideProbes: readonly Probe[] = [
  { ...outward('acme', 'web1'), expected: 'address', why: 'source NAT at a gateway' },
  { ...outward('umbrella', 'web1'), expected: 'address', why: 'the same address inside, another one outside' },
  { ...outward('acme', 'db1'), expected: 'nothing', why: 'no NAT rule for its tier' },
  { ...inward('client', 'acme', 80), expected: 'answer', why: 'forwarded to port 8080 of web1' },
  { ...inward('client', 'umbrella', 80), expected: 'answer', why: "the other tenant's" },
  { ...inward('acme/web2', 'acme', 80), expected: 'answer', why: 'by the public address from within (hairpin)' },
  { ...inward('client', 'acme', 8080), expected: 'nothing', why: 'not published' },
  { ...inward('client', 'acme', 22), expected: 'nothing', why: 'not published' },
  { ...inward('client', 'acme', 5432), expected: 'nothing', why: 'published, but no rule lets anybody in' },
];

/** The VM that starts without an address. */
export const lease = { vm: 'acme/guest1' } as const;

/** Who pings the client outside while the gateway of its network goes. */
export const failover = { vm: 'acme/web1', address: publicAddress.acme } as const;
