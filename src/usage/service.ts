/** What the rest of the house asks of this room. */
import type { Path } from '../intent/model.ts';
import type { Metric } from '../reconcile/contract.ts';
import type { Metered } from './ledger.ts';
import type { Traffic } from './reading.ts';

/** Times are milliseconds since the epoch. */
export type Usage = {
  /** What came to the VM, or to the public address. */
  received: Traffic;
  sent: Traffic;
  /** When it was ordered; nothing before is counted. */
  since: number;
  /** When the figures last changed. */
  at: number;
  /** Every switch concerned could be asked just now. */
  complete: boolean;
};

/** One of a list, as it was last written. */
export type UsageItem = Omit<Usage, 'complete'> & {
  kind: Metered;
  path: Path;
  uid: string;
  /** When it was deleted: the figures are final. */
  until?: number;
};

export type UsageQuery = {
  limit: number;
  cursor?: string | undefined;
  /** Only what has changed, or was deleted, at this time or later. */
  since?: number | undefined;
  /** Path of the tenant. */
  tenant?: Path | undefined;
  /** Without what is the operator's own in it. */
  asTenant?: boolean | undefined;
};

export type UsagePage = {
  /** What there is, by path; then what was deleted, in that order. */
  items: UsageItem[];
  next: string | undefined;
  /** To be given as `since` for what changes after this list; the same on all its pages. */
  until: number;
};

export interface UsageService {
  /** Read from the switches concerned now. Undefined: there is no such port or public address. */
  of(path: Path): Promise<Usage | undefined>;
  /** @throws Problem cursor.invalid, store.unavailable */
  list(query: UsageQuery): Promise<UsagePage>;
  metrics(): Metric[];
  /** Writes what is known. */
  stop(): Promise<void>;
}
