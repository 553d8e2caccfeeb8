/** Packets that flows send to the controller: NXT_PACKET_IN2, include/openflow/nicira-ext.h (Open vSwitch 2.6). */

import type { Match, PacketInReason } from '../../../src/pipeline/flow.ts';
import { asBuffer, need } from './bytes.ts';
import { ProtocolError } from './errors.ts';
import { decodeKnownFields } from './match.ts';
import { experimenter } from './messages.ts';
import { niciraVendor } from './nicira.ts';
import { packetInReasons } from './packet-in-action.ts';

/** NXT_*, lib/ofp-msgs.h. */
const niciraType = { setPacketInFormat: 16, packetIn2: 30 } as const;
/** NXPIF_NXT_PACKET_IN2. */
const packetIn2Format = 2;
/** NXPINT_*. */
const property = { packet: 0, fullLength: 1, table: 3, cookie: 4, reason: 5, metadata: 6, userdata: 7 } as const;
const propertyHead = 4;

/** Asks for packets with userdata, which the standard message does not carry. */
export function setPacketInFormat(xid: number): Buffer {
  return experimenter(xid, niciraType.setPacketInFormat, (writer) => writer.u32(packetIn2Format));
}

export type PacketInMessage = {
  /** A view into the message. */
  bytes: Buffer;
  /** Of the packet, of which `bytes` may be the beginning only. */
  length: number;
  table: number;
  /** Of the flow; all ones where there is none. */
  cookie: bigint;
  reason: PacketInReason | undefined;
  /** in_port, metadata, registers and tunnel as far as our vocabulary goes; what is zero is left out. */
  fields: Match;
  /** A view into the message; empty where the flow gave none. */
  userdata: Buffer;
};

/** Of an experimenter message; undefined where it is another. Throws ProtocolError. */
export function parsePacketIn(body: Uint8Array): PacketInMessage | undefined {
  const bytes = asBuffer(body);
  need(bytes, 0, 8, 'experimenter message');
  if (bytes.readUInt32BE(0) !== niciraVendor || bytes.readUInt32BE(4) !== niciraType.packetIn2) return undefined;
  const found: PacketInMessage = {
    bytes: Buffer.alloc(0),
    length: 0,
    table: 0,
    cookie: 0xffff_ffff_ffff_ffffn,
    reason: undefined,
    fields: {},
    userdata: Buffer.alloc(0),
  };
  for (let at = 8; at < bytes.length; ) {
    need(bytes, at, propertyHead, 'packet-in property');
    const type = bytes.readUInt16BE(at);
    const length = bytes.readUInt16BE(at + 2);
    if (length < propertyHead) throw new ProtocolError(`packet-in property of ${length} bytes`);
    need(bytes, at, length, 'packet-in property');
    take(found, type, bytes.subarray(at + propertyHead, at + length));
    at += (length + 7) & ~7;
  }
  if (found.bytes.length === 0) throw new ProtocolError('packet-in without a packet');
  found.length = Math.max(found.length, found.bytes.length);
  return found;
}

function take(found: PacketInMessage, type: number, value: Buffer): void {
  switch (type) {
    case property.packet:
      found.bytes = value;
      break;
    case property.fullLength:
      need(value, 0, 4, 'packet-in full length');
      found.length = value.readUInt32BE(0);
      break;
    case property.table:
      need(value, 0, 1, 'packet-in table');
      found.table = value[0]!;
      break;
    case property.cookie:
      // Padded to a multiple of 8 in front (struct ofp_prop_be64).
      need(value, 0, 12, 'packet-in cookie');
      found.cookie = value.readBigUInt64BE(4);
      break;
    case property.reason:
      need(value, 0, 1, 'packet-in reason');
      found.reason = packetInReasons[value[0]!];
      break;
    case property.metadata:
      found.fields = decodeKnownFields(value);
      break;
    case property.userdata:
      found.userdata = value;
      break;
    default:
    // What a later version adds is none of ours.
  }
}
