/**
 * One switch's tables, run over one packet: what ofproto/trace does (xlate_actions() of Open vSwitch is the measure of
 * every case here), over flows that were read from the switch. Conntrack is asked of `Connections`.
 */
import type { InstalledFlow } from '../drivers/switch-plugin.ts';
import { type Action, bundleNone, ctState, reservedPort, type Scalar, type Subfield } from '../pipeline/flow.ts';
import type { Connections, Tuple } from './connections.ts';
import { tupleOf } from './connections.ts';
import type { FlowTables } from './flow-tables.ts';
import type { Packet } from './packet.ts';

/** How a table was come to. */
export type Way = 'start' | 'goto' | 'resubmit' | 'recirculate';

export type Lookup = {
  kind: 'lookup';
  table: number;
  /** Undefined: a miss, which is a drop. */
  flow: InstalledFlow | undefined;
  way: Way;
  /** Resubmits around it: a subroutine's miss or end is not the packet's. */
  depth: number;
  /** The packet as it came to the table. */
  packet: Packet;
};

export type TraceEvent =
  | Lookup
  | { kind: 'output'; port: number; packet: Packet }
  /** OpenFlow sends nothing back out of the port it came in by. */
  | { kind: 'skipped-output'; port: number }
  /** @property id of the switch's client it is for; 0: the controllers */
  | { kind: 'controller'; userdata: Uint8Array; id: number; packet: Packet }
  | { kind: 'track'; zone: number; state: number }
  | { kind: 'commit'; zone: number; tuple: Tuple; translated?: Tuple; mark: bigint; label: bigint }
  /** Addresses or ports were changed by connection tracking. */
  | { kind: 'nat'; zone: number; from: Tuple; to: Tuple }
  /** The first live one of some ports was looked for; undefined: none is. */
  | { kind: 'liveness'; members: readonly number[]; chosen: number | undefined; output: boolean }
  | { kind: 'meter'; meter: number }
  /** Buckets of groups are not among the flows: what becomes of the packet there is not known. */
  | { kind: 'group'; group: number }
  | { kind: 'ttl-expired' }
  /** More tables than Open vSwitch goes through. */
  | { kind: 'too-deep' };

/** MAX_DEPTH and MAX_RESUBMITS of ofproto-dpif-xlate.c. */
const deepest = 64;
const mostResubmits = 4096;

type Cursor = { packet: Packet; stack: bigint[]; depth: number };

type Recirculation = { packet: Packet; stack: bigint[]; table: number };

/** Whether an OpenFlow port is live in the switch's own eyes: it is there, has a carrier, and BFD, where it runs, is up. */
export type Live = (ofport: number) => boolean;

/** @param packet changed while it passes; its in_port says where it came in */
export function interpret(
  tables: FlowTables,
  packet: Packet,
  connections: Connections,
  live: Live = () => true,
): TraceEvent[] {
  return new Run(tables, connections, live).through(packet);
}

class Run {
  readonly #tables: FlowTables;
  readonly #connections: Connections;
  readonly #live: Live;
  readonly #events: TraceEvent[] = [];
  readonly #waiting: Recirculation[] = [];
  #lookups = 0;

  constructor(tables: FlowTables, connections: Connections, live: Live) {
    this.#tables = tables;
    this.#connections = connections;
    this.#live = live;
  }

  through(packet: Packet): TraceEvent[] {
    this.#visit(0, { packet, stack: [], depth: 0 }, 'start');
    for (;;) {
      const next = this.#waiting.shift();
      if (next === undefined) return this.#events;
      this.#visit(next.table, { packet: next.packet, stack: next.stack, depth: 0 }, 'recirculate');
    }
  }

