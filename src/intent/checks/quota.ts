/** Quotas: what a tenant has is counted, and what a transaction creates is judged by the state it leads to. */
import type { Resource } from '../model.ts';
import { formatPath, tenantOf } from '../path.ts';
import { type Counted, quotaFields } from '../state.ts';
import type { Concern, Staging } from './concern.ts';

/** What each transaction has told already: one error for a quota, not one for each resource above it. */
const told = new WeakMap<Staging, Set<string>>();

/**
 * Only what is created is refused: a quota that was lowered takes nothing away, and what is there may be replaced.
 * It holds for whoever creates it, admins too.
 */
export function withinQuota<K extends Counted>(kind: K): Concern<K> {
  return {
    conclude(staging, draft, before: Resource<K> | undefined, report) {
      if (before !== undefined) return;
      const tenant = tenantOf(draft.path)!;
      const name = tenant.slice('tenants/'.length);
      const path = formatPath('quota', '', name);
      const field = quotaFields[kind];
      const most = staging.state.getAs('quota', path)?.spec[field];
      const count = staging.state.heldBy(kind, tenant);
      if (most === undefined || count <= most) return;
      const already = told.get(staging) ?? new Set();
      told.set(staging, already);
      const what = `${field} of ${path}`;
      if (already.has(what)) return;
      already.add(what);
      report('', 'quota.exceeded', `Tenant ${name} would have ${count} ${field}; its quota is ${most} (${what})`);
    },
  };
}
