/** What a check by meaning can say, and when it is asked. One file per concern; checks/index.ts names them all. */
import type { ProblemCode } from '../../problems.ts';
import type { Log } from '../log.ts';
import type { Path, Resource } from '../model.ts';
import type { Kind } from '../resources/index.ts';
import type { SpecOfKind } from '../spec.ts';
import type { State } from '../state.ts';

/** Tells an error. `field` is a JSON pointer into the spec. */
export type Report = (field: string, code: ProblemCode, message: string) => void;

/** A resource while its transaction is staged: nobody else sees it yet, so that what was left out can be filled in. */
export type Draft<K extends Kind = Kind> = K extends Kind
  ? {
      readonly kind: K;
      readonly path: Path;
      readonly name: string;
      readonly parent: Path;
      number: number;
      spec: SpecOfKind<K>;
    }
  : never;

/**
 * Numbers on their way from one holder to the next: freed, not given out again, perhaps still on switches. Pools are
 * named by vlanPool and publicPool (store/ids.ts).
 */
export type Resting = {
  isFreed(pool: string, id: number): boolean;
  /** How many were freed and not given out again. */
  freedIn(pool: string): number;
  /** @returns false: a switch that had it has yet to confirm that it is gone, and it was another's than `by` */
  claim(pool: string, id: number, by?: number): boolean;
  /** The least recently freed one that fits, where every switch has confirmed it. */
  claimFreed(pool: string, fits: (id: number) => boolean): number | undefined;
  /** @param by who had it, and may have it back at once */
  free(pool: string, id: number, by?: number): void;
};

export type Staging = {
  /** As it will be when everything in the transaction is done, once `claim` has run for all. */
  readonly state: State;
  readonly log: Log;
  /** Whether the transaction writes the path, or failed to: errors that only follow from that are not told. */
  readonly writes: (path: Path) => boolean;
  readonly isBroken: (path: Path) => boolean;
  /** Bytes of an IP packet that the underlay and the encapsulation leave room for; undefined while the store is read. */
  readonly largestMtu: number | undefined;
  /** The store is being read: what is in it was judged when it was written. */
  readonly isLoading: boolean;
  /** Whether the caller sees what tenants do not. */
  readonly restrictedAllowed: boolean;
  /** VLANs and public addresses that were freed; undefined while the store is read. */
  readonly resting: Resting | undefined;
  /** The next resource number. */
  readonly nextNumber: () => number;
};

/** Concern by concern, `judge` for all resources of a transaction, then `release` for all, and so on. */
export type Concern<K extends Kind> = {
  /** Brings the spec into its one canonical form, and fills in what follows from the spec and the name alone. */
  normalise?(spec: SpecOfKind<K>, name: string): void;
  /** Judges the spec alone. */
  judge?(spec: Readonly<SpecOfKind<K>>, report: Report): void;
  /** Gives back what the resource held and does not ask for any more; `after` undefined: it is deleted. */
  release?(staging: Staging, before: Resource<K>, after: SpecOfKind<K> | undefined): void;
  /** Takes what the spec asks for and the resource did not hold before, or tells who has it. */
  claim?(staging: Staging, draft: Draft<K>, before: Resource<K> | undefined, report: Report): void;
  /** Chooses what was left out, among what nobody asked for. */
  fill?(staging: Staging, draft: Draft<K>, report: Report): void;
  /** Judges the resource among the others. */
  conclude?(staging: Staging, draft: Draft<K>, before: Resource<K> | undefined, report: Report): void;
  /** Judges a deletion among the others: tells, as messages, the paths of those that still need it. */
  gone?(staging: Staging, before: Resource<K>, report: Report): void;
};
