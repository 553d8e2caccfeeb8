/** What was found, put together: what is wrong one by one, what is well in one line of each kind. */
import type { Check, CheckState } from '../../reconcile/upkeep.ts';

/** Lines of one kind that are shown one by one. */
const shown = 50;

const rank: Record<CheckState, number> = { fail: 0, warn: 1, ok: 2 };

export class Findings {
  readonly #bad = new Map<string, Check[]>();
  readonly #good = new Map<string, { object: string; found: string }[]>();

  ok(check: string, object: string, found: string): void {
    const list = this.#good.get(check) ?? [];
    list.push({ object, found });
    this.#good.set(check, list);
  }

  warn(check: string, object: string, found: string, advice: string): void {
    this.#add({ check, object, state: 'warn', found, advice });
  }

  fail(check: string, object: string, found: string, advice: string): void {
    this.#add({ check, object, state: 'fail', found, advice });
  }

  /** Worst first; within a state in the order of the names. */
  all(): Check[] {
    const checks: Check[] = [];
    for (const [check, list] of this.#bad) {
      list.sort(worstFirst);
      checks.push(...list.slice(0, shown));
      const more = list.length - shown;
      if (more <= 0) continue;
      const { state, advice } = list[shown]!;
      checks.push({ check, object: `${more} more`, state, found: 'as those above', advice });
    }
    for (const [check, list] of this.#good) {
      const object = list.length === 1 ? list[0]!.object : `${list.length} ${kindOf(list[0]!.object)}`;
      checks.push({ check, object, state: 'ok', found: together(list.map(({ found }) => found)), advice: '' });
    }
    return checks.sort(worstFirst);
  }

  #add(check: Check): void {
    const list = this.#bad.get(check.check) ?? [];
    list.push(check);
    this.#bad.set(check.check, list);
  }
}

function worstFirst(a: Check, b: Check): number {
  return rank[a.state] - rank[b.state] || compare(a.check, b.check) || compare(a.object, b.object);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** `hypervisors/hv1` -> `hypervisors`. */
function kindOf(path: string): string {
  return path.split('/').at(-2) ?? path;
}

/** What several objects have in common: `3.1.0 (12), 2.17.9 (3)`. */
function together(all: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const one of all) counts.set(one, (counts.get(one) ?? 0) + 1);
  if (counts.size === 1) return all[0]!;
  const listed = [...counts].sort(([, a], [, b]) => b - a).map(([text, count]) => `${text} (${count})`);
  const more = listed.length - 5;
  return listed.slice(0, 5).join(', ') + (more > 0 ? ` and ${more} others` : '');
}
