/**
 * The revision a reader is told. Tenants are not told how far others have come: theirs is that of the last change they
 * could see since the controller started, or the one it started with. A tenant that follows events from there misses
 * nothing, since nothing of its own lies in between.
 */
import type { Intent } from '../intent/intent.ts';
import type { Commit, Path, Resource } from '../intent/model.ts';
import { kindsUnder, tenantOf } from '../intent/path.ts';
import { definitions } from '../intent/resources/index.ts';
import { isHidden } from '../intent/transit.ts';
import type { Reader } from './reader.ts';

export class Horizon {
  /** Last change of each tenant since the start. */
  readonly #tenants = new Map<Path, number>();
  /** Last change of what every tenant sees; what came before the start is not looked for. */
  #shared: number;
  readonly #unsubscribe: () => void;

  /** @param start revision the store has now */
  constructor(intent: Intent, start: number) {
    this.#shared = start;
    this.#unsubscribe = intent.onCommit((commit) => this.#follow(commit));
  }

  close(): void {
    this.#unsubscribe();
  }

  /** @param revision what a reader without confines is told */
  of({ tenant }: Reader, revision: number): number {
    return tenant === undefined ? revision : Math.max(this.#shared, this.#tenants.get(tenant) ?? 0);
  }

  #follow({ revision, changes }: Commit): void {
    for (const { kind, path } of changes) {
      const tenant = tenantOf(path);
      if (tenant !== undefined) this.#tenants.set(tenant, revision);
      else if (definitions[kind].tenantReads) this.#shared = revision;
    }
  }
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
  if (own === undefined) return;
  for (const resource of subtree(intent, own)) if (!isHidden(resource)) yield resource;
}
