/**
 * The vocabulary of flows: what the compiler writes and what switch plugins encode, print and read back.
 * A subset of OpenFlow 1.5 with the Nicira extensions of Open vSwitch; names are those of ovs-fields(7).
 */

/** Width in bits of every match field the pipeline knows. */
export const fieldBits = {
  in_port: 32,
  eth_src: 48,
  eth_dst: 48,
  eth_type: 16,
  /** OpenFlow 1.2+ vlan_vid, 13 bits with OFPVID_PRESENT (0x1000); 0 exactly means "no tag". */
  vlan_vid: 13,
  vlan_pcp: 3,
  ip_dscp: 6,
  ip_ecn: 2,
  ip_proto: 8,
  ip_ttl: 8,
  /** NXM_NX_IP_FRAG: bit 0 any fragment, bit 1 later fragment. */
  ip_frag: 2,
  ipv4_src: 32,
  ipv4_dst: 32,
  ipv6_src: 128,
  ipv6_dst: 128,
  tcp_src: 16,
  tcp_dst: 16,
  tcp_flags: 12,
  udp_src: 16,
  udp_dst: 16,
  sctp_src: 16,
  sctp_dst: 16,
  icmpv4_type: 8,
  icmpv4_code: 8,
  icmpv6_type: 8,
  icmpv6_code: 8,
  arp_op: 16,
  arp_spa: 32,
  arp_tpa: 32,
  arp_sha: 48,
  arp_tha: 48,
  nd_target: 128,
  nd_sll: 48,
  nd_tll: 48,
  nd_reserved: 32,
  nd_options_type: 8,
  tun_id: 64,
  tun_src: 32,
  tun_dst: 32,
  metadata: 64,
  pkt_mark: 32,
  ct_state: 32,
  ct_zone: 16,
  ct_mark: 32,
  ct_label: 128,
  /** Original-direction tuple of the connection (NXM_NX_CT_*, Open vSwitch 2.8); need ct_state=+trk-inv in the match. */
  ct_nw_proto: 8,
  ct_nw_src: 32,
  ct_nw_dst: 32,
  ct_tp_src: 16,
  ct_tp_dst: 16,
  conj_id: 32,
  reg0: 32,
  reg1: 32,
  reg2: 32,
  reg3: 32,
  reg4: 32,
  reg5: 32,
  reg6: 32,
  reg7: 32,
  reg8: 32,
  reg9: 32,
  reg10: 32,
  reg11: 32,
  reg12: 32,
  reg13: 32,
  reg14: 32,
  reg15: 32,
  /** Registers 4n to 4n+3 as one, the lowest number most significant: written, moved and pushed, but not matched. */
  xxreg0: 128,
  xxreg1: 128,
  xxreg2: 128,
  xxreg3: 128,
} as const;

export type FieldName = keyof typeof fieldBits;

/** Numbers up to 48 bits (MACs included), bigint above; either is taken for any field. */
export type Scalar = number | bigint;
export type MatchValue = Scalar | { value: Scalar; mask: Scalar };
export type Match = Partial<Record<FieldName, MatchValue>>;

/** Part of a field: `bits` bits from bit `offset` (0 = least significant). */
export type Subfield = { field: FieldName; offset: number; bits: number };

/** ct_state bits, ovs-fields(7). */
export const ctState = {
  new: 0x01,
  est: 0x02,
  rel: 0x04,
  rpl: 0x08,
  inv: 0x10,
  trk: 0x20,
  snat: 0x40,
  dnat: 0x80,
} as const;

/** OpenFlow reserved ports, OpenFlow 1.5.1 section 7.2.1 (ofp_port_no). */
export const reservedPort = { inPort: 0xfffffff8, controller: 0xfffffffd, local: 0xfffffffe, any: 0xffffffff } as const;

/** OFPP_NONE of OpenFlow 1.0, 16 bits wide: what bundleLoad writes where no member is live. */
export const bundleNone = 0xffff;

/** Why a packet goes to the controller, OpenFlow 1.5.1 section 7.4.1 (ofp_packet_in_reason). */
export type PacketInReason = 'no_match' | 'action' | 'invalid_ttl' | 'action_set' | 'group' | 'packet_out';

