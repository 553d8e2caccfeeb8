/**
 * Who did what, when: one record per change, written in the same commit, under `audit/SEQUENCE`. The store's revision
 * of a record is that of the change.
 */
import { Problem } from '../problems.ts';
import type { Entry, Store } from '../store/store.ts';
import type { Principal } from './roles.ts';

const keyPrefix = 'audit/';
const digits = 15;

/** A member of a resource that was changed; without a value where it was left out. */
export type AuditedMember = { path: string; member: string; from?: unknown; to?: unknown };

/** What the caller knows. */
export type Deed = {
  by: Principal;
  /** `put`, `delete`, `apply`, `create-token` … */
  action: string;
  /** Path below `/v1/`. */
  target: string;
  /** Of an apply: what it was to put and delete, the first of them. */
  resources?: readonly string[] | undefined;
  /** Of an apply: how many there were. */
  count?: number | undefined;
  /** Members of resources whose change is told in full, the first of them. */
  members?: readonly AuditedMember[] | undefined;
  /** Tenant concerned. */
  tenant?: string | undefined;
  /** Id of the request, as answered in problems and written to the log. */
  request?: string | undefined;
  /** Address it came from. */
  from?: string | undefined;
};

export type AuditRecord = Deed & {
  /** Increasing; numbers may be missing where the disk refused a change. */
  sequence: number;
  /** Milliseconds since the epoch. */
  at: number;
  revision: number;
};

export type AuditPage = {
  /** Newest first. */
  records: AuditRecord[];
  /** Where the next page begins; undefined: there are no older records. */
  cursor: string | undefined;
};

export type AuditQuery = {
  limit: number;
  cursor?: string | undefined;
  /** Id of a token. */
  by?: string | undefined;
  tenant?: string | undefined;
};

export type AuditOptions = {
  /** Records kept at least; up to a tenth more for a while. */
  records?: number;
  now?: () => number;
  /** Told why old records could not be removed; that is tried again with later ones. */
  onError?: (error: unknown) => void;
};

/** Records a filtered query looks at before it answers with what it has found and a cursor. */
const lookedAt = 10_000;
const readAtOnce = 500;
const deletedAtOnce = 1_000;
/** How far from its place in the order of revisions a record is looked for: as many as are written at once. */
const neighbours = 64;

export class Audit {
  readonly #store: Store;
  readonly #records: number;
  readonly #now: () => number;
  readonly #onError: (error: unknown) => void;
  /** The oldest record is no older than this. */
  #first: number;
  #next: number;
  #trimming: Promise<void> | undefined;

  private constructor(store: Store, first: number, next: number, options: AuditOptions) {
    this.#store = store;
    this.#first = first;
    this.#next = next;
    this.#records = options.records ?? 100_000;
    this.#now = options.now ?? Date.now;
    this.#onError = options.onError ?? (() => {});
  }

  static async load(store: Store, options: AuditOptions = {}): Promise<Audit> {
    const oldest = await store.list(keyPrefix, { limit: 1 });
    const newest = await store.list(keyPrefix, { limit: 1, reverse: true });
    const next = sequenceOf(newest.entries[0], 0) + 1;
    return new Audit(store, sequenceOf(oldest.entries[0], next), next, options);
  }

  /** What the change's own commit must put beside the change. Each call is for one commit. */
  record(deed: Deed): [key: string, value: string] {
    const sequence = this.#next++;
    if (this.#next - this.#first > this.#records * 1.1) this.#trimming ??= this.#trim();
    return [keyOf(sequence), JSON.stringify({ at: this.#now(), ...deed })];
  }

  /** @throws Problem `cursor.invalid`. */
  async list({ limit, cursor, by, tenant }: AuditQuery): Promise<AuditPage> {
    const records: AuditRecord[] = [];
    const filtered = by !== undefined || tenant !== undefined;
    let after = cursor === undefined ? undefined : parseCursor(cursor);
    for (let looked = 0; looked < lookedAt; ) {
      // One more than asked for tells whether there is a next page.
      const wanted = filtered ? readAtOnce : limit + 1;
      const { entries } = await this.#store.list(keyPrefix, { limit: wanted, reverse: true, ...(after && { after }) });
      for (const entry of entries) {
        if (records.length === limit) return { records, cursor: formatCursor(after!) };
        after = entry.key;
        const record = decode(entry);
        if ((by === undefined || record.by.token === by) && (tenant === undefined || record.tenant === tenant)) {
          records.push(record);
        }
      }
      if (entries.length < wanted) return { records, cursor: undefined };
      looked += entries.length;
    }
    return { records, cursor: formatCursor(after!) };
  }

  /**
   * The record of the change with this revision; undefined where it is no longer kept. Records are written nearly in
   * the order of revisions, so it is found by halving, and among its neighbours.
   */
  async at(revision: number): Promise<AuditRecord | undefined> {
    let [low, high] = [this.#first, this.#next];
    while (high - low > neighbours) {
      const middle = (low + high) >>> 1;
      const [entry] = await this.#from(middle, 1);
      if (entry === undefined || entry.revision > revision) high = middle;
      else low = middle;
    }
    const near = await this.#from(Math.max(this.#first, low - neighbours), 3 * neighbours);
    const found = near.find((entry) => entry.revision === revision);
    return found && decode(found);
  }

  /** Records from a sequence number on. */
  async #from(sequence: number, limit: number): Promise<Entry[]> {
    const { entries } = await this.#store.list(keyPrefix, { limit, after: keyOf(sequence - 1) });
    return entries;
  }

  /** Resolves once old records that were to be removed are. */
  async settled(): Promise<void> {
    await this.#trimming;
  }

  async #trim(): Promise<void> {
    try {
      // Not in the turn of whoever records: that commit comes first.
      await Promise.resolve();
      for (;;) {
        const end = Math.min(this.#next - this.#records, this.#first + deletedAtOnce);
        if (end <= this.#first) break;
        const keys = Array.from({ length: end - this.#first }, (_, at) => keyOf(this.#first + at));
        await this.#store.commit({ delete: keys });
        this.#first = end;
      }
    } catch (error) {
      this.#onError(error);
    } finally {
      this.#trimming = undefined;
    }
  }
}

function keyOf(sequence: number): string {
  return keyPrefix + String(sequence).padStart(digits, '0');
}

function sequenceOf(entry: Entry | undefined, otherwise: number): number {
  return entry === undefined ? otherwise : Number(entry.key.slice(keyPrefix.length));
}

function decode(entry: Entry): AuditRecord {
  const recorded = JSON.parse(entry.value) as Deed & { at: number };
  return { ...recorded, sequence: sequenceOf(entry, 0), revision: entry.revision };
}

function formatCursor(key: string): string {
  return Buffer.from(key.slice(keyPrefix.length)).toString('base64url');
}

function parseCursor(cursor: string): string {
  const sequence = Buffer.from(cursor, 'base64url').toString('latin1');
  if (!/^\d{15}$/.test(sequence)) throw new Problem('cursor.invalid', `${JSON.stringify(cursor)} is not a cursor.`);
  return keyPrefix + sequence;
}
