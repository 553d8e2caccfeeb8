/**
 * ofp_match (OpenFlow 1.5.1 section 7.2.3): header, OXM fields, padding to 8 bytes. Encoding is canonical: fields in Open
 * vSwitch's order, value & mask, a mask of all ones left out, a mask of zero the field left out, registers folded into
 * 64-bit packet registers.
 */

import type { FieldName, Match, MatchValue, Scalar } from '../../../src/pipeline/flow.ts';
import { asBuffer, type ByteWriter, need } from './bytes.ts';
import { ProtocolError, VocabularyError } from './errors.ts';
import {
  type FieldSpec,
  fieldOfHeader,
  fieldSpec,
  fieldSpecs,
  packetRegisterHeader,
  packetRegisters,
  registerCount,
  registerOrder,
} from './fields.ts';
import { PacketKind } from './prerequisites.ts';
import { fullWords, narrow, putNarrow, putWords, readScalar, toWords } from './scalar.ts';

const maskBit = 0x100;

const full = new Map<FieldSpec, Uint32Array>(fieldSpecs.map((spec) => [spec, fullWords(spec)]));

// Encoding is synchronous and not reentrant, so that one set of scratch does for all.
const pending: FieldSpec[] = [];
const pendingValues: MatchValue[] = [];
const registerValue = new Uint32Array(registerCount);
const registerMask = new Uint32Array(registerCount);
const valueWords = new Uint32Array(4);
const maskWords = new Uint32Array(4);
const scratchKind = new PacketKind();

/**
 * Appends a whole ofp_match; returns the bytes it took. `kind` is told what the match says about the packet, for the
 * actions' prerequisites. Throws an Error on a value that does not fit, a mask where none is allowed, and a field
 * without its prerequisite.
 */
export function encodeMatch(target: ByteWriter, match: Match, kind: PacketKind = scratchKind): number {
  const start = target.length;
  target.u32(0x00010000); // OFPMT_OXM; the length follows below
  kind.clear();
  const count = sortFields(match);
  let registersPending = registersUsed;
  for (let i = 0; i < count; i++) {
    const spec = pending[i]!;
    if (registersPending && spec.order > registerOrder) {
      putRegisters(target);
      registersPending = false;
    }
    putField(target, spec, pendingValues[i]!, kind);
  }
  if (registersPending) putRegisters(target);
  target.setU16(start + 2, target.length - start);
  target.pad(start, 8);
  return target.length - start;
}

let registersUsed = false;

/** Puts the match's fields into `pending` in order, registers aside; returns how many. */
function sortFields(match: Match): number {
  let count = 0;
  registersUsed = false;
  for (const name in match) {
    const value = match[name as FieldName];
    if (value === undefined) continue;
    const spec = fieldSpec(name);
    if (!spec.matchable) throw new Error(`match on ${spec.name}: its registers are matched one by one`);
    if (spec.register >= 0) {
      takeRegister(spec, value);
      continue;
    }
    let at = count++;
    while (at > 0 && pending[at - 1]!.order > spec.order) {
      pending[at] = pending[at - 1]!;
      pendingValues[at] = pendingValues[at - 1]!;
      at--;
    }
    pending[at] = spec;
    pendingValues[at] = value;
  }
  return count;
}

function takeRegister(spec: FieldSpec, value: MatchValue): void {
  if (!registersUsed) {
    registerValue.fill(0);
    registerMask.fill(0);
    registersUsed = true;
  }
  const masked = typeof value === 'object';
  const mask = masked ? narrow(spec, value.mask) : 0xffffffff;
  registerMask[spec.register] = mask;
  registerValue[spec.register] = narrow(spec, masked ? value.value : value) & mask;
}

function putRegisters(target: ByteWriter): void {
  for (let high = 0; high < registerCount; high += 2) {
    const highMask = registerMask[high]!;
    const lowMask = registerMask[high + 1]!;
    if (highMask === 0 && lowMask === 0) continue;
    const exact = highMask === 0xffffffff && lowMask === 0xffffffff;
    const header = packetRegisterHeader(high >> 1);
    target.u32(exact ? header : (header | maskBit) + 8);
    target.u32(registerValue[high]!);
    target.u32(registerValue[high + 1]!);
    if (exact) continue;
    target.u32(highMask);
    target.u32(lowMask);
  }
}

