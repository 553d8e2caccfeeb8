/** The actions that write fields: set_field and copy_field (OpenFlow 1.5.1 sections 7.2.6.7 and 7.2.6.8). */

import type { Action, Subfield } from '../../../src/pipeline/flow.ts';
import type { ByteWriter } from './bytes.ts';
import { ProtocolError, VocabularyError } from './errors.ts';
import { type FieldSpec, fieldOfHeader, fieldSpec, legacyInPortHeader } from './fields.ts';
import { checkPort, fromLegacyPort, toLegacyPort } from './ports.ts';
import type { PacketKind } from './prerequisites.ts';
import { narrow, putNarrow, putWords, readScalar, toWords } from './scalar.ts';

export type SetField = Extract<Action, { type: 'setField' }>;
export type Move = Extract<Action, { type: 'move' }>;

/** Where an action stands: conntrack fields can be written in ct's exec only, and others there not. */
export type ActionPlace = 'list' | 'ct exec';

/** OFPAT_SET_FIELD and OFPAT_COPY_FIELD. */
export const setFieldType = 25;
export const copyFieldType = 28;

const maskBit = 0x100;
const valueWords = new Uint32Array(4);
const maskWords = new Uint32Array(4);

/** Throws an Error on a subfield outside its field, or whose field the packets of `kind` do not have. */
export function checkSubfield(subfield: Subfield, kind: PacketKind | undefined, use: string): FieldSpec {
  const spec = fieldSpec(subfield.field);
  const { offset, bits } = subfield;
  if (!Number.isInteger(offset) || !Number.isInteger(bits) || offset < 0 || bits < 1 || offset + bits > spec.moveBits) {
    throw new Error(`${use} ${spec.name}: no ${bits} bits from bit ${offset} in ${spec.moveBits}`);
  }
  kind?.require(spec, use);
  return spec;
}

export function checkTarget(spec: FieldSpec, place: ActionPlace): void {
  if (!spec.writable) throw new Error(`${spec.name} cannot be written`);
  const ofConnection = spec.name === 'ct_mark' || spec.name === 'ct_label';
  if (ofConnection && place !== 'ct exec') throw new Error(`${spec.name} can be written in ct exec only`);
  if (!ofConnection && place === 'ct exec') throw new Error(`${spec.name} cannot be written in ct exec`);
}

export function putSetField(
  target: ByteWriter,
  action: SetField,
  kind: PacketKind | undefined,
  place: ActionPlace,
): void {
  const spec = fieldSpec(action.field);
  checkTarget(spec, place);
  kind?.require(spec, 'set');
  const start = target.length;
  target.u32(setFieldType << 16);
  if (spec.name === 'in_port') putInPort(target, action, spec);
  else if (spec.bytes > 4) putWide(target, action, spec);
  else putShort(target, action, spec);
  target.pad(start, 8);
  target.setU16(start + 2, target.length - start);
}

function putInPort(target: ByteWriter, action: SetField, spec: FieldSpec): void {
  if (action.mask !== undefined && BigInt(action.mask) !== 0xffffffffn) throw new Error('set in_port takes no mask');
  target.u32(legacyInPortHeader);
  target.u16(toLegacyPort(checkPort(narrow(spec, action.value), 'set in_port')));
}

function putShort(target: ByteWriter, action: SetField, spec: FieldSpec): void {
  const mask = action.mask === undefined ? spec.full : narrow(spec, action.mask);
  if (mask === 0) throw new Error(`set ${spec.name}: a mask of zero sets nothing`);
  const value = (narrow(spec, action.value) & mask) >>> 0;
  if (spec.name === 'vlan_vid' && (value & 0x1000) === 0) {
    throw new Error('set vlan_vid: the present bit 0x1000 must be in value and mask');
  }
  if (spec.name === 'arp_op' && value > 0xff) throw new Error('set arp_op: Open vSwitch knows 8 bits');
  const exact = mask === spec.full;
  // The switch would take it, but ovs-ofctl cannot read what it then prints.
  if (!exact && !spec.maskable) throw new Error(`set ${spec.name} takes no mask`);
  target.u32(exact ? spec.header : (spec.header | maskBit) + spec.bytes);
  putNarrow(target, value, spec.bytes);
  if (!exact) putNarrow(target, mask, spec.bytes);
}

