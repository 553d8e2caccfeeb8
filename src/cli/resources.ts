/** Reading resources: one, a collection, or every collection of a kind. */
import type { Client, Query } from './client.ts';
import { type KindModel, kindModel } from './model.ts';
import { pathOf } from './names.ts';

/** A resource as the controller answers it, with its path. */
export type Item = Record<string, unknown> & { name: string; revision?: number };

export type Row = { item: Item /** Names of the parents, outermost first. */; parents: string[] };

export type Listing = { rows: Row[]; revision: number };

/** What a resource is answered with does not say where it is; apply and scripts need that. */
export function rowOf(kind: KindModel, parents: readonly string[], item: object): Row {
  const { name } = item as Item;
  return { item: { path: pathOf(kind, [...parents, name]), ...item, name }, parents: [...parents] };
}

const pageSize = 1000;

/** All pages of a collection; the revision is that of the first page, from which events go on. */
export async function listAll(
  client: Client,
  kind: KindModel,
  parents: readonly string[],
  query: Query = {},
): Promise<Listing> {
  const path = `/v1/${pathOf(kind, parents)}`;
  const rows: Row[] = [];
  let revision: number | undefined;
  let cursor: string | undefined;
  do {
    const { body } = await client.request('GET', path, { query: { ...query, limit: String(pageSize), cursor } });
    const page = body as { items: Item[]; revision: number; next?: string };
    for (const item of page.items) rows.push(rowOf(kind, parents, item));
    revision ??= page.revision;
    cursor = page.next;
  } while (cursor !== undefined);
  return { rows, revision: revision ?? 0 };
}

/** Calls for every element, a few at a time, and keeps their order. */
export async function eachOf<T, R>(
  elements: readonly T[],
  most: number,
  call: (element: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = new Array(elements.length);
  let next = 0;
  const work = async () => {
    for (let i = next++; i < elements.length; i = next++) results[i] = await call(elements[i]!);
  };
  await Promise.all(Array.from({ length: Math.min(most, elements.length) }, work));
  return results;
}

/** Collections of a kind in every parent that is not named: parents known, outermost first. */
export async function listEverywhere(
  client: Client,
  kind: KindModel,
  known: readonly string[],
  query: Query = {},
): Promise<Listing> {
  if (known.length >= kind.parents.length) return listAll(client, kind, known, query);
  const parent = kindModel(kind.parents[known.length]!);
  const { rows, revision } = await listAll(client, parent, known);
  const below = await eachOf(rows, 8, ({ item }) => listEverywhere(client, kind, [...known, item.name], query));
  return { rows: below.flatMap((listing) => listing.rows), revision };
}
