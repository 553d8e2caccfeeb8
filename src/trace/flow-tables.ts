/** The flows of one switch by table, and which of them a packet hits: OpenFlow 1.5.1 section 5.3, ovs-fields(7) on conj_id. */
import type { InstalledFlow } from '../drivers/switch-plugin.ts';
import { type FieldName, fieldBits } from '../pipeline/flow.ts';
import type { Packet } from './packet.ts';

type Test = { field: FieldName; value: bigint; mask: bigint };
type Clause = { id: number; clause: number; clauses: number };
type Entry = {
  flow: InstalledFlow;
  tests: Test[];
  clauses: Clause[] | undefined;
  /** A clause of higher priority has the same match: Open vSwitch does not see this flow once a conjunction is met. */
  behindClause: boolean;
};

export class FlowTables {
  readonly #tables = new Map<number, Entry[]>();
  /** Flows of tables that no packet has come to yet: most of them no trace ever looks at. */
  readonly #unsorted = new Map<number, InstalledFlow[]>();
  readonly size: number;

  constructor(flows: readonly InstalledFlow[]) {
    this.size = flows.length;
    for (const flow of flows) {
      const there = this.#unsorted.get(flow.table);
      if (there === undefined) this.#unsorted.set(flow.table, [flow]);
      else there.push(flow);
    }
  }

  /** The flow that takes the packet; undefined: a miss. */
  lookup(table: number, packet: Packet): InstalledFlow | undefined {
    const entries = this.#sorted(table);
    for (let at = 0; at < entries.length; ) {
      const { priority } = entries[at]!.flow;
      const clauses: Clause[] = [];
      for (; at < entries.length && entries[at]!.flow.priority === priority; at++) {
        const entry = entries[at]!;
        if (!matches(entry, packet)) continue;
        // A flow that is no part of a conjunction goes before those of its priority that are.
        if (entry.clauses === undefined) return entry.flow;
        clauses.push(...entry.clauses);
      }
      const id = satisfied(clauses);
      if (id === undefined) continue;
      const hit = this.#withConjunction(entries, packet, id);
      if (hit !== undefined) return hit;
    }
    return undefined;
  }

  #withConjunction(entries: readonly Entry[], packet: Packet, id: number): InstalledFlow | undefined {
    const conjoined = packet.copy();
    conjoined.set('conj_id', id);
    return entries.find((e) => e.clauses === undefined && !e.behindClause && matches(e, conjoined))?.flow;
  }

  #sorted(table: number): readonly Entry[] {
    const known = this.#tables.get(table);
    if (known !== undefined) return known;
    const entries = (this.#unsorted.get(table) ?? []).map(entryOf).sort((a, b) => b.flow.priority - a.flow.priority);
    if (entries.some((e) => e.clauses !== undefined)) hideBehindClauses(entries);
    this.#unsorted.delete(table);
    this.#tables.set(table, entries);
    return entries;
  }
}

function entryOf(flow: InstalledFlow): Entry {
  const clauses = flow.actions.flatMap((a) => (a.type === 'conjunction' ? [a] : []));
  return { flow, tests: testsOf(flow), clauses: clauses.length === 0 ? undefined : clauses, behindClause: false };
}

/** @param entries highest priority first */
function hideBehindClauses(entries: readonly Entry[]): void {
  const matched = new Set<string>();
  for (const entry of entries) {
    const match = entry.tests
      .map(({ field, value, mask }) => `${field}=${value & mask}/${mask}`)
      .sort()
      .join();
    if (entry.clauses !== undefined) matched.add(match);
    else entry.behindClause = matched.has(match);
  }
}

function testsOf({ match }: InstalledFlow): Test[] {
  return Object.entries(match).map(([name, value]) => {
    const field = name as FieldName;
    const exact = (1n << BigInt(fieldBits[field])) - 1n;
    if (typeof value === 'object') return { field, value: BigInt(value.value), mask: BigInt(value.mask) };
    return { field, value: BigInt(value), mask: exact };
  });
}

function matches({ tests }: Entry, packet: Packet): boolean {
  for (const { field, value, mask } of tests) {
    const present = packet.get(field);
    if (present === undefined || (present & mask) !== (value & mask)) return false;
  }
  return true;
}

/** The lowest id all of whose clauses are there. Open vSwitch says nothing of which it takes where several are. */
function satisfied(clauses: readonly Clause[]): number | undefined {
  const seen = new Map<number, Set<number>>();
  let found: number | undefined;
  for (const { id, clause, clauses: wanted } of clauses) {
    const there = seen.get(id) ?? new Set();
    seen.set(id, there.add(clause));
    if (there.size === wanted && (found === undefined || id < found)) found = id;
  }
  return found;
}
