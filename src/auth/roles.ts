/** What each role may, once. */
import { Problem } from '../problems.ts';

export const roles = ['admin', 'operator', 'orchestrator', 'tenant', 'gateway-host'] as const;

export type Role = (typeof roles)[number];

/** Who asks. */
export type Principal = {
  /** Id of the token, as the audit names it. */
  readonly token: string;
  readonly role: Role;
  /** Of the role tenant, and of no other. */
  readonly tenant: string | undefined;
  /** Of the role gateway-host, and of no other: the hypervisor it runs on. */
  readonly hypervisor?: string | undefined;
};

/** What can be asked for that is not a resource. */
export type Area =
  | 'apply'
  | 'audit'
  /** Everything the store holds, the hashes of tokens among it. */
  | 'backup'
  /** Cutting the change log. */
  | 'compact'
  /** Probes between hypervisors. */
  | 'connectivity'
  | 'devices'
  | 'doctor'
  | 'drift'
  | 'drivers'
  | 'events'
  | 'flows'
  /** What the program of a gateway host serves: leases, names, metadata. */
  | 'gateway-services'
  /** To declare a hypervisor lost: ids are reused then although it has not confirmed. */
  | 'lost-hypervisors'
  /** Compiling everything anew; to write: sending what differs. */
  | 'recompute'
  | 'tokens'
  | 'trace'
  /** What ports and public addresses have used. */
  | 'usage'
  | 'verify'
  /** Ports of every tenant by address, with their bindings. */
  | 'where';

type Policy = {
  /** Has nothing to do with resources, not even those that definitions open to all. */
  noResources?: true;
  /** What it asks for lies in the token's tenant, or in no tenant. */
  ownTenantOnly: boolean;
  /** Resources beside those a definition opens: tenantReads to be read, writers to be written. */
  resources: { read: 'all' | readonly string[]; write: 'all' | readonly string[] };
  areas: { read: 'all' | readonly Area[]; write: 'all' | readonly Area[] };
  /** Fields that definitions call restricted: keys, bindings, providers, where a port may be bound. */
  restricted: { sees: boolean; sets: boolean };
};

const policies: Readonly<Record<Role, Policy>> = {
  admin: {
    ownTenantOnly: false,
    resources: { read: 'all', write: 'all' },
    areas: { read: 'all', write: 'all' },
    restricted: { sees: true, sets: true },
  },
  operator: {
    ownTenantOnly: false,
    resources: { read: 'all', write: [] },
    areas: { read: 'all', write: ['apply', 'connectivity', 'recompute'] },
    restricted: { sees: true, sets: false },
  },
  orchestrator: {
    ownTenantOnly: false,
    resources: {
      read: ['hypervisor', 'provider-network', 'ip-pool', 'trunk', 'vlan-attachment'],
      write: [],
    },
    areas: { read: ['events', 'trace', 'usage', 'verify', 'where'], write: ['apply'] },
    restricted: { sees: true, sets: true },
  },
  tenant: {
    ownTenantOnly: true,
    resources: { read: [], write: [] },
    areas: { read: ['events', 'trace', 'usage', 'verify'], write: ['apply'] },
    restricted: { sees: false, sets: false },
  },
  'gateway-host': {
    noResources: true,
    ownTenantOnly: true,
    resources: { read: [], write: [] },
    areas: { read: ['gateway-services'], write: [] },
    restricted: { sees: false, sets: false },
  },
};

/** Of a resource definition: src/intent/define.ts. */
export type ResourceRights = {
  kind: string;
  parent: string | undefined;
  writers: readonly string[];
  tenantReads: boolean;
};

export type AccessRequest = {
  action: 'read' | 'write';
  /** Tenant the path names. */
  tenant?: string | undefined;
  /** Hypervisor the path names. */
  hypervisor?: string | undefined;
} & ({ resource: ResourceRights } | { area: Area });

/** Judges by the request alone, before anything is looked up. `apply` is asked for itself, and for each resource in it. */
export function authorise(principal: Principal, request: AccessRequest): Problem | undefined {
  const policy = policies[principal.role];
  if (policy.ownTenantOnly && request.tenant !== undefined && request.tenant !== principal.tenant) {
    return new Problem('auth.forbidden', `The token is for ${belongs(principal)}.`);
  }
  if (principal.role === 'gateway-host' && request.hypervisor !== principal.hypervisor) {
    return new Problem('auth.forbidden', `The token is for ${belongs(principal)}.`);
  }
  const may = 'area' in request ? mayInArea(policy, request) : mayWithResource(principal.role, policy, request);
  if (may) return undefined;
  const what = 'area' in request ? request.area : `resources of kind ${request.resource.kind}`;
  return new Problem('auth.forbidden', `The role ${principal.role} may not ${request.action} ${what} here.`);
}

function belongs({ tenant, hypervisor }: Principal): string {
  return hypervisor === undefined ? `tenant ${tenant}` : `gateway host ${hypervisor}`;
}

function mayInArea({ areas }: Policy, { action, area }: AccessRequest & { area: Area }): boolean {
  const open = areas[action];
  return open === 'all' || open.includes(area);
}

function mayWithResource(
  role: Role,
  { noResources, ownTenantOnly, resources }: Policy,
  { action, tenant, resource }: AccessRequest & { resource: ResourceRights },
): boolean {
  if (noResources === true) return false;
  const { kind, parent, writers, tenantReads } = resource;
  // What belongs to a tenant is asked for below one; without, as in a list of all tenants, it is everybody's.
  const ofTenants = kind === 'tenant' || parent !== undefined;
  if (ownTenantOnly && ofTenants && tenant === undefined) return false;
  const open = resources[action];
  if (open === 'all' || open.includes(kind)) return true;
  return action === 'read' ? tenantReads : writers.includes(role);
}

/** Whether answers to it hold the fields that definitions call restricted. */
export function seesRestricted({ role }: Principal): boolean {
  return policies[role].restricted.sees;
}

/** Whether it may set them. */
export function setsRestricted({ role }: Principal): boolean {
  return policies[role].restricted.sets;
}

/** Whether an event, or a step of a trace, that concerns the tenant (undefined: none) is shown to it. */
export function seesTenant(principal: Principal, tenant: string | undefined): boolean {
  return !policies[principal.role].ownTenantOnly || tenant === principal.tenant;
}
