/**
 * What a match says about the kind of packet, which decides what fields and actions make sense beside it. Open vSwitch
 * refuses the others (OFPBMC_BAD_PREREQ, OFPBAC_MATCH_INCONSISTENT); we do so before they are sent. ovs-fields(7).
 */

import type { FieldSpec, Prerequisite } from './fields.ts';

export const ethernet = { ipv4: 0x0800, arp: 0x0806, rarp: 0x8035, ipv6: 0x86dd } as const;
export const ipProtocol = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58, sctp: 132 } as const;

const neighbourSolicit = 135;
const neighbourAdvert = 136;

/** Fields a match gives exactly, -1 where it does not. */
export class PacketKind {
  ethType = -1;
  ipProto = -1;
  icmpType = -1;
  icmpCode = -1;
  tagged = false;
  laterFragment = false;

  clear(): void {
    this.ethType = -1;
    this.ipProto = -1;
    this.icmpType = -1;
    this.icmpCode = -1;
    this.tagged = false;
    this.laterFragment = false;
  }

  /** Takes note of a matched field; fields come in Open vSwitch's order, so what others need comes before them. */
  note(spec: FieldSpec, value: number): void {
    switch (spec.name) {
      case 'eth_type':
        this.ethType = value;
        break;
      case 'ip_proto':
        this.ipProto = value;
        break;
      case 'icmpv6_type':
        this.icmpType = value;
        break;
      case 'icmpv6_code':
        this.icmpCode = value;
        break;
      case 'vlan_vid':
        this.tagged = (value & 0x1000) !== 0;
        break;
      case 'ip_frag':
        this.laterFragment = (value & 2) !== 0;
        break;
      default:
    }
  }

  get isIp(): boolean {
    return this.ethType === ethernet.ipv4 || this.ethType === ethernet.ipv6;
  }

  meets(prerequisite: Prerequisite): boolean {
    switch (prerequisite) {
      case 'none':
        return true;
      case 'vlan':
        return this.tagged;
      case 'ip':
        return this.isIp;
      case 'ipv4':
        return this.ethType === ethernet.ipv4;
      case 'ipv6':
        return this.ethType === ethernet.ipv6;
      case 'arp':
        return this.ethType === ethernet.arp || this.ethType === ethernet.rarp;
      case 'tcp':
        return this.#transport(ipProtocol.tcp);
      case 'udp':
        return this.#transport(ipProtocol.udp);
      case 'sctp':
        return this.#transport(ipProtocol.sctp);
      case 'icmpv4':
        return this.ethType === ethernet.ipv4 && this.ipProto === ipProtocol.icmp;
      case 'icmpv6':
        return this.#isIcmpv6;
      case 'nd':
        return this.#isNeighbour(neighbourSolicit) || this.#isNeighbour(neighbourAdvert);
      case 'nd solicit':
        return this.#isNeighbour(neighbourSolicit);
      case 'nd advert':
        return this.#isNeighbour(neighbourAdvert);
    }
  }

  #transport(protocol: number): boolean {
    // A later fragment has no transport header.
    return this.isIp && this.ipProto === protocol && !this.laterFragment;
  }

  get #isIcmpv6(): boolean {
    return this.ethType === ethernet.ipv6 && this.ipProto === ipProtocol.icmpv6;
  }

  #isNeighbour(type: number): boolean {
    return this.#isIcmpv6 && this.icmpType === type && this.icmpCode <= 0;
  }

  /** Throws an Error that says what the match lacks for the field. */
  require(spec: FieldSpec, use: string): void {
    if (!this.meets(spec.prerequisite)) {
      throw new Error(`${use} ${spec.name}: the match lacks its prerequisite (${explain[spec.prerequisite]})`);
    }
  }
}

const explain: Record<Prerequisite, string> = {
  none: '',
  vlan: 'vlan_vid with the present bit 0x1000',
  ip: 'eth_type 0x0800 or 0x86dd',
  ipv4: 'eth_type 0x0800',
  ipv6: 'eth_type 0x86dd',
  arp: 'eth_type 0x0806',
  tcp: 'an IP eth_type and ip_proto 6, no later fragment',
  udp: 'an IP eth_type and ip_proto 17, no later fragment',
  sctp: 'an IP eth_type and ip_proto 132, no later fragment',
  icmpv4: 'eth_type 0x0800 and ip_proto 1',
  icmpv6: 'eth_type 0x86dd and ip_proto 58',
  nd: 'eth_type 0x86dd, ip_proto 58, icmpv6_type 135 or 136 and icmpv6_code 0',
  'nd solicit': 'eth_type 0x86dd, ip_proto 58, icmpv6_type 135 and icmpv6_code 0',
  'nd advert': 'eth_type 0x86dd, ip_proto 58, icmpv6_type 136 and icmpv6_code 0',
};
