/**
 * What a tenant is told of a status. Reasons and messages are written for operators and name hypervisors, flows and
 * drivers; so tenants get words of ours for each type of condition, and revisions of their own only.
 */
import type { Condition, Status } from './context.ts';

type Words = { reason: string; message: string };

/** By type, or type and status. A type that is not here is told without words. */
const words: Record<string, Words> = {
  'Bound=True': { reason: 'InterfaceFound', message: 'A VM interface is attached' },
  'Bound=False': { reason: 'NoInterface', message: 'No VM interface with its id has appeared yet' },
  BindingConflict: { reason: 'SecondClaim', message: 'Its interface is shown in two places; the first keeps it' },
  Compiled: { reason: 'CompilerError', message: 'It could not be turned into flows; the operator has been told' },
  HypervisorUnreachable: {
    reason: 'NotConnected',
    message: 'A host that serves it cannot be reached; what was programmed there goes on working',
  },
  'Placed=True': { reason: 'Placed', message: 'It is where it is served' },
  'Placed=False': { reason: 'NotServed', message: 'Nothing can serve it at the moment; the operator has been told' },
  'GatewayPlaced=False': { reason: 'NotInUse', message: 'Nothing of it needs a way out yet' },
  'GatewayPlaced=True': { reason: 'Placed', message: 'Its way out and its services are where the operator has them' },
  NextHopResolved: {
    reason: 'NotResolved',
    message: 'The way from its pool to outside is not known yet; the operator has been told',
  },
  'NextHop=False': { reason: 'NotBound', message: 'Its next hop is not there: what takes the route goes nowhere' },
  'HopsBound=False': { reason: 'HopNotBound', message: 'A port it leads through is not there' },
  Migrating: { reason: 'Moving', message: 'It is on its way from one host to another' },
  ProviderNetwork: {
    reason: 'NotReached',
    message: 'Its host has no way to the network its tier is on; the operator has been told',
  },
  Rejected: { reason: 'Refused', message: 'A switch refused part of it; the operator has been told' },
};

/** Types whose words are written for tenants in the first place. */
const forTenants: ReadonlySet<string> = new Set(['ServiceNotProvided']);

export function tenantStatus(status: Status, revision: number): Status {
  return {
    state: status.state,
    observedRevision: ownRevision(status.observedRevision, revision),
    programmedRevision: ownRevision(status.programmedRevision, revision),
    conditions: status.conditions.map(tenantCondition),
  };
}

/** How far somebody else's changes have come is none of the tenant's business: its own revision, or 0 for "not yet". */
function ownRevision(reached: number, revision: number): number {
  return reached >= revision ? revision : 0;
}

function tenantCondition(condition: Condition): Condition {
  const { type, status } = condition;
  if (forTenants.has(type)) return condition;
  const { reason, message } = words[`${type}=${status}`] ?? words[type] ?? { reason: type, message: '' };
  return { type, status, reason, message };
}
