/** What the sandbox shows, as data: who is there, what they ordered, and what should happen to which packet. */

export type StoryVm = {
  tenant: string;
  name: string;
  tier: TierName;
  /** Last octet of its MAC and its addresses, as they are written. */
  host: number;
  groups?: string[];
  /** It inspects what is steered through it. */
  forwards?: boolean;
  /** It starts without addresses, and asks for one. */
  asks?: boolean;
  /** Which of the hypervisors it starts on, from 0; taken modulo their number. */
  place: number;
};

export type StoryResource = { kind: string; path: string; spec: Record<string, unknown> };

/** VMs are named `tenant/name`; `client` is outside of the cloud. */
export type Probe = { from: string; why: string } & (
  | { kind: 'ping'; to: string; ipv6?: boolean; expected: 'reply' | 'nothing' }
  /** To the gateway of the sender's tier. */
  | { kind: 'gateway'; to: string; ipv6?: boolean; expected: 'reply' | 'nothing' }
  /** `answer`: the line of the VM it should reach, which is that VM's own name. */
  | { kind: 'tcp'; to: string; port: number; expected: 'answer' | 'nothing' }
  /** To a public address, whoever that leads to. */
  | { kind: 'inward'; to: string; address: string; port: number; expected: 'answer' | 'nothing' }
  /** To the client, which answers with the address it sees. */
  | { kind: 'outward'; to: 'client'; as: string; expected: 'address' | 'nothing' }
  /** A connection, and whether a third VM sees its packets: those that go there, or those that come back. */
  | { kind: 'way'; to: string; port: number; at: string; direction: 'there' | 'back'; expected: 'passes' | 'nothing' }
  /** An echo request sent as if from somewhere else; what counts is whether it arrives. */
  | { kind: 'frame'; to: string; as: string; ip?: string; mac?: string; vlan?: number; expected: 'arrives' | 'nothing' }
);

const network = 'shop';
const tiers = { web: 1, app: 2, db: 3 } as const;
export type TierName = keyof typeof tiers;
const cidr = '10.0.0.0/16';
const ipv6Cidr = 'fd00:10::/48';

export const prefixLength = 24;
export const ipv6PrefixLength = 64;
export const gatewayOf = (tier: TierName): string => `10.0.${tiers[tier]}.1`;
export const ipv6GatewayOf = (tier: TierName): string => `fd00:10:0:${tiers[tier]}::1`;
export const ipOf = ({ tier, host }: StoryVm): string => `10.0.${tiers[tier]}.${host}`;
export const ipv6Of = ({ tier, host }: StoryVm): string => `fd00:10:0:${tiers[tier]}::${host}`;
export const macOf = ({ tier, host }: StoryVm): string => `02:00:00:00:0${tiers[tier]}:${host}`;

/** Both tenants have a web1 and a db1 with the same addresses; each has machines the other has not. */
export const vms: readonly StoryVm[] = [
  { tenant: 'acme', name: 'web1', tier: 'web', host: 11, groups: ['frontends'], place: 0 },
  { tenant: 'acme', name: 'web2', tier: 'web', host: 12, groups: ['frontends'], place: 1 },
  { tenant: 'acme', name: 'app1', tier: 'app', host: 11, place: 1 },
  { tenant: 'acme', name: 'ids1', tier: 'app', host: 99, forwards: true, place: 0 },
  { tenant: 'acme', name: 'db1', tier: 'db', host: 21, groups: ['databases'], place: 0 },
  { tenant: 'acme', name: 'guest1', tier: 'web', host: 51, asks: true, place: 1 },
  { tenant: 'umbrella', name: 'web1', tier: 'web', host: 11, groups: ['frontends'], place: 1 },
  { tenant: 'umbrella', name: 'db1', tier: 'db', host: 21, groups: ['databases'], place: 0 },
  { tenant: 'umbrella', name: 'batch1', tier: 'web', host: 31, place: 2 },
];

export const servedPorts: readonly number[] = [22, 80, 5432, 8080];

export const networkPath = (tenant: string): string => `tenants/${tenant}/networks/${network}`;
export const ifaceId = (vm: StoryVm): string => `sandbox-${vm.tenant}-${vm.name}`;
export const portPath = (vm: StoryVm): string => `${networkPath(vm.tenant)}/ports/${vm.name}`;

/** The rule that is taken away before everybody's eyes, while a connection is open under it, and another that stays. */
export const cut = {
  from: 'acme/web1',
  to: 'acme/app1',
  rule: `${networkPath('acme')}/rules/feed`,
  port: 9000,
  staying: { rule: 'feed-archive', port: 9001 },
} as const;

export const allow = (priority: number, from: object, to: object, more: object): Record<string, unknown> => {
  return { action: 'allow', priority, from, to, ...more };
};

export const cutRule = allow(300, { tier: 'web' }, { tier: 'app' }, { protocol: 'tcp', ports: [`${cut.port}`] });

