/**
 * Ports straight on a provider network: their frames leave by the patch of their own hypervisor, under their own MAC, and no
 * tunnel carries them. Port security, rules and connection tracking are as ever. ARP (RFC 826) of theirs for whom the switch
 * does not know goes out; a request from outside for their address is answered here, as they are asked nothing themselves.
 */
import { cookie } from '../cookie.ts';
import { type Action, type FieldName, type Flow, fieldBits, type Match, reservedPort } from '../flow.ts';
import { clearFlags, load, matching, registers } from '../registers.ts';
import { type Table, tables } from '../tables.ts';
import { cameFrom, ethType, type LocalPort } from './ports.ts';

/** A tier straight on a provider network, on one switch. */
export type ProviderTier = {
  /** Resource number, for the cookie. */
  number: number;
  tier: number;
  /** OpenFlow port of the patch to the provider network. */
  patch: number;
};

/** RFC 826 opcodes. */
const arp = { request: 1, reply: 2 } as const;

function flow(table: Table, priority: number, number: number, match: Match, actions: Action[], goto?: Table): Flow {
  const to = goto === undefined ? {} : { goto: goto.id };
  return { table: table.id, priority, cookie: cookie(table.id, number), match, actions, ...to };
}

function copy(source: FieldName, target: FieldName): Action {
  const bits = fieldBits[source];
  return { type: 'move', source: { field: source, offset: 0, bits }, target: { field: target, offset: 0, bits } };
}

const set = (field: FieldName, value: number): Action => ({ type: 'setField', field, value });

/** Whatever the switch itself has no answer and no receiver for. */
export function leaveForProvider({ number, tier, patch }: ProviderTier): Flow[] {
  const out = [load(registers.outPort, patch)];
  const inTier = (match: Match): Match => matching(match, registers.tier, tier);
  const { NeighbourResponder, Lookup, Hairpin } = tables;
  return [
    flow(NeighbourResponder, 50, number, inTier({ eth_type: ethType.arp, arp_op: arp.request }), out, Hairpin),
    flow(Lookup, 50, number, inTier({}), out, Hairpin),
  ];
}

/** Back to who asked, by the port the question came in by. */
function answerArp(mac: number, ip: number): Action[] {
  return [
    copy('eth_src', 'eth_dst'),
    set('eth_src', mac),
    set('arp_op', arp.reply),
    copy('arp_sha', 'arp_tha'),
    copy('arp_spa', 'arp_tpa'),
    set('arp_sha', mac),
    set('arp_spa', ip),
    { type: 'output', port: reservedPort.inPort },
  ];
}

/** A port of such a tier on its own switch, beside what every port has there. */
export function onProviderNetwork(port: LocalPort, patch: number): Flow[] {
  const { Classifier, ProviderIngress, NeighbourResponder, Hairpin, IngressConntrack, LocalOutput } = tables;
  const { number, mac, ofport } = port;
  const outside = { in_port: patch, vlan_vid: 0 };
  return port.ips.flatMap((ip): Flow[] => {
    if (ip.family === 6) return [];
    const { value } = ip;
    const packets: Match = { eth_type: ethType.ipv4, ipv4_dst: value };
    const asked: Match = { eth_type: ethType.arp, arp_tpa: value };
    return [
      flow(Classifier, 80, number, { ...outside, ...packets }, [], ProviderIngress),
      flow(Classifier, 80, number, { ...outside, ...asked }, [], ProviderIngress),
      flow(ProviderIngress, 115, number, { ...outside, ...asked, arp_op: arp.request }, answerArp(mac, value)),
      flow(
        ProviderIngress,
        115,
        number,
        { ...outside, ...asked, arp_op: arp.reply, eth_dst: mac },
        [load(registers.outPort, ofport)],
        LocalOutput,
      ),
      flow(
        ProviderIngress,
        100,
        number,
        { ...outside, ...packets, eth_dst: mac },
        [
          load(registers.key, port.key),
          load(registers.network, port.network),
          load(registers.tier, port.tier),
          load(registers.outPort, ofport),
          load(registers.zone, port.zone),
          load(registers.portEpoch, port.epoch),
        ],
        IngressConntrack,
      ),
      // It announces itself, as after a migration, or asks whether anybody else has its address (RFC 5227).
      flow(NeighbourResponder, 110, number, { ...cameFrom(port), ...asked }, [{ type: 'output', port: patch }]),
      // What others on this switch send there does not come back from the provider network.
      flow(
        Hairpin,
        110,
        number,
        matching({ ...asked, arp_op: arp.request }, registers.outPort, patch),
        answerArp(mac, value),
      ),
      flow(Hairpin, 110, number, matching({ ...packets, eth_dst: mac }, registers.outPort, patch), [
        { type: 'ctClear' },
        set('in_port', patch),
        clearFlags(),
        { type: 'resubmit', table: ProviderIngress.id },
      ]),
    ];
  });
}
