/**
 * Tables EgressConntrack, EgressState, EgressCommit and their Ingress twins: the same few flows on every switch.
 * What a connection sends in its original direction is judged by the rules again with every megaflow, so that a rule
 * that is gone stops it; replies pass on the state alone.
 */
import { cookie } from '../cookie.ts';
import { ctState, type Flow, type Match } from '../flow.ts';
import { matching, registers, reversedMark, ruleLabel, subfield } from '../registers.ts';
import { type Table, tables } from '../tables.ts';
import { ethType, ipProtocol } from './ports.ts';

const { new: isNew, est, rel, rpl, inv, trk } = ctState;

/** ct_state in the notation of ovs-fields(7): bits that must be set, bits that must not. */
export function state(set: number, clear: number): Match {
  return { ct_state: { value: set, mask: set | clear } };
}

type Side = { conntrack: Table; state: Table; midstream: Table; rules: Table; commit: Table; onward: Table };

const sides: Side[] = [
  {
    conntrack: tables.EgressConntrack,
    state: tables.EgressState,
    midstream: tables.EgressMidstream,
    rules: tables.EgressRules,
    commit: tables.EgressCommit,
    onward: tables.Router,
  },
  {
    conntrack: tables.IngressConntrack,
    state: tables.IngressState,
    midstream: tables.IngressMidstream,
    rules: tables.IngressRules,
    commit: tables.IngressCommit,
    onward: tables.LocalOutput,
  },
];

const tcp: Match = { eth_type: ethType.ipv4, ip_proto: ipProtocol.tcp };

/** RFC 9293 flags: every segment after the first has ACK, and none of them SYN but the answer to it. */
const ackWithoutSyn = { value: 0x010, mask: 0x012 };

export function trackConnections(): Flow[] {
  return sides.flatMap(({ conntrack, state: judged, midstream, rules, commit, onward }): Flow[] => {
    const flow = (table: Table, priority: number, match: Match, actions: Flow['actions'], goto?: Table): Flow => ({
      table: table.id,
      priority,
      cookie: cookie(table.id, 0),
      match,
      actions,
      ...(goto === undefined ? {} : { goto: goto.id }),
    });
    const zone = subfield(registers.zone);
    return [
      flow(conntrack, 100, { eth_type: ethType.ipv4 }, [{ type: 'ct', zone, table: judged.id }]),
      flow(judged, 400, state(trk | inv, 0), []),
      flow(judged, 300, state(trk | est | rpl, isNew | inv), [], onward),
      flow(judged, 300, state(trk | rel, isNew | est | inv), [], onward),
      flow(judged, 210, { ...tcp, ...state(trk | isNew, inv | rel), tcp_flags: ackWithoutSyn }, [], midstream),
      flow(judged, 210, { ...tcp, ...matching(state(trk | est, isNew | rpl | inv), reversedMark, 1) }, [], midstream),
      flow(midstream, 1, tcp, [], rules),
      flow(judged, 200, state(trk | isNew, inv | rel), [], rules),
      flow(judged, 200, state(trk | est, isNew | rpl | inv), [], rules),
      flow(
        commit,
        100,
        { eth_type: ethType.ipv4, ...state(trk | isNew, 0) },
        [
          {
            type: 'ct',
            commit: true,
            zone,
            exec: [
              { type: 'move', source: subfield(registers.rule), target: subfield(ruleLabel) },
              { type: 'move', source: subfield(registers.reversed), target: subfield(reversedMark) },
            ],
          },
        ],
        onward,
      ),
      flow(commit, 50, { eth_type: ethType.ipv4 }, [], onward),
    ];
  });
}
