/** What the sandbox shows, as data: who is there, what they ordered, and what should happen to which packet. */

export type StoryVm = {
  tenant: string;
  name: string;
  mac: string;
  ip: string;
  groups?: string[];
  /** Which of the hypervisors it starts on, from 0; taken modulo their number. */
  place: number;
};

export type StoryResource = { kind: string; path: string; spec: Record<string, unknown> };

/** VMs are named `tenant/name`. */
export type Probe = { from: string; why: string } & (
  | { kind: 'ping'; to: string; expected: 'reply' | 'nothing' }
  /** `answer`: the line of the VM it should reach, which is that VM's own name. */
  | { kind: 'tcp'; to: string; port: number; expected: 'answer' | 'nothing' }
  /** An echo request sent as if from somewhere else; what counts is whether it arrives. */
  | { kind: 'frame'; to: string; as: string; ip?: string; mac?: string; vlan?: number; expected: 'arrives' | 'nothing' }
);

const network = 'shop';
const tier = 'web';
const cidr = '10.0.1.0/24';
export const prefixLength = 24;
export const gateway = '10.0.1.1';

/** Both tenants have a web1 and a db1 with the same addresses; each has one machine the other has not. */
export const vms: readonly StoryVm[] = [
  { tenant: 'acme', name: 'web1', mac: '02:00:00:00:01:11', ip: '10.0.1.11', groups: ['frontends'], place: 0 },
  { tenant: 'acme', name: 'web2', mac: '02:00:00:00:01:12', ip: '10.0.1.12', groups: ['frontends'], place: 1 },
  { tenant: 'acme', name: 'db1', mac: '02:00:00:00:01:21', ip: '10.0.1.21', groups: ['databases'], place: 1 },
  { tenant: 'umbrella', name: 'web1', mac: '02:00:00:00:01:11', ip: '10.0.1.11', groups: ['frontends'], place: 1 },
  { tenant: 'umbrella', name: 'db1', mac: '02:00:00:00:01:21', ip: '10.0.1.21', groups: ['databases'], place: 0 },
  { tenant: 'umbrella', name: 'batch1', mac: '02:00:00:00:01:31', ip: '10.0.1.31', place: 2 },
];

export const servedPorts: readonly number[] = [22, 80, 5432];

export const ifaceId = (vm: StoryVm): string => `sandbox-${vm.tenant}-${vm.name}`;
export const portPath = (vm: StoryVm): string => `tenants/${vm.tenant}/networks/${network}/ports/${vm.name}`;

/** In the order of need, though /v1/apply takes them in any. */
export function resources(): StoryResource[] {
  const result: StoryResource[] = [];
  const add = (kind: string, path: string, spec: Record<string, unknown>): void => {
    result.push({ kind, path, spec });
  };
  for (const tenant of ['acme', 'umbrella']) {
    const base = `tenants/${tenant}/networks/${network}`;
    add('tenant', `tenants/${tenant}`, {});
    add('network', base, { offering: 'basic', cidr: '10.0.0.0/16' });
    add('tier', `${base}/tiers/${tier}`, { cidr, gateway });
    for (const group of ['frontends', 'databases']) add('group', `${base}/groups/${group}`, {});
    for (const vm of vms) {
      if (vm.tenant !== tenant) continue;
      const { mac, ip, groups = [] } = vm;
      add('port', portPath(vm), { tier, mac, ips: [ip], groups, ifaceId: ifaceId(vm) });
    }
    add('rule', `${base}/rules/web-to-db`, {
      action: 'allow',
      priority: 200,
      from: { group: 'frontends' },
      to: { group: 'databases' },
      protocol: 'tcp',
      ports: ['5432'],
    });
    add('rule', `${base}/rules/ping-frontends`, {
      action: 'allow',
      priority: 1000,
      from: { tier },
      to: { group: 'frontends' },
      protocol: 'icmp',
      icmp: { type: 8 },
    });
  }
  add('rule', `tenants/acme/networks/${network}/rules/not-web2`, {
    action: 'deny',
    priority: 100,
    from: { port: 'web2' },
    to: { group: 'databases' },
    protocol: 'any',
  });
  return result;
}

export const probes: readonly Probe[] = [
  {
    kind: 'ping',
    from: 'acme/web1',
    to: 'acme/web2',
    expected: 'reply',
    why: 'rule ping-frontends, through the tunnel',
  },
  { kind: 'ping', from: 'acme/db1', to: 'acme/web2', expected: 'reply', why: 'rule ping-frontends, on one hypervisor' },
  { kind: 'tcp', from: 'acme/web1', to: 'acme/db1', port: 5432, expected: 'answer', why: 'rule web-to-db' },
  { kind: 'tcp', from: 'acme/web1', to: 'acme/db1', port: 22, expected: 'nothing', why: 'no rule allows port 22' },
  { kind: 'ping', from: 'acme/web1', to: 'acme/db1', expected: 'nothing', why: 'no rule, even in the same tier' },
  {
    kind: 'tcp',
    from: 'acme/db1',
    to: 'acme/web1',
    port: 80,
    expected: 'nothing',
    why: 'web-to-db is for the other direction',
  },
  {
    kind: 'tcp',
    from: 'acme/web2',
    to: 'acme/db1',
    port: 5432,
    expected: 'nothing',
    why: 'rule not-web2 denies first',
  },
  {
    kind: 'tcp',
    from: 'umbrella/web1',
    to: 'umbrella/db1',
    port: 5432,
    expected: 'answer',
    why: "same addresses as acme's, its own db1",
  },
  { kind: 'ping', from: 'umbrella/batch1', to: 'umbrella/web1', expected: 'reply', why: "same address as acme's web1" },
  { kind: 'ping', from: 'acme/web1', to: 'umbrella/batch1', expected: 'nothing', why: "another tenant's address" },
  {
    kind: 'tcp',
    from: 'acme/web1',
    to: 'umbrella/batch1',
    port: 80,
    expected: 'nothing',
    why: "another tenant's address",
  },
  { kind: 'ping', from: 'umbrella/web1', to: 'acme/web2', expected: 'nothing', why: "another tenant's address" },
  {
    kind: 'frame',
    from: 'acme/web1',
    to: 'acme/web2',
    as: 'itself',
    expected: 'arrives',
    why: 'the same frame, honest',
  },
  {
    kind: 'frame',
    from: 'acme/web1',
    to: 'acme/web2',
    as: '10.0.1.99',
    ip: '10.0.1.99',
    expected: 'nothing',
    why: 'spoofed IP',
  },
  {
    kind: 'frame',
    from: 'acme/web1',
    to: 'acme/web2',
    as: "db1's MAC",
    mac: '02:00:00:00:01:21',
    expected: 'nothing',
    why: 'spoofed MAC',
  },
  {
    kind: 'frame',
    from: 'acme/web1',
    to: 'acme/web2',
    as: 'VLAN 7',
    vlan: 7,
    expected: 'nothing',
    why: 'tagged frame',
  },
];
