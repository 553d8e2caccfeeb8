/** The change feed of intent, by revision: what watchers outside are told, from the store's log. */
import type { CommittedChange, Store } from '../store/store.ts';
import type { Path, Resource } from './model.ts';
import { decodeRecord, pathOf } from './records.ts';
import type { Kind } from './resources/index.ts';

export type IntentEvent = {
  revision: number;
  /** Milliseconds since the epoch. */
  at: number;
  changes: IntentEventChange[];
};

export type IntentEventChange = {
  kind: Kind;
  path: Path;
  type: 'created' | 'replaced' | 'deleted';
  /** As it is after the change; as it last was when deleted, then with the revision of the deletion. */
  resource: Resource;
};

/**
 * Changes of intent after revision `from`, in order, until the signal aborts. Revisions that changed nothing of intent are
 * passed over. @throws Problem `events.compacted` as `Store.watch`.
 */
export async function* intentEvents(
  store: Pick<Store, 'watch'>,
  from: number,
  signal?: AbortSignal,
): AsyncGenerator<IntentEvent, void, undefined> {
  for await (const change of store.watch(from, signal)) {
    const changes = changesOf(change);
    if (changes.length > 0) yield { revision: change.revision, at: change.at, changes };
  }
}

/**
 * What a commit of the store changed of intent.
 * @param wanted of which paths; judged before anything is decoded, so that what nobody wants costs next to nothing
 */
export function changesOf(
  { revision, writes }: CommittedChange,
  wanted: (path: Path) => boolean = () => true,
): IntentEventChange[] {
  const changes: IntentEventChange[] = [];
  for (const { key, value, previous } of writes) {
    const path = pathOf(key);
    const record = value ?? previous;
    if (path === undefined || record === undefined || !wanted(path)) continue;
    const resource = decodeRecord(path, record, revision);
    const type = value === undefined ? 'deleted' : previous === undefined ? 'created' : 'replaced';
    changes.push({ kind: resource.kind, path, type, resource });
  }
  return changes;
}