export type Action =
  | { type: 'output'; port: number }
  /** NXAST_OUTPUT_REG: output to the port whose number the subfield holds. */
  | { type: 'outputReg'; source: Subfield }
  | { type: 'group'; group: number }
  /**
   * NXAST_BUNDLE: output to the first of the ports that is live in the switch's own eyes (BFD, where the port runs it, and
   * its carrier), by no port where none is. The switch takes the next one without being told.
   */
  | { type: 'bundle'; members: number[] }
  /** NXAST_BUNDLE_LOAD: writes the number of that port, bundleNone where none is live. The target has 16 bits or more. */
  | { type: 'bundleLoad'; target: Subfield; members: number[] }
  | { type: 'meter'; meter: number }
  | {
      /**
       * NXAST_CONTROLLER2 (Open vSwitch 2.6): a copy of the packet as it is here goes to the controller, and the packet
       * goes on. Only tables declared for it (`controller` in tables.ts) may use it.
       */
      type: 'controller';
      /** Says what the controller has to do with it; at least one byte. */
      userdata: Uint8Array;
      /** 16 bits: to that client of the switch which took this id (NXT_SET_CONTROLLER_ID), 0 where left out: the controllers. */
      id?: number;
      /** Limits the rate. A switch that has no such meter when the flow is added does not limit it. */
      meter?: number;
      /** Bytes of the packet that are sent; all of it where left out, and as userdata goes with it (seen on 3.1) also where given. */
      maxLength?: number;
      /** `action` where left out. */
      reason?: PacketInReason;
    }
  | {
      /** NXAST_CHECK_PKT_LARGER (Open vSwitch 2.12): sets one bit to whether the packet, Ethernet header included, is larger. */
      type: 'checkPktLarger';
      /** Bytes. */
      length: number;
      target: Subfield;
    }
  /** in_port may be set too, without a mask: another value than the real one lets a packet leave by its own port. */
  | { type: 'setField'; field: FieldName; value: Scalar; mask?: Scalar }
  /** NXAST_REG_MOVE / OFPAT_COPY_FIELD. */
  | { type: 'move'; source: Subfield; target: Subfield }
  | { type: 'decTtl' }
  | {
      /** NXAST_CT. */
      type: 'ct';
      commit?: boolean;
      force?: boolean;
      zone: number | Subfield;
      /** Recirculate to this table. */
      table?: number;
      alg?: 'ftp' | 'tftp';
      nat?: { kind: 'src' | 'dst' | 'restore'; ipMin?: number; ipMax?: number; portMin?: number; portMax?: number };
      /** setField / move on ct_mark and ct_label only. */
      exec?: Action[];
    }
  | { type: 'ctClear' }
  /** NXAST_CONJUNCTION: clause k of n, counted from 1 as ovs-ofctl does. Beside it only notes are allowed. */
  | { type: 'conjunction'; id: number; clause: number; clauses: number }
  | { type: 'resubmit'; table: number; port?: number }
  /** NXAST_NOTE: comes back from a switch with zeros that pad it to 6 bytes, 14, 22 … */
  | { type: 'note'; data: Uint8Array }
  /** NXAST_STACK_PUSH and NXAST_STACK_POP: the stack lasts while the packet passes the tables, resubmits included. */
  | { type: 'push'; source: Subfield }
  | { type: 'pop'; target: Subfield }
  /** NXAST_CLONE (Open vSwitch 2.7): the actions see and change a copy of packet and registers. */
  | { type: 'clone'; actions: Action[] };

/** Limits what passes it: a flow names it in an action, and a packet above the rate is dropped there. */
export type Meter = {
  /** Unique on a switch, 1 to 0xffff0000. */
  id: number;
  /** What it serves, as with a flow. */
  cookie: bigint;
  unit: 'kbps' | 'pktps';
  /** In the unit: kilobits (1000 bits) or packets a second. */
  rate: number;
  /** Kilobits or packets. */
  burst: number;
};

export type Flow = {
  table: number;
  priority: number;
  cookie: bigint;
  match: Match;
  /** Apply-actions, in order. None and no goto: drop. */
  actions: Action[];
  /** goto_table instruction; always a higher table. */
  goto?: number;
};
