/**
 * Tables Classifier (patches), ProviderIngress, ProviderAccept, ProviderOutput and Hairpin: public addresses on a provider
 * network. Each has a MAC of its own, so that who has the address can change without any neighbour being told another one.
 * ARP for it (RFC 826) is answered by who is in charge of it, and by nobody else; what is not published is dropped unanswered.
 */
import { cookie } from '../cookie.ts';
import {
  type Action,
  bundleNone,
  type FieldName,
  type Flow,
  fieldBits,
  type Match,
  type Meter,
  reservedPort,
} from '../flow.ts';
import { nextHopUserdata } from '../packet-in.ts';
import { clearFlags, load, matching, registers, subfield } from '../registers.ts';
import { type Table, tables } from '../tables.ts';
import { ownFlow } from './conntrack.ts';
import { checkTooBig, tooBig } from './icmp-error.ts';
import { nowhere, standingBy, translateKnown } from './nat.ts';
import { deliver } from './output.ts';
import { ethType, fromPrefix, type IpPrefix, toPrefix } from './ports.ts';
import { askWhetherAlive, inCharge, type OutwardNetwork } from './way-out.ts';

/** A public address on a switch. */
export type PublicAddress = {
  /** Resource number, for the cookie of what is counted for it. */
  number: number;
  /** IPv4, 32 bits. */
  address: number;
  mac: number;
  network: OutwardNetwork;
  /** OpenFlow port of the patch to its provider network. */
  patch: number;
  /** Conntrack zone of the network's NAT here. */
  zone: number;
  /** Number of the first gateway, on the second one; undefined: nobody is before this switch. */
  first: number | undefined;
  /** Bytes of an IP packet; larger ones are not taken. */
  mtu: number | undefined;
};

/** A pool of public addresses on a switch. */
export type AddressPool = {
  /** Resource number. */
  number: number;
  cidr: IpPrefix & { family: 4 };
  /** Next hop, IPv4. */
  gateway: number;
  patch: number;
};

/** RFC 826 opcodes. */
const arp = { request: 1, reply: 2 } as const;

const untagged: Match = { vlan_vid: 0 };

function flow(table: Table, priority: number, number: number, match: Match, actions: Action[], goto?: Table): Flow {
  const to = goto === undefined ? {} : { goto: goto.id };
  return { table: table.id, priority, cookie: cookie(table.id, number), match, actions, ...to };
}

function copy(source: FieldName, target: FieldName): Action {
  const bits = fieldBits[source];
  return { type: 'move', source: { field: source, offset: 0, bits }, target: { field: target, offset: 0, bits } };
}

const set = (field: FieldName, value: number): Action => ({ type: 'setField', field, value });

/** Ids of the meters of pools, above those of requests to services and of public addresses. */
const nextHopMeters = 0x6000_0000;

/** What a provider network has for the addresses of a pool; anything else of it is not looked at. And what the next hop says of its MAC. */
export function poolFlows({ number, cidr, gateway, patch }: AddressPool): { flows: Flow[]; meters: Meter[] } {
  const { ipv4_dst } = toPrefix(cidr);
  const wanted: Match[] = [
    toPrefix(cidr),
    { eth_type: ethType.arp, ...(ipv4_dst === undefined ? {} : { arp_tpa: ipv4_dst }) },
    { eth_type: ethType.arp, arp_op: arp.reply, arp_spa: gateway },
  ];
  const meter = nextHopMeters + (number % 2 ** 24);
  const tell: Action = { type: 'controller', userdata: nextHopUserdata(number), meter };
  // An answer, or an announcement (RFC 5227 section 3).
  const told: Match[] = [{ arp_op: arp.reply }, { arp_op: arp.request, arp_tpa: gateway }];
  return {
    flows: [
      ...wanted.map((match) =>
        flow(tables.Classifier, 80, number, { in_port: patch, ...untagged, ...match }, [], tables.ProviderIngress),
      ),
      ...told.map((match) =>
        flow(
          tables.ProviderIngress,
          110,
          number,
          { in_port: patch, eth_type: ethType.arp, arp_spa: gateway, ...match },
          [tell],
        ),
      ),
    ],
    meters: [{ id: meter, cookie: cookie(tables.ProviderIngress.id, 0), unit: 'pktps', rate: 10, burst: 10 }],
  };
}

