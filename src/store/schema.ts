/** The version of the level store's layout (records.ts), and the way from older ones to it. */
import type { Level } from 'level';
import { Problem } from '../problems.ts';
import { metaKeys } from './records.ts';

export type Operation = { type: 'put'; key: string; value: string } | { type: 'del'; key: string };

export type Migration = {
  /** Version it leads to, from the one before. */
  to: number;
  /** What has to be written. It becomes durable together with the version: a migration has happened or has not. */
  plan(database: Level<string, string>): Promise<Operation[]>;
};

export type Schema = {
  version: number;
  /** One for each version from 2, in order. */
  migrations: readonly Migration[];
};

/** Version 1: records.ts as it is. */
export const schema: Schema = { version: 1, migrations: [] };

/** Resolves to the version found; undefined: the database is empty. @throws Problem `store.too-new`, `store.unavailable`. */
export async function readVersion(
  database: Level<string, string>,
  { version }: Schema,
  directory: string,
): Promise<number | undefined> {
  const text = await database.get(metaKeys.schema);
  if (text === undefined) {
    for await (const key of database.keys({ limit: 1 })) {
      throw new Problem(
        'store.unavailable',
        `${directory} holds a database that is not Keyway's (its first key: ${key}).`,
      );
    }
    return undefined;
  }
  const found = Number(text);
  if (!Number.isSafeInteger(found) || found < 1) {
    throw new Problem('store.unavailable', `${directory} has schema version "${text}", which is none.`);
  }
  if (found > version) {
    throw new Problem('store.too-new', `${directory} has schema version ${found}; this Keyway knows up to ${version}.`);
  }
  return found;
}

/** Brings an older database up to `schema.version`, one durable step at a time. */
export async function migrate(
  database: Level<string, string>,
  { version, migrations }: Schema,
  found: number,
): Promise<void> {
  for (let to = found + 1; to <= version; to++) {
    const migration = migrations.find((candidate) => candidate.to === to);
    if (migration === undefined) throw new Error(`There is no migration to schema version ${to}`);
    const operations = await migration.plan(database);
    await database.batch([...operations, { type: 'put', key: metaKeys.schema, value: String(to) }], { sync: true });
  }
}
