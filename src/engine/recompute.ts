/**
 * Full recompute beside the living system: subject by subject, a few milliseconds at a time. A subject is compared while
 * the engine is quiet, since only then what was emitted is what the state should give; one found to differ while commits
 * are on their way is looked at again after them. Then what the southbound holds is held against what it was given.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Difference } from '../compile/compiler.ts';
import type { Subject } from '../compile/state.ts';
import type { HypervisorNumber, SwitchPlugin } from '../drivers/switch-plugin.ts';
import type { Progress } from '../reconcile/progress.ts';
import type { Recomputation } from '../reconcile/upkeep.ts';
import type { Engine } from './engine.ts';

/** Milliseconds of work before others have their turn. */
const sliceTime = 5;

/** Times something that changes under our eyes is looked at. */
const attempts = 10;

/** Milliseconds the engine has to come to rest, each time. */
const patience = 2_000;

export type RecomputeOptions = {
  engine: Engine;
  progress: Progress;
  plugin: Pick<SwitchPlugin, 'held'>;
};

export async function recompute(options: RecomputeOptions, mend: boolean): Promise<Recomputation> {
  return await new Recompute(options, mend).run();
}

class Recompute {
  readonly #engine: Engine;
  readonly #plugin: Pick<SwitchPlugin, 'held'>;
  readonly #mend: boolean;
  readonly #found: Recomputation;
  readonly #begun = performance.now();
  #slice = performance.now();
  /** Something was marked to be compiled, and the engine does not know yet. */
  #marked = false;

  constructor({ engine, progress, plugin }: RecomputeOptions, mend: boolean) {
    this.#engine = engine;
    this.#plugin = plugin;
    this.#mend = mend;
    this.#found = {
      revision: progress.observed,
      subjects: 0,
      units: 0,
      different: [],
      unsettled: [],
      mended: false,
      took: 0,
      longestSlice: 0,
    };
  }

  async run(): Promise<Recomputation> {
    const found = this.#found;
    await this.#compareSubjects();
    if (this.#plugin.held !== undefined)
      for (const { number } of [...this.#engine.fleet.all()]) await this.#compareHeld(number);
    if (this.#mend) {
      this.#engine.compiler.recomputes++;
      await this.#rest();
      found.mended = found.different.length > 0;
    }
    this.#endSlice();
    found.took = performance.now() - this.#begun;
    return found;
  }

  async #compareSubjects(): Promise<void> {
    const { compiler } = this.#engine;
    let suspects: Subject[] = [];
    for (const subject of compiler.everySubject()) {
      if (this.#isOver()) await this.#giveWay();
      if (subject === undefined) continue;
      this.#found.subjects++;
      const { units, different } = compiler.compare(subject);
      this.#found.units += units;
      if (different.length === 0) continue;
      if (this.#engine.quiet) this.#tell(subject, different);
      else suspects.push(subject);
    }
    for (let attempt = 0; suspects.length > 0 && attempt < attempts; attempt++) {
      await this.#rest();
      const again: Subject[] = [];
      for (const subject of suspects) {
        const { different } = compiler.compare(subject);
        if (different.length > 0) {
          if (this.#engine.quiet) this.#tell(subject, different);
          else again.push(subject);
        }
        if (this.#isOver()) await this.#giveWay();
      }
      suspects = again;
    }
    this.#found.unsettled.push(...suspects);
  }

  #tell(subject: Subject, different: readonly Difference[]): void {
    for (const { unit, what, on } of different)
      this.#found.different.push({ unit, subject, where: 'compiler', what, hypervisors: on.map((h) => this.#name(h)) });
    if (!this.#mend) return;
    this.#engine.compiler.mark(subject);
    this.#marked = true;
  }

  /** What the southbound holds of a switch. Units that change in the meantime are sent anew by that, and left out. */
  async #compareHeld(hypervisor: HypervisorNumber): Promise<void> {
    const { compiler } = this.#engine;
    const watch = compiler.watch();
    try {
      const given = compiler.unitsOn(hypervisor);
      this.#endSlice();
      const { units, hashes } = await this.#plugin.held!(hypervisor);
      this.#slice = performance.now();
      const not = new Set<string>();
      const held: string[] = [];
      for (const unit of units) {
        if (!compiler.gave(unit, hypervisor, hashes[held.length]!) && !watch.changed.has(unit)) not.add(unit);
        held.push(unit);
        if (this.#isOver()) await this.#giveWay();
      }
      if (not.size === 0 && held.length === given) return;
      // Only now it is worth walking through all units there are.
      const wrong: Wrong = { lacks: [], other: [], has: [] };
      const there = new Set(held);
      for (const unit of compiler.unitsGiven(hypervisor)) {
        if (this.#isOver()) await this.#giveWay();
        if (unit === undefined) continue;
        if (!there.has(unit)) wrong.lacks.push(unit);
        else if (not.delete(unit)) wrong.other.push(unit);
      }
      wrong.has = [...not];
      // Given up in the meantime: there is nobody to hold anything.
      if (this.#engine.fleet.get(hypervisor) === undefined) return;
      const settled = (list: string[]) => list.filter((unit) => !watch.changed.has(unit));
      await this.#tellHeld(hypervisor, {
        lacks: settled(wrong.lacks),
        other: settled(wrong.other),
        has: settled(wrong.has),
      });
    } finally {
      watch.end();
    }
  }

  async #tellHeld(hypervisor: HypervisorNumber, { lacks, other, has }: Wrong): Promise<void> {
    const tell = (units: readonly string[], what: string) => {
      for (const unit of units) {
        const hypervisors = [this.#name(hypervisor)];
        this.#found.different.push({ unit, subject: undefined, where: 'southbound', what, hypervisors });
      }
    };
    tell(lacks, 'is missing there');
    tell(other, 'other flows there');
    tell(has, 'should not be there');
    if (!this.#mend || lacks.length + other.length + has.length === 0) return;
    this.#marked = true;
    for (const _step of this.#engine.compiler.correct(hypervisor, { lacks: [...lacks, ...other], has })) {
      if (!this.#isOver()) continue;
      await this.#giveWay();
      this.#marked = true;
    }
  }

  #name(hypervisor: HypervisorNumber): string {
    return this.#engine.fleet.name(hypervisor);
  }

  /** Until the engine is quiet, or for as long as we are patient: it may be held up by a disk that refuses. */
  async #rest(): Promise<void> {
    this.#endSlice();
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, patience);
    });
    await Promise.race([this.#engine.idle(), late]);
    clearTimeout(timer);
    this.#slice = performance.now();
  }

  #isOver(): boolean {
    return performance.now() - this.#slice > sliceTime;
  }

  async #giveWay(): Promise<void> {
    this.#endSlice();
    await nextTurn();
    this.#slice = performance.now();
  }

  #endSlice(): void {
    if (this.#marked) {
      // Not sooner: the engine would no longer be quiet for the rest of the slice.
      this.#marked = false;
      this.#engine.push({ type: 'settle' });
    }
    this.#found.longestSlice = Math.max(this.#found.longestSlice, performance.now() - this.#slice);
  }
}

type Wrong = {
  lacks: string[];
  /** Of those it should have: with other flows. */
  other: string[];
  /** Should not be there. */
  has: string[];
};
