/** ifaceId of a port: unique in the whole cloud, since an interface appears with nothing else; a random UUID when left out. */
import { randomUUID } from 'node:crypto';
import type { Concern } from './concern.ts';
import { take } from './holders.ts';

export const ifaceId: Concern<'port'> = {
  normalise(spec) {
    spec.ifaceId ??= randomUUID();
  },

  release({ state, log }, before, after) {
    if (before.spec.attachment !== undefined) return;
    if (before.spec.ifaceId !== after?.ifaceId) log.write(state.ifaceIds, before.spec.ifaceId, undefined);
  },

  claim({ state, log }, draft, before, report) {
    // A device behind an attachment has no interface that could show it.
    if (before?.spec.ifaceId === draft.spec.ifaceId || draft.spec.attachment !== undefined) return;
    const value = draft.spec.ifaceId!;
    const holder = take(state.ifaceIds, log, value, draft.path);
    // Tenants never set an ifaceId, so that naming another tenant's port tells them nothing.
    if (holder !== undefined) report('/ifaceId', 'iface-id.in-use', `${value} is the ifaceId of ${holder}`);
  },
};
