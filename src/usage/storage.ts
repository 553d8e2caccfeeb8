/**
 * Where usage lies: sorted keys and JSON texts, overwritten as it grows. Beside the journal and not in it: figures that change
 * every minute are no changes of intent, and would push those out of the change log.
 */

export type Batch = { put: ReadonlyMap<string, string>; delete: readonly string[] };

export type Range = {
  prefix: string;
  limit: number;
  /** Behind this key. */
  after?: string | undefined;
};

export interface UsageStorage {
  /** Sorted by key. @throws Problem store.unavailable */
  list(range: Range): Promise<[key: string, value: string][]>;
  /** All or nothing, durable when it resolves. @throws Problem store.unavailable */
  write(batch: Batch): Promise<void>;
  close(): Promise<void>;
}

/** For tests, and controllers that keep nothing. */
export class MemoryStorage implements UsageStorage {
  readonly #entries = new Map<string, string>();

  list({ prefix, limit, after = '' }: Range): Promise<[key: string, value: string][]> {
    const found = [...this.#entries].filter(([key]) => key.startsWith(prefix) && key > after);
    return Promise.resolve(found.sort(([a], [b]) => (a < b ? -1 : 1)).slice(0, limit));
  }

  write(batch: Batch): Promise<void> {
    for (const key of batch.delete) this.#entries.delete(key);
    for (const [key, value] of batch.put) this.#entries.set(key, value);
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
