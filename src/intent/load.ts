/** Loads the model from the store: the same indexes as if every resource had just been put, without judging them again. */
import type { Entry } from '../store/store.ts';
import type { Draft, Staging } from './checks/concern.ts';
import { concerns } from './checks/index.ts';
import { Log } from './log.ts';
import type { Resource } from './model.ts';
import { decodeRecord, pathOf } from './records.ts';
import { kinds } from './resources/index.ts';
import { State } from './state.ts';

/** @throws Error when the records contradict each other: they were not written by this program */
export function loadState(entries: readonly Entry[]): State {
  const state = new State();
  const log = new Log({ keep: false });
  const byKind = new Map<string, Resource[]>(kinds.map((kind) => [kind, []]));
  for (const { key, value, revision } of entries) {
    const resource = decodeRecord(pathOf(key)!, value, revision);
    byKind.get(resource.kind)!.push(resource);
  }
  const staging: Staging = {
    state,
    log,
    writes: () => false,
    isBroken: () => false,
    largestMtu: undefined,
    isLoading: true,
    restrictedAllowed: true,
    resting: undefined,
    nextNumber: () => {
      throw new Error('The store holds two resources with one MAC');
    },
  };
  // Parents before children, tiers before ports: what is claimed is marked in what is there.
  for (const kind of kinds)
    for (const resource of byKind.get(kind)!) {
      state.write(log, undefined, resource);
      const refuse = (field: string, code: string, message: string) => {
        throw new Error(`The store holds ${resource.path} with a wrong ${field}: ${code}: ${message}`);
      };
      const draft = resource as unknown as Draft;
      for (const concern of concerns[kind]) {
        concern.claim?.(staging, draft, undefined, refuse);
        concern.fill?.(staging, draft, refuse);
      }
    }
  return state;
}
