/**
 * Tables SourceNat, WayOutNat, ProviderNat and FromOutside: network address translation by connection tracking (RFC 3022,
 * RFC 4787, RFC 5382), in one zone for each network and switch. Ports are kept where they are free. A connection carries the
 * rule it was made by and that rule's epoch in its label: it goes on while a flow names both, and is cut with the rule.
 */
import { cookie } from '../cookie.ts';
import { type Action, ctState, type Flow, type Match } from '../flow.ts';
import { connection, load, matching, registers, subfield } from '../registers.ts';
import { type Table, tables } from '../tables.ts';
import { ackWithoutSyn, forget, ownFlow, state } from './conntrack.ts';
import { type Masked, type Service, serviceMatch } from './judge.ts';
import { ethType, fromPrefix, type IpPrefix, ipProtocol } from './ports.ts';

/** What a connection is labelled with. */
export type NatRule = {
  /** Resource number, for the cookie. */
  number: number;
  /** Out of the pool of rule ids. */
  id: number;
  /** 32 bits; another one once it translates otherwise. */
  epoch: number;
  /** Number of its network in registers. */
  network: number;
};

/** Both addresses IPv4, in 32 bits. */
export type Translation = { public: number; private: number };

/** `public` and `private` ports of one service; `private` left out: the same. */
export type ForwardedPorts = { protocol: 'tcp' | 'udp'; public: Masked; private?: number };

const { new: isNew, rel, inv, trk, snat, dnat } = ctState;
const ipv4: Match = { eth_type: ethType.ipv4 };
/** What connection tracking has no translation for yet. */
const fresh: Match = { ...ipv4, ...state(trk | isNew, inv | rel | snat | dnat) };
const zone = subfield(registers.zone);

/** Addresses that are nowhere outside, and nobody's there: RFC 6890, RFC 1112, RFC 3927. */
export const nowhere: readonly IpPrefix[] = [
  { family: 4, value: 0, length: 8 },
  { family: 4, value: 0x7f00_0000, length: 8 },
  { family: 4, value: 0xa9fe_0000, length: 16 },
  { family: 4, value: 0xe000_0000, length: 4 },
  { family: 4, value: 0xf000_0000, length: 4 },
];

function flow(table: Table, priority: number, rule: NatRule, match: Match, actions: Action[], goto?: Table): Flow {
  return {
    table: table.id,
    priority,
    cookie: cookie(table.id, rule.number),
    match: matching(match, registers.network, rule.network),
    actions,
    ...(goto === undefined ? {} : { goto: goto.id }),
  };
}

/** In `alive`, from ProviderAccept on, where nobody asks for a port any more: the first gateway is alive, so that nothing begins here. */
const standby = 1;
export const standingBy: Action = load(registers.alive, standby);

/** What connection tracking knows is translated; what it does not know goes on as it is, to be new in `table`. */
export function translateKnown(table: Table): Action {
  return { type: 'ct', zone, nat: { kind: 'restore' }, table: table.id };
}

type Nat = NonNullable<Extract<Action, { type: 'ct' }>['nat']>;

/** A new connection is remembered with its translation and its label. */
function translate({ id, epoch }: NatRule, nat: Nat, next: Table): Action[] {
  const exec = [load(connection.ruleLabel, id), load(connection.ruleEpochLabel, epoch)];
  return [{ type: 'ct', commit: true, zone, nat, exec, table: next.id }];
}

/** Connections the rule has made, and ICMP errors that belong to them, both ways. */
export function inForce(rule: NatRule): Flow[] {
  const labelled = matching(
    matching({ ...ipv4, ...state(trk, isNew | inv) }, connection.ruleLabel, rule.id),
    connection.ruleEpochLabel,
    rule.epoch,
  );
  // In the userspace datapath what nobody has answered yet is translated although it counts as new: a repeated segment, say.
  const repeated = (translated: number): Match => ({
    ...labelled,
    ...ipv4,
    ...state(trk | isNew | translated, inv),
  });
  return [
    flow(tables.WayOutNat, 300, rule, labelled, [], tables.ProviderOutput),
    flow(tables.WayOutNat, 300, rule, repeated(snat), [], tables.ProviderOutput),
    flow(tables.ProviderNat, 300, rule, labelled, [], tables.FromOutside),
    flow(tables.ProviderNat, 300, rule, repeated(dnat), [], tables.FromOutside),
  ];
}

