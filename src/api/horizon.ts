/**
 * The revision a reader is told. Tenants are never told revisions of others: theirs is that of the last change they
 * could see. A tenant that follows events from it misses nothing, since nothing of its own lies in between.
 */
import type { Intent } from '../intent/intent.ts';
import type { Commit, Path, Resource } from '../intent/model.ts';
import { kindsUnder, tenantOf } from '../intent/path.ts';
import { definitions } from '../intent/resources/index.ts';
import type { Store } from '../store/store.ts';
import type { Reader } from './reader.ts';

export class Horizon {
  readonly #intent: Intent;
  readonly #store: Pick<Store, 'oldest'>;
  /** Last change of each tenant that was asked for or changed since the start. */
  readonly #tenants = new Map<Path, number>();
  /** Last change of what every tenant sees. */
  #shared: number;
  readonly #unsubscribe: () => void;

  constructor(intent: Intent, store: Pick<Store, 'oldest'>) {
    this.#intent = intent;
    this.#store = store;
    this.#shared = newest(topLevelShared(intent));
    this.#unsubscribe = intent.onCommit((commit) => this.#follow(commit));
  }

  close(): void {
    this.#unsubscribe();
  }

  /** @param revision what a reader without confines would be told */
  of(reader: Reader, revision: number): number {
    const { tenant } = reader;
    if (tenant === undefined) return revision;
    // Deletions before the start are unknown; older ones than the log holds cannot be followed from anyway.
    return Math.max(this.#tenant(tenant), this.#shared, this.#store.oldest);
  }

  #tenant(tenant: Path): number {
    const known = this.#tenants.get(tenant);
    if (known !== undefined) return known;
    const resource = this.#intent.get(tenant);
    const revision = resource ? newest(subtree(this.#intent, resource)) : 0;
    this.#tenants.set(tenant, revision);
    return revision;
  }

  #follow({ revision, changes }: Commit): void {
    for (const { kind, path } of changes) {
      const tenant = tenantOf(path);
      if (tenant !== undefined) this.#tenants.set(tenant, revision);
      else if (definitions[kind].tenantReads) this.#shared = revision;
    }
  }
}

function newest(resources: Iterable<Resource>): number {
  let revision = 0;
  for (const resource of resources) revision = Math.max(revision, resource.revision);
  return revision;
}

function* topLevelShared(intent: Intent): Generator<Resource> {
  for (const kind of kindsUnder(''))
    if (kind !== 'tenant' && definitions[kind].tenantReads) yield* intent.children(kind, '');
}

/** The resource and everything below it, at the cost of what there is. */
export function* subtree(intent: Intent, resource: Resource): Generator<Resource> {
  yield resource;
  for (const kind of kindsUnder(resource.kind))
    for (const child of intent.children(kind, resource.path)) yield* subtree(intent, child);
}

/** Everything the reader may see. */
export function* everything(intent: Intent, { tenant }: Reader): Generator<Resource> {
  if (tenant === undefined) {
    for (const kind of kindsUnder(''))
      for (const resource of intent.children(kind, '')) yield* subtree(intent, resource);
    return;
  }
  yield* topLevelShared(intent);
  const own = intent.get(tenant);
  if (own) yield* subtree(intent, own);
}
