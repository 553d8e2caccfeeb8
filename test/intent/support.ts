/** What the tests of intent share. */
import { Intent, type IntentOptions, type Operation, type TransactOptions } from '../../src/intent/intent.ts';
import type { Resource, View } from '../../src/intent/model.ts';
import { kindsUnder } from '../../src/intent/path.ts';
import { PrefixIndex } from '../../src/intent/prefix-index.ts';
import type { Kind } from '../../src/intent/resources/index.ts';
import type { State } from '../../src/intent/state.ts';
import { Problem } from '../../src/problems.ts';
import { MemoryDisk, openMemoryStore } from '../../src/store/memory.ts';
import type { Store } from '../../src/store/store.ts';

export type Spec = Record<string, unknown>;

export function put(path: string, spec: Spec = {}, more: Partial<Extract<Operation, { op: 'put' }>> = {}): Operation {
  return { op: 'put', path, spec, ...more };
}

export function remove(path: string, ifRevision?: number): Operation {
  return { op: 'delete', path, ifRevision };
}

export const shop = 'tenants/acme/networks/shop';

/** A tenant with a network of one tier. */
export const basics: Operation[] = [
  put('tenants/acme'),
  put(shop, { offering: 'basic', cidr: '10.0.0.0/16' }),
  put(`${shop}/tiers/web`, { cidr: '10.0.1.0/24' }),
];

export type Opened = { intent: Intent; store: Store; disk: MemoryDisk };

export async function open(options: IntentOptions = {}, disk = new MemoryDisk()): Promise<Opened> {
  const store = openMemoryStore({ disk });
  return { intent: await Intent.open(store, options), store, disk };
}

export async function openWith(...operations: Operation[]): Promise<Opened> {
  const opened = await open();
  await admin(opened.intent, [...basics, ...operations]);
  return opened;
}

/** As an admin. */
export function admin(intent: Intent, operations: Operation[], options: TransactOptions = {}) {
  return intent.transact(operations, { restrictedAllowed: true, ...options });
}

/** The problem a promise is rejected with. Anything else fails the test. */
export async function problemOf(promise: Promise<unknown>): Promise<Problem> {
  const error = await promise.then(
    (value) => new Error(`It was not refused: ${JSON.stringify(value)}`),
    (reason: unknown) => reason,
  );
  if (error instanceof Problem) return error;
  throw error;
}

/** Everything a view shows, in one order. */
export function everything(view: View): unknown {
  const shown: unknown[] = [];
  const visit = (kind: Kind, parent: string) => {
    const found = [...view.children(kind, parent)].sort((a, b) => (a.name < b.name ? -1 : 1));
    if (found.length !== view.count(kind, parent)) throw new Error(`count of ${kind} in ${parent} is wrong`);
    for (const resource of found) {
      if (view.get(resource.path) !== resource || view.byNumber(resource.number) !== resource)
        throw new Error(`${resource.path} is not the same everywhere`);
      shown.push({ ...resource, referrers: [...view.referrers(resource.path)].map((r: Resource) => r.path).sort() });
      for (const below of kindsUnder(resource.kind)) visit(below, resource.path);
    }
  };
  for (const kind of kindsUnder('')) visit(kind, '');
  return shown;
}

/** Every index of a state as plain sorted arrays. */
export function dump(state: State): unknown {
  return Object.fromEntries(Object.entries(state).map(([name, table]) => [name, plain(table)]));
}

function plain(value: unknown): unknown {
  if (value instanceof PrefixIndex || (typeof value === 'object' && value !== null && 4 in value))
    return Object.fromEntries(Object.entries(value).map(([name, table]) => [name, plain(table)]));
  if (typeof value !== 'object' || value === null || !('entries' in value) || typeof value.entries !== 'function')
    return value;
  const entries = [...(value.entries() as Iterable<[string | number, unknown]>)];
  return entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, inner]) => [key, plain(inner)]);
}
