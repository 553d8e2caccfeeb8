/**
 * Tables EgressConntrack, EgressState, EgressCommit and their Ingress twins: the same few flows on every switch.
 * What a connection sends in the direction the rules speak of is judged with every megaflow. Replies pass while the
 * label of the connection is live (liveness.ts), else they are judged in reverse (reverse.ts).
 */
import { cookie } from '../cookie.ts';
import { type Action, ctState, type Flow, type Match } from '../flow.ts';
import { connection, load, matching, type Register, registers, subfield } from '../registers.ts';
import { type Table, tables } from '../tables.ts';
import { log } from './log.ts';
import { ipProtocol, ipVersions } from './ports.ts';

const { new: isNew, est, rel, rpl, inv, trk } = ctState;

/** ct_state in the notation of ovs-fields(7): bits that must be set, bits that must not. */
export function state(set: number, clear: number): Match {
  return { ct_state: { value: set, mask: set | clear } };
}

export type Side = {
  conntrack: Table;
  state: Table;
  reply: Table;
  reverse: Table;
  commit: Table;
  /** Where to from here. */
  onward: Table;
};

export const sides: readonly Side[] = [
  {
    conntrack: tables.EgressConntrack,
    state: tables.EgressState,
    reply: tables.EgressReply,
    reverse: tables.EgressReverse,
    commit: tables.EgressCommit,
    onward: tables.Steering,
  },
  {
    conntrack: tables.IngressConntrack,
    state: tables.IngressState,
    reply: tables.IngressReply,
    reverse: tables.IngressReverse,
    commit: tables.IngressCommit,
    onward: tables.LocalOutput,
  },
];

/** A flow of the pipeline itself. */
export function ownFlow(table: Table, priority: number, match: Match, actions: Action[], goto?: Table): Flow {
  return {
    table: table.id,
    priority,
    cookie: cookie(table.id, 0),
    match,
    actions,
    ...(goto === undefined ? {} : { goto: goto.id }),
  };
}

/** The subroutine that judges the packet as it is: see judge.ts. */
export const judge: Action = { type: 'resubmit', table: tables.Judge.id };

/** The subroutine that looks whether the connection's label is in force. */
const liveness: Action = { type: 'resubmit', table: tables.LivePorts.id };

/** RFC 9293 flags: every segment after the first has ACK, and none of them SYN but the answer to it. */
export const ackWithoutSyn = { value: 0x010, mask: 0x012 };

const copy = (from: Register, to: Register): Action => ({ type: 'move', source: subfield(from), target: subfield(to) });

const label: Action[] = [
  copy(registers.rule, connection.ruleLabel),
  copy(registers.ruleEpoch, connection.ruleEpochLabel),
  copy(registers.portEpoch, connection.portEpochLabel),
  copy(registers.denyEpoch, connection.denyEpochLabel),
];

const zone = subfield(registers.zone);

/**
 * What the other side left in registers would go with the packet through connection tracking, where every combination
 * costs a recirculation id and megaflows of its own.
 */
export const forget: Action[] = [
  { type: 'setField', field: 'reg0', value: 0, mask: 0xf },
  load(registers.rule, 0),
  load(registers.ruleEpoch, 0),
  load(registers.denyEpoch, 0),
  load(registers.bucket, 0),
];

function* sideFlows({ conntrack, state: judged, reply, commit, onward }: Side): Iterable<Flow> {
  yield ownFlow(judged, 400, state(trk | inv, 0), []);
  yield ownFlow(judged, 300, state(trk | rel, isNew | est | inv), [liveness], reply);
  // A connection committed from its reply direction has its original direction there.
  const marked = (set: number, clear: number, mark: number) =>
    matching(state(trk | est | set, isNew | inv | clear), connection.reversedMark, mark);
  yield ownFlow(judged, 300, marked(rpl, 0, 0), [liveness], reply);
  yield ownFlow(judged, 300, marked(0, rpl, 1), [liveness], reply);
  yield ownFlow(judged, 200, marked(0, rpl, 0), [liveness, judge], commit);
  yield ownFlow(judged, 200, marked(rpl, 0, 1), [liveness, judge], commit);
  yield ownFlow(judged, 200, state(trk | isNew, inv | rel), [judge], commit);
  const allowed = matching({}, registers.allowed, 1);
  for (const ip of ipVersions) {
    yield ownFlow(conntrack, 100, ip, [...forget, { type: 'ct', zone, table: judged.id }]);
    const midstream = { ip_proto: ipProtocol.tcp, ...state(trk | isNew, inv | rel), tcp_flags: ackWithoutSyn };
    yield ownFlow(judged, 210, { ...ip, ...midstream }, [], reply);
    const exec = [...label, copy(registers.reversed, connection.reversedMark)];
    const remember: Action = { type: 'ct', commit: true, zone, exec };
    const fresh = { ...ip, ...state(trk | isNew, 0), ...allowed };
    yield ownFlow(commit, 110, matching(fresh, registers.log, 1), [log, remember], onward);
    yield ownFlow(commit, 100, fresh, [remember], onward);
    yield ownFlow(
      commit,
      90,
      { ...ip, ...matching(matching(state(trk, isNew), registers.allowed, 1), registers.live, 0) },
      [{ type: 'ct', commit: true, zone, exec: label }],
      onward,
    );
  }
  yield ownFlow(commit, 80, matching(allowed, registers.live, 1), [], onward);
  yield ownFlow(commit, 70, matching(matching({}, registers.log, 1), registers.allowed, 0), [log]);
}

export function trackConnections(): Flow[] {
  return sides.flatMap((side) => [...sideFlows(side)]);
}
