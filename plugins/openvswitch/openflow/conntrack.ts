/** The ct action (NXAST_CT, with NXAST_NAT and the exec actions nested in it; lib/ofp-actions.c). */

import type { Action } from '../../../src/pipeline/flow.ts';
import type { ByteWriter } from './bytes.ts';
import { ProtocolError, VocabularyError } from './errors.ts';
import { offsetAndBits } from './fields.ts';
import { niciraVendor, startNicira, whole } from './nicira.ts';
import { ethernet, type PacketKind } from './prerequisites.ts';
import {
  checkSubfield,
  copyFieldType,
  decodeMove,
  decodeSetField,
  decodeSubfield,
  type Move,
  putMove,
  putSetField,
  type SetField,
  setFieldType,
} from './set-field.ts';

type Conntrack = Extract<Action, { type: 'ct' }>;
type Nat = NonNullable<Conntrack['nat']>;

export const ctSubtype = 35;
const natSubtype = 36;
const ctHead = 24;
const natHead = 16;

const flag = { commit: 1, force: 2 } as const;
const noTable = 0xff;
/** Algs by the port they stand for. */
const algPort = { ftp: 21, tftp: 69 } as const;

const natFlag = { src: 1, dst: 2 } as const;
const range = { ipv4Min: 1, ipv4Max: 2, ipv6Min: 4, ipv6Max: 8, portMin: 16, portMax: 32 } as const;

export function putConntrack(target: ByteWriter, action: Conntrack, kind: PacketKind | undefined): void {
  if (kind?.isIp === false) throw new Error('ct: the match lacks its prerequisite (an IP eth_type)');
  if (action.force && !action.commit) throw new Error('ct: force needs commit');
  if (action.nat !== undefined && action.nat.kind !== 'restore' && !action.commit) {
    throw new Error(`ct nat: ${action.nat.kind} needs commit`);
  }
  const start = target.length;
  startNicira(target, 0, ctSubtype);
  target.u16((action.commit ? flag.commit : 0) | (action.force ? flag.force : 0));
  if (typeof action.zone === 'number') {
    target.u32(0);
    target.u16(whole(action.zone, 0, 0xffff, 'ct zone'));
  } else {
    const spec = checkSubfield(action.zone, kind, 'ct zone from');
    if (action.zone.bits !== 16) throw new Error(`ct: a zone has 16 bits, not ${action.zone.bits}`);
    target.u32(spec.legacyHeader);
    target.u16(offsetAndBits(action.zone.offset, 16));
  }
  target.u8(action.table === undefined ? noTable : whole(action.table, 0, noTable - 1, 'ct table'));
  target.zeros(3);
  target.u16(action.alg === undefined ? 0 : algPort[action.alg]);
  if (action.nat !== undefined) putNat(target, action.nat, kind);
  for (const inner of action.exec ?? []) putExec(target, inner, kind);
  const length = target.length - start;
  if (length > 0xfff8) throw new Error(`ct action of ${length} bytes`);
  target.setU16(start + 2, length);
}

function putExec(target: ByteWriter, action: Action, kind: PacketKind | undefined): void {
  if (action.type === 'setField') putSetField(target, action, kind, 'ct exec');
  else if (action.type === 'move') putMove(target, action, kind, 'ct exec');
  else throw new Error(`ct exec: ${action.type} is not allowed, only setField and move to ct_mark and ct_label are`);
}

function putNat(target: ByteWriter, nat: Nat, kind: PacketKind | undefined): void {
  const { ipMin, portMin } = nat;
  // A range of one is the same as none, and is what ovs-ofctl shows.
  const ipMax = nat.ipMax === ipMin ? undefined : nat.ipMax;
  const portMax = nat.portMax === portMin ? undefined : nat.portMax;
  if (nat.kind === 'restore' && (ipMin ?? ipMax ?? portMin ?? portMax) !== undefined) {
    throw new Error('ct nat: restore takes no addresses and no ports');
  }
  if (ipMin === undefined && (ipMax ?? portMin ?? portMax) !== undefined)
    throw new Error('ct nat: a range without ipMin');
  if (portMin === undefined && portMax !== undefined) throw new Error('ct nat: portMax without portMin');
  if (ipMin !== undefined && kind !== undefined && kind.ethType !== ethernet.ipv4) {
    throw new Error('ct nat: the match lacks its prerequisite (eth_type 0x0800)');
  }
  const start = target.length;
  startNicira(target, 0, natSubtype);
  target.zeros(2);
  target.u16(nat.kind === 'restore' ? 0 : natFlag[nat.kind]);
  target.u16(
    (ipMin === undefined ? 0 : range.ipv4Min) |
      (ipMax === undefined ? 0 : range.ipv4Max) |
      (portMin === undefined ? 0 : range.portMin) |
      (portMax === undefined ? 0 : range.portMax),
  );
  if (ipMin !== undefined) target.u32(whole(ipMin, 1, 0xffffffff, 'ct nat ipMin'));
  if (ipMax !== undefined) target.u32(whole(ipMax, ipMin!, 0xffffffff, 'ct nat ipMax'));
  if (portMin !== undefined) target.u16(whole(portMin, 1, 0xffff, 'ct nat portMin'));
  if (portMax !== undefined) target.u16(whole(portMax, portMin!, 0xffff, 'ct nat portMax'));
  target.pad(start, 8);
  target.setU16(start + 2, target.length - start);
}

