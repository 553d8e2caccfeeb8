/** A transaction that would bring a hypervisor's database to what we want of it. */
import type { Operation } from '../ovsdb/operations.ts';

export type Plan = {
  /** For the log and for the comment in the hypervisor's own (ovsdb-tool show-log). */
  what: string;
  operations: Operation[];
  /** The transaction did not take effect, or nobody knows: it is to be planned anew. */
  failed(): void;
};

/** Milliseconds a disconnected hypervisor waits at most before it calls again (max_backoff). */
export const MAX_BACKOFF = 1000;

/** Milliseconds of silence before the hypervisor probes us (inactivity_probe). */
export const INACTIVITY_PROBE = 60_000;
