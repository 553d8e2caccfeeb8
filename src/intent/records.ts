/** How intent lies in the store: one record per resource. */

import { Problem } from '../problems.ts';
import type { Path, Resource } from './model.ts';
import { parsePath } from './path.ts';

export const resourcePrefix = 'r/';

export function keyOf(path: Path): string {
  return resourcePrefix + path;
}

/** The path of a record's key; undefined for keys that are not intent's. */
export function pathOf(key: string): Path | undefined {
  return key.startsWith(resourcePrefix) ? key.slice(resourcePrefix.length) : undefined;
}

/** The revision is not in the record: it is the store's revision of the key. */
export function encodeRecord({ uid, number, id, createdAt, labels, spec }: Resource): string {
  return JSON.stringify({ uid, number, id, createdAt, labels, spec });
}

/** @throws Error when the path fits no definition: the store was not written by this program. */
export function decodeRecord(path: Path, value: string, revision: number): Resource {
  const parsed = parsePath(path);
  if (parsed instanceof Problem) throw new Error(`The store holds ${path}, which is no resource`, { cause: parsed });
  const { uid, number, id, createdAt, labels, spec } = JSON.parse(value) as Omit<Resource, 'path'>;
  const { kind, name, parent } = parsed;
  return { kind, path, name, parent, uid, number, id, revision, createdAt, labels, spec } as Resource;
}