  #visit(table: number, cursor: Cursor, way: Way, asIfFrom?: number): void {
    if (cursor.depth > deepest || ++this.#lookups > mostResubmits) {
      this.#events.push({ kind: 'too-deep' });
      return;
    }
    const { packet } = cursor;
    let seen = packet;
    if (asIfFrom !== undefined) {
      seen = packet.copy();
      seen.set('in_port', asIfFrom);
    }
    const flow = this.#tables.lookup(table, seen);
    this.#events.push({ kind: 'lookup', table, flow, way, depth: cursor.depth, packet: packet.copy() });
    if (flow === undefined) return;
    const went = this.#execute(flow.actions, cursor);
    if (went && flow.goto !== undefined) this.#visit(flow.goto, cursor, 'goto');
  }

  /** @returns false when the packet's way through this list ended, its goto included */
  #execute(actions: readonly Action[], cursor: Cursor): boolean {
    for (const action of actions) if (!this.#perform(action, cursor)) return false;
    return true;
  }

  #perform(action: Action, cursor: Cursor): boolean {
    const { packet, stack } = cursor;
    switch (action.type) {
      case 'output':
        this.#output(action.port, packet);
        return true;
      case 'outputReg':
        this.#output(Number(packet.read(action.source) ?? 0n), packet);
        return true;
      case 'controller':
        this.#events.push({
          kind: 'controller',
          userdata: action.userdata,
          id: action.id ?? 0,
          packet: packet.copy(),
        });
        return true;
      case 'group':
        this.#events.push({ kind: 'group', group: action.group });
        return true;
      case 'meter':
        this.#events.push({ kind: 'meter', meter: action.meter });
        return true;
      case 'setField':
        packet.set(action.field, action.value, action.mask);
        return true;
      case 'move':
        move(packet, action.source, action.target);
        return true;
      case 'checkPktLarger':
        packet.write(action.target, packet.length > action.length ? 1n : 0n);
        return true;
      case 'bundle': {
        const port = this.#firstLive(action.members, true);
        if (port !== undefined) this.#output(port, packet);
        return true;
      }
      case 'bundleLoad':
        packet.write(action.target, BigInt(this.#firstLive(action.members, false) ?? bundleNone));
        return true;
      case 'push':
        stack.push(packet.read(action.source) ?? 0n);
        return true;
      case 'pop':
        // An empty stack leaves the target as it is.
        if (stack.length > 0) packet.write(action.target, stack.pop()!);
        return true;
      case 'decTtl':
        return this.#decrementTtl(packet);
      case 'ct':
        this.#track(action, cursor);
        return true;
      case 'ctClear':
        untrack(packet);
        return true;
      case 'resubmit':
        this.#visit(action.table, { ...cursor, depth: cursor.depth + 1 }, 'resubmit', action.port);
        return true;
      case 'clone':
        this.#execute(action.actions, { packet: packet.copy(), stack: [...stack], depth: cursor.depth });
        return true;
      // A conjunction only takes part in look-ups, a note in nothing.
      case 'conjunction':
      case 'note':
        return true;
      default:
        return action satisfies never;
    }
  }

  #firstLive(members: readonly number[], output: boolean): number | undefined {
    const chosen = members.find(this.#live);
    this.#events.push({ kind: 'liveness', members, chosen, output });
    return chosen;
  }

  #output(port: number, packet: Packet): void {
    const from = Number(packet.get('in_port'));
    if (port === reservedPort.controller) {
      this.#events.push({ kind: 'controller', userdata: new Uint8Array(), id: 0, packet: packet.copy() });
    } else if (port === from) this.#events.push({ kind: 'skipped-output', port });
    else {
      const leaving = port === reservedPort.inPort ? from : port;
      this.#events.push({ kind: 'output', port: leaving, packet: packet.copy() });
    }
  }

  #decrementTtl(packet: Packet): boolean {
    const ttl = packet.get('ip_ttl');
    if (ttl === undefined) return true;
    if (ttl <= 1n) {
      this.#events.push({ kind: 'ttl-expired' });
      return false;
    }
    packet.set('ip_ttl', ttl - 1n);
    return true;
  }

  #track(action: Extract<Action, { type: 'ct' }>, { packet, stack }: Cursor): void {
    const zone = typeof action.zone === 'number' ? action.zone : Number(packet.read(action.zone) ?? 0n);
    const found = this.#connections.track(zone, packet);
    const { mark, label, original } = found;
    const tracked = packet.copy();
    const { nat } = action;
    // What is known stays as it was translated first, whatever is said now.
    if (nat !== undefined && found.translated !== undefined) rewrite(tracked, found.translated);
    else if (nat !== undefined && action.commit === true && (found.state & ctState.new) !== 0) translate(tracked, nat);
    const [before, after] = [tupleOf(packet), tupleOf(tracked)];
    const state = found.state | natBits(before, after);
    const fields: [Parameters<Packet['set']>[0], Scalar][] = [
      ['ct_state', state],
      ['ct_zone', zone],
      ['ct_mark', mark],
      ['ct_label', label],
    ];
    if (original !== undefined)
      fields.push(
        ['ct_nw_proto', original.proto],
        ['ct_nw_src', original.source],
        ['ct_nw_dst', original.target],
        ['ct_tp_src', original.sourcePort],
        ['ct_tp_dst', original.targetPort],
      );
    for (const [field, value] of fields) tracked.set(field, value);
    for (const exec of action.exec ?? []) this.#perform(exec, { packet: tracked, stack: [], depth: 0 });
    if (action.table !== undefined) this.#events.push({ kind: 'track', zone, state });
    if (before !== undefined && after !== undefined && !same(before, after))
      this.#events.push({ kind: 'nat', zone, from: before, to: after });
    if (action.commit === true && before !== undefined)
      this.#events.push({
        kind: 'commit',
        zone,
        tuple: before,
        ...(after === undefined || same(before, after) ? {} : { translated: after }),
        mark: tracked.get('ct_mark') ?? 0n,
        label: tracked.get('ct_label') ?? 0n,
      });
    if (action.table !== undefined) this.#waiting.push({ packet: tracked, stack: [...stack], table: action.table });
    // ct_* is known only where the packet recirculated to (compose_conntrack_action()).
    untrack(packet);
  }
}

