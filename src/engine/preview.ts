/** What a change of intent would do to the flows of each switch, worked out without programming anything. */
import type { Compiler } from '../compile/compiler.ts';
import type { Subject, Unit } from '../compile/state.ts';
import type { HypervisorNumber } from '../drivers/switch-plugin.ts';
import type { ResourceChange } from '../intent/model.ts';
import type { Flow } from '../pipeline/flow.ts';

export type FlowCounts = { added: number; changed: number; removed: number };

export type Preview = {
  /** Called while the changes are staged in the view the compiler reads. */
  staged(changes: readonly ResourceChange[]): void;
  /** Called once they are undone again. */
  result(): Map<HypervisorNumber, FlowCounts>;
};

export function startPreview(
  compiler: Compiler,
  keyOf: (flow: Flow) => string,
  bodyOf: (flow: Flow) => string,
): Preview {
  let subjects = new Set<Subject>();
  let after: Map<HypervisorNumber, Map<string, string>> = new Map();

  /** Per switch: match of each flow -> what it does. */
  function flowsBySwitch(units: Unit[]): Map<HypervisorNumber, Map<string, string>> {
    const result = new Map<HypervisorNumber, Map<string, string>>();
    for (const unit of units) {
      const flows = unit.flows.map((f) => [keyOf(f), bodyOf(f)] as const);
      for (const h of unit.on) {
        const there = result.get(h) ?? new Map<string, string>();
        for (const [key, body] of flows) there.set(key, body);
        result.set(h, there);
      }
    }
    return result;
  }

  return {
    staged(changes) {
      subjects = compiler.subjectsOf(changes);
      after = flowsBySwitch(compiler.compileAll(subjects));
    },
    result() {
      const before = flowsBySwitch(compiler.compileAll(subjects));
      const counts = new Map<HypervisorNumber, FlowCounts>();
      for (const h of new Set([...before.keys(), ...after.keys()])) {
        const [old, now] = [before.get(h) ?? new Map<string, string>(), after.get(h) ?? new Map<string, string>()];
        const c: FlowCounts = { added: 0, changed: 0, removed: 0 };
        for (const [key, body] of now) {
          if (!old.has(key)) c.added++;
          else if (old.get(key) !== body) c.changed++;
        }
        for (const key of old.keys()) if (!now.has(key)) c.removed++;
        if (c.added + c.changed + c.removed > 0) counts.set(h, c);
      }
      return counts;
    },
  };
}
