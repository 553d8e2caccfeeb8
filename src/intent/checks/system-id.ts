/** system-id of a hypervisor: how a switch that connects is recognised; the name when left out. */
import type { Concern } from './concern.ts';
import { take } from './holders.ts';

export const systemId: Concern<'hypervisor'> = {
  normalise(spec, name) {
    spec.systemId ??= name;
  },

  // It never changes.
  release({ state, log }, before, after) {
    if (after === undefined) log.write(state.systemIds, before.spec.systemId, undefined);
  },

  claim({ state, log }, draft, before, report) {
    if (before !== undefined) return;
    const value = draft.spec.systemId!;
    const holder = take(state.systemIds, log, value, draft.path);
    if (holder !== undefined)
      report('/systemId', 'hypervisor.system-id-in-use', `${value} is the system-id of ${holder}`);
  },
};
