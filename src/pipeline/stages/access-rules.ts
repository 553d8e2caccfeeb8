/** Tables EgressRules and IngressRules, EgressMidstream and IngressMidstream: one alternative of one access rule. */
import { cookie } from '../cookie.ts';
import type { Flow, Match } from '../flow.ts';
import { load, matching, registers } from '../registers.ts';
import { rulePriority, tables } from '../tables.ts';
import { ethType, ipProtocol } from './ports.ts';

/** Part of an address or port space; a mask of 0 is everything. */
export type Masked = { value: number; mask: number };

export type Service =
  | { protocol: 'any' }
  | { protocol: 'tcp' | 'udp' | 'sctp'; ports?: Masked }
  | { protocol: 'icmp'; type?: number; code?: number }
  | { protocol: 'other'; number: number };

export type RuleAlternative = {
  /** Resource number of the rule, for the cookie. */
  number: number;
  /** Rule id, for ct_label. */
  id: number;
  network: number;
  action: 'allow' | 'deny';
  /** 1 to 32000, lower first. */
  priority: number;
  source: Masked;
  destination: Masked;
  service: Service;
};

const portField = { tcp: 'tcp_dst', udp: 'udp_dst', sctp: 'sctp_dst' } as const;

function serviceMatch(service: Service): Match {
  if (service.protocol === 'any') return {};
  if (service.protocol === 'other') return { ip_proto: service.number };
  const match: Match = { ip_proto: ipProtocol[service.protocol] };
  if (service.protocol === 'icmp') {
    if (service.type !== undefined) match.icmpv4_type = service.type;
    if (service.code !== undefined) match.icmpv4_code = service.code;
  } else if (service.ports !== undefined && service.ports.mask !== 0) {
    match[portField[service.protocol]] = service.ports.mask === 0xffff ? service.ports.value : service.ports;
  }
  return match;
}

const address = (field: 'ipv4_src' | 'ipv4_dst', part: Masked): Match =>
  part.mask === 0 ? {} : { [field]: part.mask === 0xffffffff ? part.value : part };

/** What the alternative matches, the same for both sides; two with the same text are the same flow. */
export function alternativeMatch(a: RuleAlternative): Match {
  return matching(
    {
      eth_type: ethType.ipv4,
      ...address('ipv4_src', a.source),
      ...address('ipv4_dst', a.destination),
      ...serviceMatch(a.service),
    },
    registers.network,
    a.network,
  );
}

export function accessRule(a: RuleAlternative, side: 'egress' | 'ingress'): Flow {
  const [rules, commit] =
    side === 'egress' ? [tables.EgressRules, tables.EgressCommit] : [tables.IngressRules, tables.IngressCommit];
  const common = {
    table: rules.id,
    priority: rulePriority(a.priority, a.action),
    cookie: cookie(rules.id, a.number),
    match: alternativeMatch(a),
  };
  return a.action === 'deny'
    ? { ...common, actions: [] }
    : { ...common, actions: [load(registers.rule, a.id)], goto: commit.id };
}

/**
 * The alternative in reverse, for TCP segments that reply on a connection the switch has no state of; undefined where
 * it says nothing of TCP. What it denies is judged like any packet. The rule's id goes with the connection as ever.
 */
export function accessRuleInReverse(a: RuleAlternative, side: 'egress' | 'ingress'): Flow | undefined {
  const { service } = a;
  if (service.protocol !== 'tcp' && service.protocol !== 'any') return undefined;
  const [midstream, rules, commit] =
    side === 'egress'
      ? [tables.EgressMidstream, tables.EgressRules, tables.EgressCommit]
      : [tables.IngressMidstream, tables.IngressRules, tables.IngressCommit];
  const ports =
    service.protocol === 'tcp' && service.ports !== undefined && service.ports.mask !== 0 ? service.ports : undefined;
  const match = matching(
    {
      eth_type: ethType.ipv4,
      ip_proto: ipProtocol.tcp,
      ...address('ipv4_src', a.destination),
      ...address('ipv4_dst', a.source),
      ...(ports === undefined ? {} : { tcp_src: ports.mask === 0xffff ? ports.value : ports }),
    },
    registers.network,
    a.network,
  );
  const common = {
    table: midstream.id,
    priority: rulePriority(a.priority, a.action),
    cookie: cookie(midstream.id, a.number),
    match,
  };
  return a.action === 'deny'
    ? { ...common, actions: [], goto: rules.id }
    : { ...common, actions: [load(registers.rule, a.id), load(registers.reversed, 1)], goto: commit.id };
}