/** What goes out from the prefix gets the public address. */
export function sourceNat(rule: NatRule, from: IpPrefix, address: number): Flow {
  const match = { ...fresh, ...fromPrefix(from) };
  const actions = translate(rule, { kind: 'src', ipMin: address }, tables.ProviderOutput);
  return flow(tables.WayOutNat, 100 + from.length, rule, match, actions);
}

/** The public address is the private one, both ways. */
export function staticNat(rule: NatRule, { public: outer, private: inner }: Translation): Flow[] {
  return [
    flow(
      tables.WayOutNat,
      210,
      rule,
      { ...fresh, ipv4_src: inner },
      translate(rule, { kind: 'src', ipMin: outer }, tables.ProviderOutput),
    ),
    flow(
      tables.ProviderNat,
      200,
      rule,
      { ...fresh, ipv4_dst: outer },
      translate(rule, { kind: 'dst', ipMin: inner }, tables.FromOutside),
    ),
  ];
}

/**
 * Ports of the public address lead to ports of the private one. Back the other way goes what belongs to a connection this
 * switch knows nothing of, because another gateway has made it: a TCP segment that is not the first, and a datagram.
 */
export function forwardPorts(
  rule: NatRule,
  { public: outer, private: inner }: Translation,
  ports: ForwardedPorts,
): Flow[] {
  const protocol = ipProtocol[ports.protocol];
  const one = (port: number | undefined) => (port === undefined ? {} : { portMin: port });
  const privately: Masked = ports.private === undefined ? ports.public : { value: ports.private, mask: 0xffff };
  const shifted = ports.private !== undefined;
  const { [`${ports.protocol}_dst` as const]: source } = serviceMatch({ protocol, ports: privately } satisfies Service);
  const midstream: Match = ports.protocol === 'tcp' ? { tcp_flags: ackWithoutSyn } : {};
  return [
    flow(
      tables.ProviderNat,
      210,
      rule,
      { ...fresh, ipv4_dst: outer, ...serviceMatch({ protocol, ports: ports.public }) },
      translate(rule, { kind: 'dst', ipMin: inner, ...one(ports.private) }, tables.FromOutside),
    ),
    flow(
      tables.WayOutNat,
      220,
      rule,
      {
        ...fresh,
        ipv4_src: inner,
        ip_proto: protocol,
        ...(source === undefined ? {} : { [`${ports.protocol}_src`]: source }),
        ...midstream,
      },
      translate(
        rule,
        { kind: 'src', ipMin: outer, ...one(shifted ? ports.public.value : undefined) },
        tables.ProviderOutput,
      ),
    ),
  ];
}

/** The same on every switch. */
export function translateAddresses(): Flow[] {
  return [
    ...nowhere.map(({ value, length }) =>
      ownFlow(tables.SourceNat, 105, { ...ipv4, ipv4_dst: { value, mask: (0xffff_ffff << (32 - length)) >>> 0 } }, []),
    ),
    ownFlow(
      tables.SourceNat,
      100,
      ipv4,
      // Of where it came from nothing is needed any more; see `forget`.
      [
        ...forget,
        load(registers.tier, 0),
        load(registers.outPort, 0),
        load(registers.portEpoch, 0),
        load(registers.toPeer, 0),
        load(registers.orPeer, 0),
        load(registers.fromPeer, 0),
        load(registers.alive, 0),
        translateKnown(tables.WayOutNat),
      ],
    ),
    ownFlow(tables.WayOutNat, 400, state(trk | inv, 0), []),
    ownFlow(tables.ProviderNat, 400, state(trk | inv, 0), []),
    ownFlow(tables.ProviderNat, 250, matching({}, registers.alive, standby), []),
    ownFlow(tables.FromOutside, 100, ipv4, [load(registers.alive, 0), load(registers.fromOutside, 1)], tables.Steering),
  ];
}
