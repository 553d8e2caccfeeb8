/**
 * What a tenant is told of a status. Messages are written for operators and name hypervisors, addresses and flows; so
 * tenants get words of ours for the reasons there are, and revisions of their own only.
 */
import type { Condition, Status } from './context.ts';

/** Words for tenants by reason; another reason is told without words. */
const words: Record<string, string> = {
  HypervisorUnreachable: 'A host that serves it cannot be reached; what was programmed there goes on working',
  FlowRejected: 'A switch refused part of it',
  BindingConflict: 'Its interface was seen in two places; the first keeps it',
  Bound: 'A VM interface is attached',
  NotBound: 'No VM interface with its id has appeared yet',
  ServiceNotProvided: 'Not every service of the offering is provided yet; the tiers work',
};

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

function tenantCondition({ type, status, reason }: Condition): Condition {
  return { type, status, reason, message: words[reason] ?? '' };
}