/** The ct action at `at`, of `length` bytes, all within `bytes`. */
export function decodeConntrack(bytes: Buffer, at: number, length: number): Conntrack {
  if (length < ctHead) throw new ProtocolError(`ct action of ${length} bytes, at least ${ctHead} wanted`);
  const flags = bytes.readUInt16BE(at + 10);
  if ((flags & ~(flag.commit | flag.force)) !== 0)
    throw new VocabularyError(`ct flags 0x${flags.toString(16)} are not ours`);
  const zoneSource = bytes.readUInt32BE(at + 12);
  const zone = bytes.readUInt16BE(at + 16);
  const table = bytes[at + 18]!;
  const alg = bytes.readUInt16BE(at + 22);
  const action: Conntrack = {
    type: 'ct',
    zone: zoneSource === 0 ? zone : decodeSubfield(zoneSource, zone >> 6, (zone & 63) + 1),
  };
  if (flags & flag.commit) action.commit = true;
  if (flags & flag.force) action.force = true;
  if (table !== noTable) action.table = table;
  if (alg !== 0) action.alg = algName(alg);
  let next = at + ctHead;
  const end = at + length;
  if (next + natHead <= end && isNat(bytes, next)) {
    const natLength = bytes.readUInt16BE(next + 2);
    if (natLength < natHead || natLength % 8 !== 0 || next + natLength > end) {
      throw new ProtocolError(`nat action of ${natLength} bytes`);
    }
    action.nat = decodeNat(bytes, next, next + natLength);
    next += natLength;
  }
  if (next < end) action.exec = decodeExec(bytes, next, end);
  return action;
}

function algName(port: number): 'ftp' | 'tftp' {
  if (port === algPort.ftp) return 'ftp';
  if (port === algPort.tftp) return 'tftp';
  throw new VocabularyError(`ct alg ${port} is none of ours`);
}

/** Set_field and copy_field to ct_mark and ct_label, and nothing that could nest deeper. */
function decodeExec(bytes: Buffer, start: number, end: number): (SetField | Move)[] {
  const actions: (SetField | Move)[] = [];
  for (let at = start; at < end; ) {
    if (at + 8 > end) throw new ProtocolError(`action cut short at ${at}`);
    const type = bytes.readUInt16BE(at);
    const length = bytes.readUInt16BE(at + 2);
    if (length < 8 || length % 8 !== 0 || at + length > end) {
      throw new ProtocolError(`action of ${length} bytes at ${at}`);
    }
    if (type !== setFieldType && type !== copyFieldType) {
      throw new VocabularyError(`action type ${type} in ct exec is none of ours`);
    }
    const action = type === setFieldType ? decodeSetField(bytes, at, length) : decodeMove(bytes, at, length);
    const field = action.type === 'setField' ? action.field : action.target.field;
    if (field !== 'ct_mark' && field !== 'ct_label')
      throw new VocabularyError(`set ${field} in ct exec is none of ours`);
    actions.push(action);
    at += length;
  }
  return actions;
}

function isNat(bytes: Buffer, at: number): boolean {
  return (
    bytes.readUInt16BE(at) === 0xffff &&
    bytes.readUInt32BE(at + 4) === niciraVendor &&
    bytes.readUInt16BE(at + 8) === natSubtype
  );
}

function decodeNat(bytes: Buffer, at: number, end: number): Nat {
  const flags = bytes.readUInt16BE(at + 12);
  const present = bytes.readUInt16BE(at + 14);
  if (flags !== 0 && flags !== natFlag.src && flags !== natFlag.dst) {
    throw new VocabularyError(`nat flags 0x${flags.toString(16)} are none of ours`);
  }
  if ((present & (range.ipv6Min | range.ipv6Max)) !== 0) throw new VocabularyError('nat to IPv6 is none of ours');
  if ((present & ~0x3f) !== 0) throw new ProtocolError(`nat range 0x${present.toString(16)}`);
  const nat: Nat = { kind: flags === natFlag.src ? 'src' : flags === natFlag.dst ? 'dst' : 'restore' };
  let next = at + natHead;
  const take = (count: 2 | 4): number => {
    if (next + count > end) throw new ProtocolError('nat range cut short');
    const value = bytes.readUIntBE(next, count);
    next += count;
    return value;
  };
  if (present & range.ipv4Min) nat.ipMin = take(4);
  if (present & range.ipv4Max) nat.ipMax = take(4);
  if (present & range.portMin) nat.portMin = take(2);
  if (present & range.portMax) nat.portMax = take(2);
  return nat;
}
