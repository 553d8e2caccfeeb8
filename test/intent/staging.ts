/** Transactions staged on each other: taken back without a trace, done again alike, and loaded alike. */
import { expect } from 'vitest';
import type { Operation } from '../../src/intent/intent.ts';
import { loadState } from '../../src/intent/load.ts';
import { encodeRecord, keyOf } from '../../src/intent/records.ts';
import { type Staged, stage } from '../../src/intent/stage.ts';
import { State } from '../../src/intent/state.ts';
import { Problem } from '../../src/problems.ts';
import { IdPools } from '../../src/store/ids.ts';
import type { Entry } from '../../src/store/store.ts';
import { dump } from './support.ts';

/** @param batches transactions that wait together; after each batch the model is compared with one that was loaded */
export function expectStagingHolds(batches: readonly (readonly (readonly Operation[])[])[]): void {
  const state = new State();
  const pools = new IdPools([]);
  const written = new Map<string, Entry>();
  let revision = 0;
  const attempt = (operations: readonly Operation[]): Staged | undefined => {
    const untouched = dump(state);
    try {
      const surroundings = {
        now: () => 7,
        newUid: () => `uid${revision}`,
        pools,
        releasable: () => true,
        largestMtu: 1_458,
      };
      return stage(state, operations, surroundings, { many: true, restrictedAllowed: true });
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      expect(dump(state)).toEqual(untouched);
      return undefined;
    }
  };
  for (const batch of batches) {
    const before = dump(state);
    const steps: { staged: Staged; shape: unknown }[] = [];
    for (const operations of batch) {
      const staged = attempt(operations);
      if (staged !== undefined) steps.push({ staged, shape: dump(state) });
    }
    for (const { staged } of steps.toReversed()) staged.log.undo();
    expect(dump(state)).toEqual(before);
    for (const { staged, shape } of steps) {
      staged.log.redo();
      expect(dump(state)).toEqual(shape);
      revision++;
      staged.ids?.commit(revision);
      for (const resource of staged.puts) {
        (resource as { revision: number }).revision = revision;
        const key = keyOf(resource.path);
        written.set(key, { key, value: encodeRecord(resource), revision });
      }
      for (const { path } of staged.deletes) written.delete(keyOf(path));
    }
    const entries = [...written.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
    expect(dump(loadState(entries))).toEqual(dump(state));
  }
}
