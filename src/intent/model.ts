/** The shape of intent in memory: what the compiler, the API and the checks read. Objects are never changed in place. */
import type { Ip, IpPrefix } from './ip.ts';
import type { GroupSpec } from './resources/group.ts';
import type { HypervisorSpec } from './resources/hypervisor.ts';
import type { Kind } from './resources/index.ts';
import type { IpPoolSpec } from './resources/ip-pool.ts';
import type { NatRuleSpec } from './resources/nat-rule.ts';
import type { NetworkSpec } from './resources/network.ts';
import type { OfferingSpec } from './resources/offering.ts';
import type { PeeringSpec } from './resources/peering.ts';
import type { PolicySpec } from './resources/policy.ts';
import type { PortSpec } from './resources/port.ts';
import type { ProviderNetworkSpec } from './resources/provider-network.ts';
import type { PublicIpSpec } from './resources/public-ip.ts';
import type { QuotaSpec } from './resources/quota.ts';
import type { ReservationSpec } from './resources/reservation.ts';
import type { RouteSpec } from './resources/route.ts';
import type { RuleSpec } from './resources/rule.ts';
import type { SteeringSpec } from './resources/steering.ts';
import type { TenantSpec } from './resources/tenant.ts';
import type { TierSpec } from './resources/tier.ts';
import type { TrunkSpec } from './resources/trunk.ts';
import type { VlanAttachmentSpec } from './resources/vlan-attachment.ts';

/** Path of a resource as in the REST contract, without `/v1/`: `tenants/acme/networks/shop`. */
export type Path = string;

type Filled<Spec, Fields extends keyof Spec> = Spec & { [F in Fields]-?: NonNullable<Spec[F]> };

/** The spec of each kind with what the server fills filled. */
export type Specs = {
  offering: OfferingSpec;
  hypervisor: Filled<HypervisorSpec, 'systemId'>;
  quota: QuotaSpec;
  tenant: TenantSpec;
  policy: PolicySpec;
  'provider-network': ProviderNetworkSpec;
  'ip-pool': IpPoolSpec;
  trunk: TrunkSpec;
  network: NetworkSpec;
  peering: PeeringSpec;
  tier: Filled<TierSpec, 'cidr' | 'gateway'>;
  reservation: ReservationSpec;
  'vlan-attachment': Filled<VlanAttachmentSpec, 'vlan'>;
  port: Filled<PortSpec, 'mac' | 'ips' | 'ifaceId'>;
  group: GroupSpec;
  rule: RuleSpec;
  route: RouteSpec;
  steering: SteeringSpec;
  'public-ip': Filled<PublicIpSpec, 'pool' | 'address'>;
  'nat-rule': NatRuleSpec;
};

/**
 * Numbers of a resource that reach switches, allocated in the commit that creates it:
 * tenant: GRE key; network and tier: register values; rule, policy and NAT rule: rule id in ct_label; steering: an id out of the
 * same numbers; hypervisor: register value and datapath id. Kinds without one (offering, port, group, …) have 0; a port's flows are found by its resource number.
 */
export type Resource<K extends Kind = Kind> = K extends Kind
  ? {
      readonly kind: K;
      readonly path: Path;
      readonly name: string;
      /** Path of the parent, '' at the top level. */
      readonly parent: Path;
      readonly uid: string;
      /** Never reused, 40 bits; the low bits of the cookie. */
      readonly number: number;
      readonly id: number;
      /** Revision of the commit that last changed the spec or labels. */
      readonly revision: number;
      /** Milliseconds since the epoch. */
      readonly createdAt: number;
      readonly labels: Readonly<Record<string, string>>;
      readonly spec: Readonly<Specs[K]>;
    }
  : never;

/** Read access to intent at one moment. */
export interface View {
  get(path: Path): Resource | undefined;
  getAs<K extends Kind>(kind: K, path: Path): Resource<K> | undefined;
  /** Children of one kind under a parent ('' for the top level), in no particular order. O(answer). */
  children<K extends Kind>(kind: K, parent: Path): Iterable<Resource<K>>;
  count(kind: Kind, parent: Path): number;
  /** The port with this ifaceId. */
  portByIfaceId(ifaceId: string): Resource<'port'> | undefined;
  /** Whoever names the resource. */
  referrers(path: Path): Iterable<Resource>;
  byNumber(number: number): Resource | undefined;
  /** Ports of the network that have the prefix as an allowed address pair, none wider or narrower. O(answer). */
  portsPaired(network: Path, prefix: IpPrefix): Iterable<Resource<'port'>>;
  /** The port that has the address to itself. */
  portByIp(network: Path, ip: Ip): Resource<'port'> | undefined;
  /** The public address with this number out of the pool. */
  publicIpByAddress(pool: Path, address: number): Resource<'public-ip'> | undefined;
  /** NAT rules of a public address, in no particular order. O(answer). */
  natRulesOf(publicIp: Path): Iterable<Resource<'nat-rule'>>;
  /** Static routes of the network whose next hop is the address. O(answer). */
  routesVia(network: Path, ip: Ip): Iterable<Resource<'route'>>;
}

/** One resource a commit changed. Neither: never. Only `before`: deleted. Only `after`: created. */
export type ResourceChange<K extends Kind = Kind> = K extends Kind
  ? {
      readonly kind: K;
      readonly path: Path;
      readonly before: Resource<K> | undefined;
      readonly after: Resource<K> | undefined;
    }
  : never;

export type Commit = { readonly revision: number; readonly at: number; readonly changes: readonly ResourceChange[] };