/** Who is in charge of the address answers for it, and takes what is sent to it. Only the latter is counted as the address's. */
export function takeFromProvider(at: PublicAddress): Flow[] {
  const { number, address, mac, network, patch, zone, first, mtu } = at;
  const whether = first === undefined ? [inCharge] : [load(registers.toPeer, first), askWhetherAlive];
  return [
    flow(
      tables.ProviderIngress,
      100,
      network.number,
      { in_port: patch, eth_type: ethType.arp, arp_op: arp.request, arp_tpa: address },
      [
        ...whether,
        copy('eth_src', 'eth_dst'),
        set('eth_src', mac),
        set('arp_op', arp.reply),
        copy('arp_sha', 'arp_tha'),
        copy('arp_spa', 'arp_tpa'),
        set('arp_sha', mac),
        set('arp_spa', address),
      ],
      tables.ProviderAccept,
    ),
    flow(
      tables.ProviderIngress,
      100,
      number,
      { in_port: patch, eth_dst: mac, eth_type: ethType.ipv4, ipv4_dst: address },
      [
        load(registers.key, network.key),
        load(registers.network, network.network),
        load(registers.zone, zone),
        ...whether,
        ...(mtu === undefined ? [] : [checkTooBig(mtu, subfield(registers.tooBig))]),
      ],
      tables.ProviderAccept,
    ),
  ];
}

/** Ids of the meters of networks' public addresses, above those of requests to services. */
const tooBigMeters = 0x5000_0000;

/** Senders outside are told of packets that are too big, from the public address they sent them to. */
export function refuseTooBig(addresses: readonly PublicAddress[]): { flows: Flow[]; meters: Meter[] } {
  const flows: Flow[] = [];
  const meters = new Map<number, Meter>();
  for (const { address, network, mtu } of addresses) {
    if (mtu === undefined) continue;
    const meter = tooBigMeters + network.network;
    const cookieOf = cookie(tables.ProviderAccept.id, network.number);
    const match = matching(
      matching(matching({ ipv4_dst: address }, registers.network, network.network), registers.alive, bundleNone),
      registers.tooBig,
      1,
    );
    const gateway = { family: 4, value: address } as const;
    const { id: table } = tables.ProviderAccept;
    flows.push(tooBig({ table, priority: 110, cookie: cookieOf, match, gateway, meter }, mtu));
    meters.set(meter, { id: meter, cookie: cookie(table, 0), unit: 'pktps', rate: 100, burst: 100 });
  }
  return { flows, meters: [...meters.values()] };
}

/** Nobody outside has an address that is inside. */
export function refuseInside(network: OutwardNetwork, inside: readonly IpPrefix[]): Flow[] {
  return inside.map((prefix) =>
    flow(
      tables.ProviderAccept,
      105,
      network.number,
      matching(fromPrefix(prefix), registers.network, network.network),
      [],
    ),
  );
}

/** Out to the next hop, under the MAC of the public address. */
export function giveToProvider({ number, address, mac, network, patch }: PublicAddress, nextHopMac: number): Flow {
  return flow(
    tables.ProviderOutput,
    100,
    number,
    matching({ eth_type: ethType.ipv4, ipv4_src: address }, registers.network, network.network),
    [set('eth_src', mac), set('eth_dst', nextHopMac), load(registers.outPort, patch)],
    tables.Hairpin,
  );
}

/**
 * What goes to the address comes in again as if its provider network had brought it. On the second gateway that is so for
 * what comes from the same network only: whether it is in charge of it for others they see by who answers.
 */
export function hairpin({ address, mac, network, patch, first }: PublicAddress): Flow {
  const match = matching({ eth_type: ethType.ipv4, ipv4_dst: address }, registers.outPort, patch);
  return flow(
    tables.Hairpin,
    110,
    network.number,
    first === undefined ? match : matching(match, registers.network, network.network),
    [
      { type: 'ctClear' },
      set('eth_dst', mac),
      set('in_port', patch),
      clearFlags(),
      load(registers.outPort, 0),
      load(registers.network, 0),
      load(registers.zone, 0),
      { type: 'resubmit', table: tables.ProviderIngress.id },
    ],
  );
}

/** The same on every switch. */
export function provider(): Flow[] {
  const alone = (match: Match): Match => matching(match, registers.alive, bundleNone);
  return [
    ...nowhere.map((prefix) => ownFlow(tables.ProviderAccept, 105, fromPrefix(prefix), [])),
    ownFlow(tables.ProviderAccept, 100, alone({ eth_type: ethType.arp }), [
      { type: 'output', port: reservedPort.inPort },
    ]),
    ownFlow(tables.ProviderAccept, 90, alone({ eth_type: ethType.ipv4 }), [
      load(registers.alive, 0),
      load(registers.toPeer, 0),
      translateKnown(tables.ProviderNat),
    ]),
    // Each switch sees by itself, and at its own time, that the first gateway is back: answers come here as long as
    // anybody sends by here.
    ownFlow(tables.ProviderAccept, 80, matching({ eth_type: ethType.ipv4 }, registers.tooBig, 0), [
      standingBy,
      load(registers.toPeer, 0),
      translateKnown(tables.ProviderNat),
    ]),
    ownFlow(tables.Hairpin, 100, {}, [deliver()]),
  ];
}
