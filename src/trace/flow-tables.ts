/** The flows of one switch by table, and which of them a packet hits: OpenFlow 1.5.1 section 5.3, ovs-fields(7) on conj_id. */
import type { InstalledFlow } from '../drivers/switch-plugin.ts';
import { type FieldName, fieldBits, type Match, type MatchValue } from '../pipeline/flow.ts';
import type { Packet } from './packet.ts';

type Clause = { id: number; clause: number; clauses: number };

export class FlowTables {
  readonly #tables = new Map<number, InstalledFlow[]>();
  /** Tables whose flows are in the order of their priorities: most of them no packet ever comes to. */
  readonly #sorted = new Set<number>();
  readonly size: number;
  /** Whether any flow depends on which ports are live. */
  readonly asksWhatIsLive: boolean;

  constructor(flows: readonly InstalledFlow[]) {
    this.size = flows.length;
    this.asksWhatIsLive = flows.some(({ actions }) =>
      actions.some(({ type }) => type === 'bundle' || type === 'bundleLoad'),
    );
    for (const flow of flows) {
      const there = this.#tables.get(flow.table);
      if (there === undefined) this.#tables.set(flow.table, [flow]);
      else there.push(flow);
    }
  }

  /** The flow that takes the packet; undefined: a miss. */
  lookup(table: number, packet: Packet): InstalledFlow | undefined {
    const flows = this.#inOrder(table);
    const header = new Header(packet);
    for (let at = 0; at < flows.length; ) {
      const { priority } = flows[at]!;
      const clauses: Clause[] = [];
      for (; at < flows.length && flows[at]!.priority === priority; at++) {
        const flow = flows[at]!;
        if (!header.fits(flow.match)) continue;
        const own = clausesOf(flow);
        // A flow that is no part of a conjunction goes before those of its priority that are.
        if (own.length === 0) return flow;
        clauses.push(...own);
      }
      const id = satisfied(clauses);
      if (id === undefined) continue;
      const hit = withConjunction(flows, packet, id);
      if (hit !== undefined) return hit;
    }
    return undefined;
  }

  #inOrder(table: number): readonly InstalledFlow[] {
    const flows = this.#tables.get(table);
    if (flows === undefined) return [];
    if (!this.#sorted.has(table)) {
      flows.sort((a, b) => b.priority - a.priority);
      this.#sorted.add(table);
    }
    return flows;
  }
}

/** @param flows highest priority first */
function withConjunction(flows: readonly InstalledFlow[], packet: Packet, id: number): InstalledFlow | undefined {
  const conjoined = packet.copy();
  conjoined.set('conj_id', id);
  const header = new Header(conjoined);
  const hidden = new Set<string>();
  for (const flow of flows) {
    if (!header.fits(flow.match)) continue;
    // Behind a clause with the same match Open vSwitch does not see a flow, once a conjunction is met.
    const key = matchKey(flow.match);
    if (clausesOf(flow).length > 0) hidden.add(key);
    else if (!hidden.has(key)) return flow;
  }
  return undefined;
}

function clausesOf({ actions }: InstalledFlow): Clause[] {
  return actions.flatMap((a) => (a.type === 'conjunction' ? [a] : []));
}

function matchKey(match: Match): string {
  return Object.entries(match)
    .map(([name, value]) => {
      const [bits, mask] = masked(name as FieldName, value);
      return `${name}=${bits & mask}/${mask}`;
    })
    .sort()
    .join();
}

function masked(field: FieldName, value: MatchValue): [value: bigint, mask: bigint] {
  if (typeof value === 'object') return [BigInt(value.value), BigInt(value.mask)];
  return [BigInt(value), (1n << BigInt(fieldBits[field])) - 1n];
}

/**
 * A packet's fields while one table is searched: as plain numbers where they fit, because a table may have tens of
 * thousands of flows and nearly all of them are told apart by such.
 */
class Header {
  readonly #packet: Packet;
  readonly #numbers: Partial<Record<FieldName, number>> = {};

  constructor(packet: Packet) {
    this.#packet = packet;
  }

  fits(match: Match): boolean {
    for (const name in match) {
      const field = name as FieldName;
      if (!this.#meets(field, match[field]!)) return false;
    }
    return true;
  }

  #meets(field: FieldName, wanted: MatchValue): boolean {
    if (typeof wanted === 'number') return this.#number(field) === wanted;
    if (typeof wanted === 'object' && fieldBits[field] <= 32) {
      const mask = Number(wanted.mask);
      const present = this.#number(field);
      return present >= 0 && ((present ^ Number(wanted.value)) & mask) === 0;
    }
    const present = this.#packet.get(field);
    if (present === undefined) return false;
    const [value, mask] = masked(field, wanted);
    return (present & mask) === (value & mask);
  }

  /** -1: the packet has no such field. Exact up to 48 bits, and no wider field is matched by a number. */
  #number(field: FieldName): number {
    const known = this.#numbers[field];
    if (known !== undefined) return known;
    const value = this.#packet.get(field);
    const number = value === undefined ? -1 : Number(value);
    this.#numbers[field] = number;
    return number;
  }
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