function move(packet: Packet, source: Subfield, target: Subfield): void {
  const value = packet.read(source);
  if (value !== undefined) packet.write(target, value);
}

function untrack(packet: Packet): void {
  for (const field of ['ct_state', 'ct_zone', 'ct_mark', 'ct_label'] as const) packet.set(field, 0);
  for (const field of ['ct_nw_proto', 'ct_nw_src', 'ct_nw_dst', 'ct_tp_src', 'ct_tp_dst'] as const)
    packet.set(field, 0);
}

type Nat = NonNullable<Extract<Action, { type: 'ct' }>['nat']>;

/** A new connection takes the first address and port of the range; which one it really gets depends on the others. */
function translate(packet: Packet, { kind, ipMin, portMin }: Nat): void {
  if (kind === 'restore') return;
  if (ipMin !== undefined) packet.set(`ipv4_${kind}`, ipMin);
  if (portMin === undefined) return;
  for (const protocol of ['tcp', 'udp', 'sctp'] as const) packet.set(`${protocol}_${kind}`, portMin);
}

/** Gives the packet these addresses and ports; the identifier of ICMP is no header field. */
function rewrite(packet: Packet, { source, target, sourcePort, targetPort }: Tuple): void {
  packet.set('ipv4_src', source);
  packet.set('ipv4_dst', target);
  packet.set('ipv6_src', source);
  packet.set('ipv6_dst', target);
  for (const protocol of ['tcp', 'udp', 'sctp'] as const) {
    packet.set(`${protocol}_src`, sourcePort);
    packet.set(`${protocol}_dst`, targetPort);
  }
}

function same(a: Tuple, b: Tuple): boolean {
  return (
    a.source === b.source && a.target === b.target && a.sourcePort === b.sourcePort && a.targetPort === b.targetPort
  );
}

/** The bits of ct_state that say which side NAT has changed. */
function natBits(before: Tuple | undefined, after: Tuple | undefined): number {
  if (before === undefined || after === undefined) return 0;
  const source = before.source !== after.source || before.sourcePort !== after.sourcePort;
  const target = before.target !== after.target || before.targetPort !== after.targetPort;
  return (source ? ctState.snat : 0) | (target ? ctState.dnat : 0);
}
