/**
 * How far each switch is: which passes were sent to it, which it has acknowledged, and who waits for that. Times and
 * contents don't matter here, only sequence numbers.
 */
import type { HypervisorNumber } from '../drivers/switch-plugin.ts';
import type { Path } from '../intent/model.ts';

export type SwitchProgress = {
  connected: boolean;
  /** Sequence of the last pass that touched the switch. */
  sent: number;
  acknowledged: number;
  /** Revision it had reached when the first pass it has not acknowledged yet was sent. */
  reached: number;
  /** Tunnels it should have and has not yet. */
  missingTunnels: number;
  /** Sequence of the last pass that brought it flows of a tunnel. */
  tunnelPass: number;
};

type PassRecord = { sequence: number; revision: number; on: HypervisorNumber[] };

/** A pass as the objects it touched remember it: one for all of them. */
export type Touch = { readonly sequence: number; readonly on: readonly HypervisorNumber[] };

type Waiter = { check(): boolean; resolve(done: boolean): void };

/** Passes remembered for `wait`; older ones count as acknowledged with everything after them. */
const remembered = 20_000;

export class Progress {
  readonly #switches = new Map<HypervisorNumber, SwitchProgress>();
  readonly #passes: PassRecord[] = [];
  readonly #touched = new Map<Path, Touch>();
  readonly #waiters = new Set<Waiter>();
  #sequence = 0;
  /** Newest revision the compiler has seen. */
  observed = 0;

  get sequence(): number {
    return this.#sequence;
  }

  add(hypervisor: HypervisorNumber): void {
    if (!this.#switches.has(hypervisor))
      this.#switches.set(hypervisor, {
        connected: false,
        sent: 0,
        acknowledged: 0,
        reached: 0,
        missingTunnels: 0,
        tunnelPass: 0,
      });
  }

  remove(hypervisor: HypervisorNumber): void {
    this.#switches.delete(hypervisor);
    this.#wake();
  }

  of(hypervisor: HypervisorNumber): SwitchProgress | undefined {
    return this.#switches.get(hypervisor);
  }

  all(): Iterable<[HypervisorNumber, SwitchProgress]> {
    return this.#switches;
  }

  /** Begins a pass: it includes every commit up to `revision` and goes to these switches. */
  begin(revision: number, on: HypervisorNumber[], touched: Iterable<Path>): number {
    const sequence = ++this.#sequence;
    for (const h of on) {
      const s = this.#switches.get(h);
      if (s === undefined) continue;
      if (caughtUp(s)) s.reached = this.observed;
      s.sent = sequence;
    }
    this.observed = Math.max(this.observed, revision);
    const touch: Touch = { sequence, on };
    for (const path of touched) this.#touched.set(path, touch);
    this.#passes.push({ sequence, revision, on });
    if (this.#passes.length > remembered) this.#passes.splice(0, remembered / 2);
    this.#settle();
    return sequence;
  }

  connected(hypervisor: HypervisorNumber, connected: boolean): void {
    const s = this.#switches.get(hypervisor);
    if (s === undefined) return;
    s.connected = connected;
    this.#settle();
  }

  acknowledged(hypervisor: HypervisorNumber, sequence: number): void {
    const s = this.#switches.get(hypervisor);
    if (s === undefined || sequence < s.acknowledged) return;
    s.acknowledged = sequence;
    this.#settle();
  }

  tunnelsMissing(hypervisor: HypervisorNumber, count: number): void {
    const s = this.#switches.get(hypervisor);
    if (s === undefined || s.missingTunnels === count) return;
    s.missingTunnels = count;
    this.#settle();
  }

  /** Switches that have not acknowledged the last pass that touched the object. */
  outstanding(path: Path): HypervisorNumber[] {
    const touch = this.awaited(path);
    return touch === undefined ? [] : touch.on.filter((h) => this.#isBehind(h, touch));
  }

  /** The last pass that touched the object, while some switch has not acknowledged it. */
  awaited(path: Path): Touch | undefined {
    const touch = this.#touched.get(path);
    if (touch === undefined || this.isOpen(touch)) return touch;
    this.#touched.delete(path);
    return undefined;
  }

  /** Whether a switch has not acknowledged the pass. @param connected only those that are connected count */
  isOpen(touch: Touch, connected = false): boolean {
    return touch.on.some((h) => this.#isBehind(h, touch) && (!connected || this.#switches.get(h)?.connected === true));
  }

  #isBehind(hypervisor: HypervisorNumber, { sequence }: Touch): boolean {
    const s = this.#switches.get(hypervisor);
    return s !== undefined && s.acknowledged < sequence;
  }

  /** Revision everything up to which the switch has acknowledged in this run; 0 before its first. */
  revisionOf(hypervisor: HypervisorNumber): number {
    const s = this.#switches.get(hypervisor);
    return s === undefined ? 0 : caughtUp(s) ? this.observed : s.reached;
  }

  /** Every switch, away or not, holds nothing from before this revision. */
  passed(revision: number): boolean {
    for (const h of this.#switches.keys()) if (this.revisionOf(h) < revision) return false;
    return true;
  }

  /** The pass brings the switch flows of tunnels: what needs a tunnel is programmed with it. */
  tunnelsSent(hypervisor: HypervisorNumber, sequence: number): void {
    const s = this.#switches.get(hypervisor);
    if (s !== undefined) s.tunnelPass = sequence;
  }

  wait(revision: number, mode: 'programmed' | 'all', timeout: number): Promise<boolean> {
    const check = () => this.observed >= revision && this.#isProgrammed(revision, mode);
    if (check()) return Promise.resolve(true);
    return new Promise((done) => {
      const waiter: Waiter = {
        check,
        resolve: (result) => {
          clearTimeout(timer);
          this.#waiters.delete(waiter);
          done(result);
        },
      };
      const timer = setTimeout(() => waiter.resolve(false), timeout);
      this.#waiters.add(waiter);
    });
  }

  /** Called when something may have got further. */
  onProgress: (() => void) | undefined;

  #isProgrammed(revision: number, mode: 'programmed' | 'all'): boolean {
    const at = this.#firstPassOf(revision);
    if (at === undefined) return true;
    for (const h of at.on) {
      const s = this.#switches.get(h);
      if (s === undefined || (!s.connected && mode === 'programmed')) continue;
      if (!s.connected || s.acknowledged < at.sequence) return false;
      // A frame for a peer goes nowhere before the tunnel is there.
      if (s.missingTunnels > 0 || s.acknowledged < s.tunnelPass) return false;
    }
    return true;
  }

  /** The pass that took the revision to the switches: the first that includes it. Binary search, revisions only rise. */
  #firstPassOf(revision: number): PassRecord | undefined {
    let low = 0;
    let high = this.#passes.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#passes[middle]!.revision < revision) low = middle + 1;
      else high = middle;
    }
    return this.#passes[low];
  }

  #settle(): void {
    this.#wake();
    this.onProgress?.();
  }

  #wake(): void {
    for (const w of [...this.#waiters]) if (w.check()) w.resolve(true);
  }
}

/** A switch that was sent nothing yet has not caught up: what it holds is unknown. */
function caughtUp(s: SwitchProgress): boolean {
  return s.sent > 0 && s.acknowledged >= s.sent;
}
