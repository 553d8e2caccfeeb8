/** Usage in a LevelDB of its own. */
import { mkdir } from 'node:fs/promises';
import { Level } from 'level';
import { Problem } from '../problems.ts';
import type { Batch, Range, UsageStorage } from './storage.ts';

/** What does not exist is made with mode 0700. @throws Problem store.unavailable when the disk refuses */
export async function openUsageStorage(directory: string): Promise<UsageStorage> {
  return await asking(async () => {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const database = new Level<string, string>(directory);
    await database.open();
    return new LevelStorage(database);
  });
}

class LevelStorage implements UsageStorage {
  readonly #database: Level<string, string>;

  constructor(database: Level<string, string>) {
    this.#database = database;
  }

  list({ prefix, limit, after }: Range): Promise<[key: string, value: string][]> {
    // Keys are printable ASCII.
    const lt = `${prefix}\x7f`;
    const from = after === undefined || after < prefix ? { gte: prefix } : { gt: after };
    return asking(() => this.#database.iterator({ ...from, lt, limit }).all());
  }

  async write(batch: Batch): Promise<void> {
    const operations = [
      ...batch.delete.map((key) => ({ type: 'del' as const, key })),
      ...[...batch.put].map(([key, value]) => ({ type: 'put' as const, key, value })),
    ];
    await asking(() => this.#database.batch(operations, { sync: true }));
  }

  async close(): Promise<void> {
    await this.#database.close();
  }
}

async function asking<T>(what: () => Promise<T>): Promise<T> {
  try {
    return await what();
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    const detail = cause instanceof Error ? cause.message : String(cause);
    throw new Problem('store.unavailable', `Usage could not be kept or read: ${detail}`);
  }
}
