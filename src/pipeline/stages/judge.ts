/**
 * Tables Judge, Policies and Rules: the subroutine that says, in the registers `allowed`, `rule`, `ruleEpoch`, `denyEpoch`
 * and `log`, whether the packet may be sent and what decided. It matches by network and address, so it is the same for
 * sender and receiver, and its flows are the same wherever the network is.
 */
import { cookie } from '../cookie.ts';
import type { Action, Flow, Match } from '../flow.ts';
import { load, matching, registers } from '../registers.ts';
import { tables } from '../tables.ts';
import { ownFlow } from './conntrack.ts';
import { type IpPrefix, ipProtocol, toPrefix } from './ports.ts';

/** Part of a port space; a mask of 0 is everything. */
export type Masked = { value: number; mask: number };

export type Service = {
  /** IP protocol; any when left out. */
  protocol?: number;
  /** Destination ports: of TCP, UDP and SCTP. */
  ports?: Masked;
  /** Of ICMP and ICMPv6. */
  icmp?: { type: number; code?: number };
};

/** What decides, and what the connection is labelled with. */
export type Decider = {
  /** Resource number, for the cookie. */
  number: number;
  /** Rule id. */
  id: number;
  /** 32 bits; another one once it, or a group it names, has changed. */
  epoch: number;
  action: 'allow' | 'deny';
  log: boolean;
};

/** Where it holds: an access rule in its network; a policy for one tenant, or for all. */
export type Scope = { network: number } | { key: number } | 'all';

/** One combination of what a rule or policy says: both addresses of one IP version. */
export type Alternative = { source: IpPrefix; destination: IpPrefix; service: Service };

const portFields = new Map<number, 'tcp_dst' | 'udp_dst' | 'sctp_dst'>([
  [ipProtocol.tcp, 'tcp_dst'],
  [ipProtocol.udp, 'udp_dst'],
  [ipProtocol.sctp, 'sctp_dst'],
]);

export function serviceMatch({ protocol, ports, icmp }: Service): Match {
  if (protocol === undefined) return {};
  const match: Match = { ip_proto: protocol };
  const field = portFields.get(protocol);
  if (field !== undefined && ports !== undefined && ports.mask !== 0)
    match[field] = ports.mask === 0xffff ? ports.value : ports;
  if (icmp !== undefined) {
    const six = protocol === ipProtocol.icmpv6;
    match[six ? 'icmpv6_type' : 'icmpv4_type'] = icmp.type;
    if (icmp.code !== undefined) match[six ? 'icmpv6_code' : 'icmpv4_code'] = icmp.code;
  }
  return match;
}

export function scopeMatch(match: Match, scope: Scope): Match {
  if (scope === 'all') return match;
  return 'network' in scope
    ? matching(match, registers.network, scope.network)
    : matching(match, registers.key, scope.key);
}

/** `allowed` and `log` in one. */
function verdict(allowed: boolean, log: boolean): Action {
  return { type: 'setField', field: 'reg0', value: (allowed ? 0b0010 : 0) | (log ? 0b1000 : 0), mask: 0b1010 };
}

/** What a decision leaves in registers. */
export function decision({ id, epoch, action, log }: Decider): Action[] {
  const allowed = action === 'allow';
  return [load(registers.rule, id), ...(allowed ? [load(registers.ruleEpoch, epoch)] : []), verdict(allowed, log)];
}

/**
 * What holds for a network before any rule is asked: nothing has decided yet.
 * @param number resource number @param network its number in registers @param logDenied whether the default deny is logged
 */
export function judgeNetwork(number: number, network: number, denyEpoch: number, logDenied: boolean): Flow {
  return {
    table: tables.Judge.id,
    priority: 100,
    cookie: cookie(tables.Judge.id, number),
    match: matching({}, registers.network, network),
    actions: [
      load(registers.rule, 0),
      load(registers.ruleEpoch, 0),
      load(registers.denyEpoch, denyEpoch),
      verdict(false, logDenied),
    ],
    goto: tables.Policies.id,
  };
}

/** What no policy decides, rules do. */
export function afterPolicies(): Flow {
  return ownFlow(tables.Policies, 1, {}, [], tables.Rules);
}

/** A transit tier is not the tenant's: only policies let anything begin that is for an address there. */
export function refuseTransit(network: number, prefix: IpPrefix): Flow {
  return ownFlow(tables.Policies, 2, matching(toPrefix(prefix), registers.network, network), []);
}