/** In the order of need, though /v1/apply takes them in any. */
export function resources(): StoryResource[] {
  const result: StoryResource[] = [];
  const add = (kind: string, path: string, spec: Record<string, unknown>): void => {
    result.push({ kind, path, spec });
  };
  for (const tenant of ['acme', 'umbrella']) {
    const base = networkPath(tenant);
    add('tenant', `tenants/${tenant}`, {});
    add('network', base, { offering: 'basic', cidr, ipv6Cidr });
    for (const [tier, n] of Object.entries(tiers))
      add('tier', `${base}/tiers/${tier}`, { cidr: `10.0.${n}.0/24`, ipv6Cidr: `fd00:10:0:${n}::/64` });
    for (const group of ['frontends', 'databases']) add('group', `${base}/groups/${group}`, {});
    for (const vm of vms) {
      if (vm.tenant !== tenant) continue;
      const { tier, groups = [] } = vm;
      add('port', portPath(vm), { tier, mac: macOf(vm), ips: [ipOf(vm), ipv6Of(vm)], groups, ifaceId: ifaceId(vm) });
    }
    const sql = { protocol: 'tcp', ports: ['5432'] };
    const web = { protocol: 'tcp', ports: ['8080'] };
    add('rule', `${base}/rules/web-to-app`, allow(200, { group: 'frontends' }, { tier: 'app' }, web));
    add('rule', `${base}/rules/app-to-db`, allow(200, { tier: 'app' }, { group: 'databases' }, sql));
    add('rule', `${base}/rules/web-to-db`, allow(210, { group: 'frontends' }, { group: 'databases' }, sql));
    const echo = allow(1000, { cidr }, { group: 'frontends' }, { protocol: 'icmp', icmp: { type: 8 } });
    add('rule', `${base}/rules/ping-frontends`, echo);
    const echo6 = allow(1000, { cidr: ipv6Cidr }, { group: 'frontends' }, { protocol: 'icmpv6', icmp: { type: 128 } });
    add('rule', `${base}/rules/ping6-frontends`, echo6);
  }
  const acme = networkPath('acme');
  const denied = { from: { port: 'web2' }, to: { group: 'databases' }, protocol: 'any' };
  add('rule', `${acme}/rules/not-web2`, { action: 'deny', priority: 100, ...denied });
  add('rule', cut.rule, cutRule);
  const archive = { protocol: 'tcp', ports: [`${cut.staying.port}`] };
  add('rule', `${acme}/rules/${cut.staying.rule}`, allow(310, { tier: 'web' }, { tier: 'app' }, archive));
  const inspected = { from: { tier: 'web' }, to: { port: 'app1' }, protocol: 'tcp', ports: ['8080'] };
  add('steering', `${acme}/steering/inspect`, { priority: 100, ...inspected, via: ['ids1'], onFailure: 'closed' });
  return result;
}

const way = { kind: 'way', from: 'acme/web1', to: 'acme/app1', port: 8080, at: 'acme/ids1' } as const;
const frame = { kind: 'frame', from: 'acme/web1', to: 'acme/web2' } as const;
const foreign = "another tenant's address";

export const probes: readonly Probe[] = [
  {
    kind: 'ping',
    from: 'acme/web1',
    to: 'acme/web2',
    expected: 'reply',
    why: 'rule ping-frontends, through the tunnel',
  },
  { kind: 'ping', from: 'acme/db1', to: 'acme/web2', expected: 'reply', why: 'the same, routed from another tier' },
  { kind: 'ping', from: 'acme/db1', to: 'acme/web2', ipv6: true, expected: 'reply', why: 'rule ping6-frontends' },
  { kind: 'gateway', from: 'acme/web1', to: 'gateway', expected: 'reply', why: 'every gateway answers, no rule asked' },
  { kind: 'gateway', from: 'acme/db1', to: 'gateway', ipv6: true, expected: 'reply', why: 'over IPv6 too' },
  { kind: 'tcp', from: 'acme/web1', to: 'acme/app1', port: 8080, expected: 'answer', why: 'rule web-to-app, steered' },
  { kind: 'tcp', from: 'acme/app1', to: 'acme/db1', port: 5432, expected: 'answer', why: 'rule app-to-db' },
  { kind: 'tcp', from: 'acme/web1', to: 'acme/db1', port: 5432, expected: 'answer', why: 'rule web-to-db' },
  { ...way, direction: 'there', expected: 'passes', why: 'steering inspect: there through ids1 …' },
  { ...way, direction: 'back', expected: 'nothing', why: '… and back without it' },
  { kind: 'tcp', from: 'acme/web1', to: 'acme/app1', port: 22, expected: 'nothing', why: 'no rule allows port 22' },
  { kind: 'ping', from: 'acme/web1', to: 'acme/db1', expected: 'nothing', why: 'no rule lets databases be pinged' },
  { kind: 'ping', from: 'acme/web1', to: 'acme/db1', ipv6: true, expected: 'nothing', why: 'nor over IPv6' },
  { kind: 'tcp', from: 'acme/db1', to: 'acme/web1', port: 80, expected: 'nothing', why: 'rules have a direction' },
  { kind: 'tcp', from: 'acme/web1', to: 'acme/web2', port: 80, expected: 'nothing', why: 'no rule, even in one tier' },
  { kind: 'tcp', from: 'acme/web2', to: 'acme/web1', port: 22, expected: 'nothing', why: 'no rule, even in one tier' },
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
  { kind: 'ping', from: 'acme/web1', to: 'umbrella/batch1', expected: 'nothing', why: foreign },
  { kind: 'ping', from: 'acme/web1', to: 'umbrella/batch1', ipv6: true, expected: 'nothing', why: foreign },
  { kind: 'ping', from: 'umbrella/web1', to: 'acme/web2', expected: 'nothing', why: foreign },
  { ...frame, as: 'itself', expected: 'arrives', why: 'the same frame, honest' },
  { ...frame, as: '10.0.1.99', ip: '10.0.1.99', expected: 'nothing', why: 'spoofed IP' },
  { ...frame, as: "db1's MAC", mac: '02:00:00:00:03:21', expected: 'nothing', why: 'spoofed MAC' },
  { ...frame, as: 'VLAN 7', vlan: 7, expected: 'nothing', why: 'tagged frame' },
];