function putWide(target: ByteWriter, action: SetField, spec: FieldSpec): void {
  toWords(spec, action.value, valueWords);
  if (action.mask === undefined || isFull(spec, action.mask)) {
    target.u32(spec.header);
    putWords(target, valueWords, spec.bytes);
    return;
  }
  toWords(spec, action.mask, maskWords);
  if (maskWords.every((word) => word === 0)) throw new Error(`set ${spec.name}: a mask of zero sets nothing`);
  for (let i = 0; i < 4; i++) valueWords[i] = valueWords[i]! & maskWords[i]!;
  target.u32((spec.header | maskBit) + spec.bytes);
  putWords(target, valueWords, spec.bytes);
  putWords(target, maskWords, spec.bytes);
}

function isFull(spec: FieldSpec, mask: number | bigint): boolean {
  return BigInt(mask) === spec.most;
}

export function putMove(target: ByteWriter, action: Move, kind: PacketKind | undefined, place: ActionPlace): void {
  const source = checkSubfield(action.source, kind, 'move from');
  const destination = checkSubfield(action.target, kind, 'move to');
  checkTarget(destination, place);
  if (action.source.bits !== action.target.bits) {
    throw new Error(`move: ${action.source.bits} bits into ${action.target.bits}`);
  }
  target.u32((copyFieldType << 16) | 24);
  target.u16(action.source.bits);
  target.u16(action.source.offset);
  target.u16(action.target.offset);
  target.u16(0);
  target.u32(source.header);
  target.u32(destination.header);
  target.zeros(4);
}

/** The set_field action at `at`, of `length` bytes, all within `bytes`. */
export function decodeSetField(bytes: Buffer, at: number, length: number): SetField {
  const header = bytes.readUInt32BE(at + 4);
  const payload = header & 0xff;
  const from = at + 8;
  const end = at + length;
  if (from + payload > end) throw new ProtocolError(`set_field of ${payload} bytes, ${end - from} there`);
  if (header === legacyInPortHeader) {
    return { type: 'setField', field: 'in_port', value: fromLegacyPort(bytes.readUInt16BE(from)) };
  }
  const spec = known(header, 'set_field');
  const hasMask = (header & maskBit) !== 0;
  if (payload !== spec.bytes * (hasMask ? 2 : 1)) throw new ProtocolError(`set ${spec.name} of ${payload} bytes`);
  if (!spec.writable || spec.name === 'in_port') throw new VocabularyError(`set ${spec.name} is none of ours`);
  const value = readScalar(bytes, from, spec.bytes);
  if (exceeds(spec, value)) throw new ProtocolError(`set ${spec.name}: more than ${spec.bits} bits`);
  if (!hasMask) return { type: 'setField', field: spec.name, value };
  const mask = readScalar(bytes, from + spec.bytes, spec.bytes);
  if (exceeds(spec, mask)) throw new ProtocolError(`set ${spec.name}: a mask of more than ${spec.bits} bits`);
  if (isFull(spec, mask)) return { type: 'setField', field: spec.name, value };
  if (!spec.maskable) throw new VocabularyError(`set ${spec.name} with a mask is none of ours`);
  return { type: 'setField', field: spec.name, value, mask };
}

function exceeds(spec: FieldSpec, value: number | bigint): boolean {
  return value > spec.most;
}

function known(header: number, use: string): FieldSpec {
  const spec = fieldOfHeader(header);
  if (spec === undefined) throw new VocabularyError(`${use}: field 0x${header.toString(16)} is none of ours`);
  return spec;
}

/** The copy_field action at `at`, of `length` bytes, all within `bytes`. */
export function decodeMove(bytes: Buffer, at: number, length: number): Move {
  if (length !== 24) throw new ProtocolError(`copy_field action of ${length} bytes, 24 wanted`);
  const bits = bytes.readUInt16BE(at + 4);
  return {
    type: 'move',
    source: decodeSubfield(bytes.readUInt32BE(at + 12), bytes.readUInt16BE(at + 6), bits),
    target: decodeSubfield(bytes.readUInt32BE(at + 16), bytes.readUInt16BE(at + 8), bits),
  };
}

export function decodeSubfield(header: number, offset: number, bits: number): Subfield {
  const spec = known(header, 'subfield');
  if ((header & 0x1ff) !== spec.bytes)
    throw new VocabularyError(`subfield of 0x${header.toString(16)} is none of ours`);
  if (bits < 1 || offset + bits > spec.moveBits) throw new ProtocolError(`subfield of ${spec.name} outside it`);
  return { field: spec.name, offset, bits };
}
