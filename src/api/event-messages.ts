/** Messages of the event stream, as text: made once for everybody who may see the same. */
import type { IntentEventChange } from '../intent/feed.ts';
import type { Commit, Path } from '../intent/model.ts';
import { present } from '../intent/present.ts';
import type { Status } from './context.ts';
import { type Reader, seesResource } from './reader.ts';

/** One change of intent, and its message for those who see everything and for tenants. */
export class ChangeMessage {
  readonly kind: IntentEventChange['kind'];
  readonly path: Path;
  readonly #revision: number;
  readonly #change: IntentEventChange;
  #full: string | undefined;
  #confined: string | undefined;

  constructor(revision: number, change: IntentEventChange) {
    this.kind = change.kind;
    this.path = change.path;
    this.#revision = revision;
    this.#change = change;
  }

  /** Whether the reader may know of it. */
  isFor(reader: Reader): boolean {
    return seesResource(reader, this.#change.resource);
  }

  text(restricted: boolean): string {
    if (restricted) {
      this.#full ??= this.#format(true);
      return this.#full;
    }
    this.#confined ??= this.#format(false);
    return this.#confined;
  }

  #format(restricted: boolean): string {
    const { kind, path, type, resource } = this.#change;
    return JSON.stringify({
      type: 'change',
      revision: this.#revision,
      kind,
      path,
      change: type,
      resource: present(resource, { restricted }),
    });
  }
}

/** One commit of intent. */
export type EventEntry = { revision: number; messages: ChangeMessage[] };

export function entryOf({ revision, changes }: Commit): EventEntry {
  const messages = changes.map(({ kind, path, before, after }) => {
    const type = after === undefined ? 'deleted' : before === undefined ? 'created' : 'replaced';
    const resource = after ?? { ...before!, revision };
    return new ChangeMessage(revision, { kind, path, type, resource });
  });
  return { revision, messages };
}

/** `null`: gone, confirmed by every switch. */
export function statusMessage(path: Path, status: Status | null): string {
  return JSON.stringify({ type: 'status', path, status });
}

/** Everything up to the revision has been told; what follows is news. */
export function syncedMessage(revision: number): string {
  return JSON.stringify({ type: 'synced', revision });
}
