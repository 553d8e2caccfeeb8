/**
 * Reading a switch that gave no sign of drift is a safety net and must not get in the way: in the whole process one such
 * reading goes on at a time, and they take a fifth of the time at most.
 */
export class AuditPacer {
  #freeAt = 0;

  /** @returns whether the caller may read now; it then says `done` when it has, or has failed to. */
  begin(): boolean {
    if (performance.now() < this.#freeAt) return false;
    this.#freeAt = Number.POSITIVE_INFINITY;
    return true;
  }

  /** @param took milliseconds */
  done(took: number): void {
    this.#freeAt = performance.now() + 4 * took;
  }
}
