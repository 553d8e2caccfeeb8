/** What those who look after a running controller can ask of it. */

/** A unit of flows that is not as it should be. */
export type UnitDifference = {
  unit: string;
  /** What it was compiled from. */
  subject: string | undefined;
  /** Whether compiling anew gives something else than was sent, or the southbound holds something else than was sent. */
  where: 'compiler' | 'southbound';
  what: string;
  /** Names of the hypervisors concerned. */
  hypervisors: string[];
};

export type Recomputation = {
  /** Revision of intent when it began. */
  revision: number;
  subjects: number;
  units: number;
  different: UnitDifference[];
  /** Subjects that kept changing while they were looked at: of these nothing is known. */
  unsettled: string[];
  /** What differs was compiled and sent anew. */
  mended: boolean;
  /** Milliseconds from beginning to end, and without giving way to others at most. */
  took: number;
  longestSlice: number;
};

export type CheckState = 'ok' | 'warn' | 'fail';

/** One thing that was looked at. */
export type Check = {
  /** Stable: `hypervisor.connected`, `tunnel`, `store.free` … */
  check: string;
  /** Path of the resource, or what it is about. */
  object: string;
  state: CheckState;
  found: string;
  /** What to do; empty where nothing is to be done. */
  advice: string;
};

export type Diagnosis = {
  /** Milliseconds since the epoch. */
  at: number;
  worst: CheckState;
  /** Worst first. */
  checks: Check[];
};

export interface Upkeep {
  /** Compiles everything anew beside the running system and says what differs. @param mend sends that anew as well */
  recompute(mend: boolean): Promise<Recomputation>;
  /** Looks at everything there is. @param quick Leaves out what reads switches back. */
  doctor(quick: boolean): Promise<Diagnosis>;
}