function putField(target: ByteWriter, spec: FieldSpec, given: MatchValue, kind: PacketKind): void {
  if (spec.bytes > 4) putWide(target, spec, given, kind);
  else if (typeof given === 'object')
    putMasked(target, spec, narrow(spec, given.value), narrow(spec, given.mask), kind);
  else putMasked(target, spec, narrow(spec, given), spec.full, kind);
}

function putMasked(target: ByteWriter, spec: FieldSpec, value: number, mask: number, kind: PacketKind): void {
  const { kept } = spec;
  if (kept !== spec.full) {
    if ((value & mask & ~kept) !== 0) {
      throw new Error(`${spec.name}: Open vSwitch knows no bits above 0x${kept.toString(16)}`);
    }
    if (spec.maskable) mask &= kept;
  }
  if (mask === 0) return;
  const exact = mask === spec.full;
  if (!exact && !spec.maskable) throw new Error(`${spec.name} takes no mask`);
  kind.require(spec, 'match on');
  const masked = (value & mask) >>> 0;
  kind.note(spec, masked);
  target.u32(exact ? spec.header : (spec.header | maskBit) + spec.bytes);
  putNarrow(target, masked, spec.bytes);
  if (!exact) putNarrow(target, mask, spec.bytes);
}

function putWide(target: ByteWriter, spec: FieldSpec, given: MatchValue, kind: PacketKind): void {
  if (typeof given !== 'object') {
    toWords(spec, given, valueWords);
    kind.require(spec, 'match on');
    target.u32(spec.header);
    putWords(target, valueWords, spec.bytes);
    return;
  }
  toWords(spec, given.value, valueWords);
  toWords(spec, given.mask, maskWords);
  const ones = full.get(spec)!;
  let exact = true;
  let absent = true;
  for (let i = 0; i < 4; i++) {
    const mask = maskWords[i]!;
    if (mask !== 0) absent = false;
    if (mask !== ones[i]) exact = false;
    valueWords[i] = valueWords[i]! & mask;
  }
  if (absent) return;
  kind.require(spec, 'match on');
  target.u32(exact ? spec.header : (spec.header | maskBit) + spec.bytes);
  putWords(target, valueWords, spec.bytes);
  if (!exact) putWords(target, maskWords, spec.bytes);
}

/**
 * Reads a whole ofp_match at `at`; `length` includes the padding. Throws ProtocolError where it is not well-formed, and
 * VocabularyError on a field that src/pipeline/flow.ts does not have.
 */
export function decodeMatch(source: Uint8Array, at: number): { match: Match; length: number } {
  const bytes = asBuffer(source);
  const { end, length } = matchExtent(bytes, at);
  const match: Match = {};
  let next = at + 4;
  while (next < end) {
    if (next + 4 > end) throw new ProtocolError(`match field cut short at ${next}`);
    const header = bytes.readUInt32BE(next);
    const payload = header & 0xff;
    next += 4;
    if (next + payload > end)
      throw new ProtocolError(`match field of ${payload} bytes at ${next}, ${end - next} there`);
    takeField(match, bytes, next, header, payload);
    next += payload;
  }
  return { match, length };
}

/** The fields of a list without a match's header, those that src/pipeline/flow.ts does not have left out. Throws ProtocolError. */
export function decodeKnownFields(source: Uint8Array): Match {
  const bytes = asBuffer(source);
  const match: Match = {};
  for (let at = 0; at < bytes.length; ) {
    need(bytes, at, 4, 'field');
    const header = bytes.readUInt32BE(at);
    const payload = header & 0xff;
    need(bytes, at + 4, payload, 'field');
    try {
      takeField(match, bytes, at + 4, header, payload);
    } catch (error) {
      if (!(error instanceof VocabularyError)) throw error;
    }
    at += 4 + payload;
  }
  return match;
}

