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

/** What switches have yet to confirm of an object; one for all objects of a pass that nothing else is awaited for. */
export type Touch = {
  readonly sequence: number;
  readonly on: readonly HypervisorNumber[];
  /** Earlier passes that touched it, for switches that had not confirmed them and that this one does not go to. */
  readonly earlier: ReadonlyMap<HypervisorNumber, number> | undefined;
};

type PassRecord = {
  revision: number;
  touch: Touch;
  /** Switches that lack a patch for what was ordered: they get their flows once they have it. */
  lacking: readonly HypervisorNumber[];
};

type Waiter = { check(): boolean; resolve(done: boolean): void };

/** Passes remembered for `wait` at most; older ones count as acknowledged. */
const remembered = 20_000;

/** How many things are gathered, of those that may be over, before they are looked through the first time. */
const fewEnough = 1_000;

export class Progress {
  readonly #switches = new Map<HypervisorNumber, SwitchProgress>();
  readonly #passes: PassRecord[] = [];
  readonly #touched = new Map<Path, Touch>();
  /** Sizes at which passes and touched objects are looked through for what is over: what stays costs twice at most. */
  #manyPasses = fewEnough;
  #manyTouched = fewEnough;
  readonly #waiters = new Set<Waiter>();
  /** Passes up to this revision count as acknowledged, and are not remembered. */
  #forgotten = 0;
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
    this.#settle(hypervisor);
  }

  of(hypervisor: HypervisorNumber): SwitchProgress | undefined {
    return this.#switches.get(hypervisor);
  }

  all(): Iterable<[HypervisorNumber, SwitchProgress]> {
    return this.#switches;
  }

  /**
   * Begins a pass: it includes every commit up to `revision` and goes to these switches.
   * @param lacking switches that get the rest once they have what `tunnelsMissing` has been told of
   */
  begin(
    revision: number,
    on: HypervisorNumber[],
    touched: Iterable<Path>,
    lacking: readonly HypervisorNumber[] = [],
  ): number {
    const sequence = ++this.#sequence;
    for (const h of on) {
      const s = this.#switches.get(h);
      if (s === undefined) continue;
      if (caughtUp(s)) s.reached = this.observed;
      s.sent = sequence;
    }
    this.observed = Math.max(this.observed, revision);
    const touch = this.#touch(touched, { sequence, on, earlier: undefined });
    this.#passes.push({ revision, touch, lacking });
    if (this.#passes.length >= this.#manyPasses) this.#forgetPasses();
    if (this.#touched.size >= this.#manyTouched) this.#forgetTouched();
    this.#settle(undefined);
    return sequence;
  }

  /** Notes the pass for each object. @returns what is awaited of all of them */
  #touch(paths: Iterable<Path>, pass: Touch): Touch {
    const merged = new Map<Touch | undefined, Touch>([[undefined, pass]]);
    const all = new Map<HypervisorNumber, number>();
    for (const path of paths) {
      const before = this.#touched.get(path);
      let touch = merged.get(before);
      if (touch === undefined) {
        touch = this.#after(before!, pass);
        merged.set(before, touch);
        for (const [h, sequence] of touch.earlier ?? []) all.set(h, Math.max(sequence, all.get(h) ?? 0));
      }
      this.#touched.set(path, touch);
    }
    return all.size === 0 ? pass : { ...pass, earlier: all };
  }

  /** The pass, for what an earlier one has touched too: a switch may not have confirmed that, and not be sent this. */
  #after(before: Touch, pass: Touch): Touch {
    const earlier = new Map<HypervisorNumber, number>();
    for (const [h, sequence] of steps(before))
      if (this.#isBehind(h, sequence) && !pass.on.includes(h)) earlier.set(h, sequence);
    return earlier.size === 0 ? pass : { ...pass, earlier };
  }

  #forgetPasses(): void {
    const open = this.#passes.findIndex(({ touch }) => this.isOpen(touch));
    const over = Math.max(open < 0 ? this.#passes.length : open, this.#passes.length - remembered / 2);
    this.#forgotten = this.#passes[over - 1]?.revision ?? this.#forgotten;
    this.#passes.splice(0, over);
    this.#manyPasses = Math.min(Math.max(fewEnough, 2 * this.#passes.length), remembered);
  }

  #forgetTouched(): void {
    for (const [path, touch] of this.#touched) if (!this.isOpen(touch)) this.#touched.delete(path);
    this.#manyTouched = Math.max(fewEnough, 2 * this.#touched.size);
  }

  /** Objects of which something is, or was not long ago, awaited. */
  get remembered(): number {
    return this.#touched.size;
  }

  connected(hypervisor: HypervisorNumber, connected: boolean): void {
    const s = this.#switches.get(hypervisor);
    if (s === undefined) return;
    s.connected = connected;
    this.#settle(hypervisor);
  }

  acknowledged(hypervisor: HypervisorNumber, sequence: number): void {
    const s = this.#switches.get(hypervisor);
    if (s === undefined || sequence < s.acknowledged) return;
    s.acknowledged = sequence;
    this.#settle(hypervisor);
  }

  tunnelsMissing(hypervisor: HypervisorNumber, count: number): void {
    const s = this.#switches.get(hypervisor);
    if (s === undefined || s.missingTunnels === count) return;
    s.missingTunnels = count;
    this.#settle(hypervisor);
  }

  /** Switches that have not acknowledged every pass that touched the object. */
  outstanding(path: Path): HypervisorNumber[] {
    const touch = this.awaited(path);
    if (touch === undefined) return [];
    return [...steps(touch)].filter(([h, sequence]) => this.#isBehind(h, sequence)).map(([h]) => h);
  }

  /** The passes that touched the object, while some switch has not acknowledged one of them. */
  awaited(path: Path): Touch | undefined {
    const touch = this.#touched.get(path);
    if (touch === undefined || this.isOpen(touch)) return touch;
    this.#touched.delete(path);
    return undefined;
  }

  isOpen(touch: Touch): boolean {
    return this.awaitedBy(touch) !== undefined;
  }

  /** One of the switches that have not acknowledged it. @param connected only those that are connected count */
  awaitedBy(touch: Touch, connected = false): HypervisorNumber | undefined {
    for (const [h, sequence] of steps(touch))
      if (this.#isBehind(h, sequence) && (!connected || this.#switches.get(h)?.connected === true)) return h;
    return undefined;
  }

  #isBehind(hypervisor: HypervisorNumber, sequence: number): boolean {
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

  /** Called when a switch may have got further, or gone; undefined: there is something to get further with. */
  onProgress: ((hypervisor: HypervisorNumber | undefined) => void) | undefined;

  #isProgrammed(revision: number, mode: 'programmed' | 'all'): boolean {
    const pass = this.#firstPassOf(revision);
    if (pass === undefined) return true;
    for (const [h, sequence] of steps(pass.touch)) {
      const s = this.#switches.get(h);
      if (s === undefined || (!s.connected && mode === 'programmed')) continue;
      if (!s.connected || s.acknowledged < sequence) return false;
      // A frame for a peer goes nowhere before the tunnel is there.
      if (s.missingTunnels > 0 || s.acknowledged < s.tunnelPass) return false;
    }
    for (const h of pass.lacking) {
      const s = this.#switches.get(h);
      if (s === undefined || (!s.connected && mode === 'programmed')) continue;
      if (!s.connected || s.missingTunnels > 0 || s.acknowledged < s.tunnelPass) return false;
    }
    return true;
  }

  /** The pass that took the revision to the switches: the first that includes it. Binary search, revisions only rise. */
  #firstPassOf(revision: number): PassRecord | undefined {
    if (revision <= this.#forgotten) return undefined;
    let low = 0;
    let high = this.#passes.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#passes[middle]!.revision < revision) low = middle + 1;
      else high = middle;
    }
    return this.#passes[low];
  }

  #settle(hypervisor: HypervisorNumber | undefined): void {
    for (const w of [...this.#waiters]) if (w.check()) w.resolve(true);
    this.onProgress?.(hypervisor);
  }
}

/** Each switch, and the pass it is to acknowledge. */
function* steps({ sequence, on, earlier }: Touch): Iterable<[HypervisorNumber, number]> {
  for (const h of on) yield [h, sequence];
  if (earlier !== undefined) yield* earlier;
}

/** A switch that was sent nothing yet has not caught up: what it holds is unknown. */
function caughtUp(s: SwitchProgress): boolean {
  return s.sent > 0 && s.acknowledged >= s.sent;
}
