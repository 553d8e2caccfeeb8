/**
 * Tables EgressReply and EgressReverse, and their Ingress twins. A reply whose connection has a label out of date, and a
 * TCP segment in the middle of a connection the switch has no state of, is judged in reverse: the packet's addresses and
 * ports change places, the rules are asked, and they change back. The datapath never sees it, as nothing leaves in between.
 * Megaflows of such packets are exact, but only the first packet of a connection meets this.
 */
import { type Action, ctState, type FieldName, type Flow, fieldBits, type Match } from '../flow.ts';
import { load, matching, registers } from '../registers.ts';
import { judge, ownFlow, type Side, sides, state } from './conntrack.ts';
import { log } from './log.ts';
import { ethType, ipProtocol } from './ports.ts';

const { new: isNew, rel, inv, trk } = ctState;

const whole = (field: FieldName) => ({ field, offset: 0, bits: fieldBits[field] });

/** Two fields of one width change places. */
function exchange(a: FieldName, b: FieldName): Action[] {
  return [
    { type: 'push', source: whole(a) },
    { type: 'push', source: whole(b) },
    { type: 'pop', target: whole(a) },
    { type: 'pop', target: whole(b) },
  ];
}

const withPorts = [
  [ipProtocol.tcp, 'tcp_src', 'tcp_dst'],
  [ipProtocol.udp, 'udp_src', 'udp_dst'],
  [ipProtocol.sctp, 'sctp_src', 'sctp_dst'],
] as const;

/** Type of an answer -> of what it answers: RFC 792, RFC 950, RFC 4443, RFC 4620. */
const icmpAnswers: readonly [answer: number, request: number][] = [
  [0, 8],
  [14, 13],
  [16, 15],
  [18, 17],
];
const icmpv6Answers: readonly [answer: number, request: number][] = [
  [129, 128],
  [140, 139],
];

const families = [
  {
    match: { eth_type: ethType.ipv4 },
    addresses: exchange('ipv4_src', 'ipv4_dst'),
    icmp: ipProtocol.icmp,
    type: 'icmpv4_type',
    answers: icmpAnswers,
  },
  {
    match: { eth_type: ethType.ipv6 },
    addresses: exchange('ipv6_src', 'ipv6_dst'),
    icmp: ipProtocol.icmpv6,
    type: 'icmpv6_type',
    answers: icmpv6Answers,
  },
] as const;

function* sideFlows({ reply, reverse, commit, onward }: Side): Iterable<Flow> {
  yield ownFlow(reply, 200, matching({}, registers.live, 1), [], onward);
  // Related packets have no reverse.
  const unrelated = state(trk, rel | inv);
  const inReverse = (priority: number, match: Match, there: Action[], back: Action[]) =>
    ownFlow(
      reply,
      priority,
      { ...match, ...unrelated },
      [...there, judge, ...back, load(registers.reversed, 1)],
      reverse,
    );
  for (const { match, addresses, icmp, type, answers } of families) {
    for (const [protocol, source, destination] of withPorts) {
      const both = [...addresses, ...exchange(source, destination)];
      yield inReverse(100, { ...match, ip_proto: protocol }, both, both);
    }
    for (const [answer, request] of answers) {
      yield inReverse(
        110,
        { ...match, ip_proto: icmp, [type]: answer },
        [...addresses, { type: 'setField', field: type, value: request }],
        [...addresses, { type: 'setField', field: type, value: answer }],
      );
    }
    yield inReverse(90, match, addresses, addresses);
  }
  yield ownFlow(reverse, 100, matching({}, registers.allowed, 1), [], commit);
  yield ownFlow(reverse, 50, state(trk | isNew, inv | rel), [load(registers.reversed, 0), judge], commit);
  yield ownFlow(reverse, 40, matching({}, registers.log, 1), [log]);
}

export function judgeInReverse(): Flow[] {
  return sides.flatMap((side) => [...sideFlows(side)]);
}