/** Checks an ofp_match's header; `end` is where its fields end, `length` its padded length. */
export function matchExtent(bytes: Buffer, at: number): { end: number; length: number } {
  need(bytes, at, 4, 'match');
  const type = bytes.readUInt16BE(at);
  if (type !== 1) throw new ProtocolError(`match type ${type}, OFPMT_OXM (1) wanted`);
  const unpadded = bytes.readUInt16BE(at + 2);
  if (unpadded < 4) throw new ProtocolError(`match of ${unpadded} bytes`);
  const length = (unpadded + 7) & ~7;
  need(bytes, at, length, 'match');
  return { end: at + unpadded, length };
}

function takeField(match: Match, bytes: Buffer, at: number, header: number, payload: number): void {
  const hasMask = (header & maskBit) !== 0;
  const width = hasMask ? payload >> 1 : payload;
  if (header >>> 16 === packetRegisters) {
    takePacketRegister(match, bytes, at, (header >>> 9) & 0x7f, hasMask, payload);
    return;
  }
  const spec = fieldOfHeader(header);
  if (spec !== undefined && !spec.matchable) throw new VocabularyError(`match on ${spec.name} is none of ours`);
  if (spec === undefined || width !== spec.bytes || payload !== (hasMask ? 2 : 1) * width) {
    const what = `match field 0x${header.toString(16)}`;
    if (spec === undefined) throw new VocabularyError(`${what} is none of ours`);
    throw new ProtocolError(`${what} (${spec.name}) of ${payload} bytes`);
  }
  const value = readScalar(bytes, at, width);
  const mask = hasMask ? readScalar(bytes, at + width, width) : undefined;
  setField(match, spec, value, mask);
}

function takePacketRegister(
  match: Match,
  bytes: Buffer,
  at: number,
  pair: number,
  hasMask: boolean,
  payload: number,
): void {
  if (pair * 2 >= registerCount) throw new VocabularyError(`packet register ${pair} is none of ours`);
  if (payload !== (hasMask ? 16 : 8)) throw new ProtocolError(`packet register ${pair} of ${payload} bytes`);
  for (let half = 0; half < 2; half++) {
    const mask = hasMask ? bytes.readUInt32BE(at + 8 + half * 4) : undefined;
    const value = bytes.readUInt32BE(at + half * 4);
    if (mask === 0) {
      if (value !== 0) throw new ProtocolError(`packet register ${pair}: ones outside the mask`);
      continue;
    }
    setField(match, fieldSpec(`reg${pair * 2 + half}`), value, mask);
  }
}

function setField(match: Match, spec: FieldSpec, value: Scalar, mask: Scalar | undefined): void {
  if (match[spec.name] !== undefined) throw new ProtocolError(`${spec.name} matched twice`);
  if (value > (typeof value === 'number' ? spec.mostNumber : spec.most)) {
    throw new ProtocolError(`${spec.name}: 0x${value.toString(16)} has more than ${spec.bits} bits`);
  }
  if (mask === undefined) match[spec.name] = value;
  else if (spec.bytes <= 4) setNarrow(match, spec, value as number, mask as number);
  else setWide(match, spec, value, mask);
}

function setNarrow(match: Match, spec: FieldSpec, value: number, given: number): void {
  const mask = (given & spec.full) >>> 0;
  if ((value & ~mask) !== 0) throw new ProtocolError(`${spec.name}: ones outside the mask`);
  if (mask === 0) return;
  if (!spec.maskable && mask !== spec.full) throw new ProtocolError(`${spec.name} takes no mask`);
  // Open vSwitch keeps 8 bits of ct_state and so never calls it exact.
  const exact = mask === spec.full || mask === spec.kept;
  match[spec.name] = exact ? value : { value, mask };
}

/** Fields of more than 32 bits all take masks. */
function setWide(match: Match, spec: FieldSpec, value: Scalar, mask: Scalar): void {
  if ((BigInt(value) & ~BigInt(mask)) !== 0n) throw new ProtocolError(`${spec.name}: ones outside the mask`);
  // biome-ignore lint/suspicious/noDoubleEquals: a number and a bigint may be equal
  if (mask == 0) return;
  // biome-ignore lint/suspicious/noDoubleEquals: a number and a bigint may be equal
  match[spec.name] = mask == spec.most ? value : { value, mask };
}
