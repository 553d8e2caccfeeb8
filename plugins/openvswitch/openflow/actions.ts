/**
 * Actions (OpenFlow 1.5.1 section 7.2.6, and Nicira's of lib/ofp-actions.c) as Open vSwitch 3.1 gives them back.
 * set-field.ts and conntrack.ts have the larger ones.
 */

import { type Action, reservedPort, type Subfield } from '../../../src/pipeline/flow.ts';
import { asBuffer, type ByteWriter, need } from './bytes.ts';
import { ctSubtype, decodeConntrack, putConntrack } from './conntrack.ts';
import { ProtocolError, VocabularyError } from './errors.ts';
import { type FieldSpec, offsetAndBits } from './fields.ts';
import { niciraVendor, startNicira, whole } from './nicira.ts';
import { controllerSubtype, decodeController, putController } from './packet-in-action.ts';
import { decodePortBundle, portBundleSubtype, putPortBundle } from './port-bundle.ts';
import { checkPort, fromLegacyPort, toLegacyPort } from './ports.ts';
import type { PacketKind } from './prerequisites.ts';
import {
  checkSubfield,
  checkTarget,
  copyFieldType,
  decodeMove,
  decodeSetField,
  decodeSubfield,
  putMove,
  putSetField,
  setFieldType,
} from './set-field.ts';

/** OFPAT_*. */
const actionType = { output: 0, group: 22, decNwTtl: 24, meter: 29, experimenter: 0xffff } as const;

/** NXAST_*, lib/ofp-actions.c. */
const niciraSubtype = {
  note: 8,
  resubmitTable: 14,
  outputReg: 15,
  stackPush: 27,
  stackPop: 28,
  conjunction: 34,
  clone: 42,
  ctClear: 43,
  checkPktLarger: 49,
} as const;

/** OFPCML_NO_BUFFER: the whole frame to the controller. */
const wholeFrame = 0xffff;
const highestMeter = 0xffff0000;
/** OFPG_MAX. */
const highestGroup = 0xffffff00;
const highestTable = 0xfe;

/**
 * Appends an action list. `kind` is what the match says about the packet; without it prerequisites are not looked at.
 * Throws an Error on an action that Open vSwitch would refuse whatever the state of the switch.
 */
export function encodeActions(target: ByteWriter, actions: readonly Action[], kind?: PacketKind): void {
  for (const action of actions) encodeAction(target, action, kind);
}

function encodeAction(target: ByteWriter, action: Action, kind: PacketKind | undefined): void {
  switch (action.type) {
    case 'output':
      putOutput(target, action.port);
      break;
    case 'outputReg': {
      const { source } = action;
      const spec = checkSubfield(source, kind, 'output from');
      startNicira(target, 24, niciraSubtype.outputReg);
      target.u16(offsetAndBits(source.offset, source.bits));
      target.u32(spec.legacyHeader);
      target.u16(wholeFrame);
      target.zeros(6);
      break;
    }
    case 'group':
      putShort(target, actionType.group, whole(action.group, 0, highestGroup, 'group'));
      break;
    case 'meter':
      putShort(target, actionType.meter, whole(action.meter, 1, highestMeter, 'meter'));
      break;
    case 'controller':
      putController(target, action);
      break;
    case 'bundle':
    case 'bundleLoad':
      putPortBundle(target, action, kind);
      break;
    case 'checkPktLarger':
      putCheckPktLarger(target, action);
      break;
    case 'push':
      putStack(target, niciraSubtype.stackPush, checkSubfield(action.source, kind, 'push'), action.source);
      break;
    case 'pop': {
      const spec = checkSubfield(action.target, kind, 'pop to');
      checkTarget(spec, 'list');
      putStack(target, niciraSubtype.stackPop, spec, action.target);
      break;
    }
    case 'clone':
      putClone(target, action.actions, kind);
      break;
    case 'setField':
      putSetField(target, action, kind, 'list');
      break;
    case 'move':
      putMove(target, action, kind, 'list');
      break;
    case 'decTtl':
      if (kind?.isIp === false) throw new Error('decTtl: the match lacks its prerequisite (an IP eth_type)');
      putShort(target, actionType.decNwTtl, 0);
      break;
    case 'ct':
      putConntrack(target, action, kind);
      break;
    case 'ctClear':
      startNicira(target, 16, niciraSubtype.ctClear);
      target.zeros(6);
      break;
    case 'conjunction': {
      const clauses = whole(action.clauses, 2, 64, 'conjunction clauses');
      startNicira(target, 16, niciraSubtype.conjunction);
      target.u8(whole(action.clause, 1, clauses, 'conjunction clause') - 1);
      target.u8(clauses);
      target.u32(whole(action.id, 0, 0xffffffff, 'conjunction id'));
      break;
    }
    case 'resubmit':
      startNicira(target, 16, niciraSubtype.resubmitTable);
      target.u16(toLegacyPort(checkPort(action.port ?? reservedPort.inPort, 'resubmit')));
      target.u8(whole(action.table, 0, highestTable, 'resubmit table'));
      target.zeros(3);
      break;
    case 'note':
      putNote(target, action.data);
      break;
    default:
      action satisfies never;
      throw new Error(`unknown action "${(action as Action).type}"`);
  }
}

function putShort(target: ByteWriter, type: number, argument: number): void {
  target.u32((type << 16) | 8);
  target.u32(argument);
}

function putOutput(target: ByteWriter, port: number): void {
  checkPort(port, 'output');
  if (port === reservedPort.any) throw new Error('output: ANY is no port to send to');
  target.u32((actionType.output << 16) | 16);
  target.u32(port);
  target.u16(port === reservedPort.controller ? wholeFrame : 0);
  target.zeros(6);
}

function putCheckPktLarger(target: ByteWriter, action: Extract<Action, { type: 'checkPktLarger' }>): void {
  const spec = checkSubfield(action.target, undefined, 'check_pkt_larger to');
  checkTarget(spec, 'list');
  if (action.target.bits !== 1) throw new Error(`check_pkt_larger: one bit says it, not ${action.target.bits}`);
  startNicira(target, 24, niciraSubtype.checkPktLarger);
  target.u16(whole(action.length, 0, 0xffff, 'check_pkt_larger'));
  target.u16(action.target.offset);
  target.u32(spec.legacyHeader);
  target.zeros(6);
}

function putStack(target: ByteWriter, subtype: number, spec: FieldSpec, { offset, bits }: Subfield): void {
  startNicira(target, 24, subtype);
  target.u16(offset);
  target.u32(spec.legacyHeader);
  target.u16(bits);
  target.zeros(6);
}

/** Bytes before what a clone action encloses. */
const cloneHead = 16;

function putClone(target: ByteWriter, actions: readonly Action[], kind: PacketKind | undefined): void {
  const start = target.length;
  startNicira(target, 0, niciraSubtype.clone);
  target.zeros(6);
  encodeActions(target, actions, kind);
  const length = target.length - start;
  if (length > 0xfff8) throw new Error(`clone of ${length} bytes`);
  target.setU16(start + 2, length);
}

/** Bytes before a note's data. */
const noteHead = 10;

function putNote(target: ByteWriter, data: Uint8Array): void {
  const length = Math.max(16, (noteHead + data.length + 7) & ~7);
  if (length > 0xfff8) throw new Error(`note of ${data.length} bytes`);
  startNicira(target, length, niciraSubtype.note);
  target.bytes(data);
  target.zeros(length - noteHead - data.length);
}

/**
 * Reads the action list of `source[start, end)`. Throws ProtocolError where it is not well-formed, VocabularyError on an
 * action that src/pipeline/flow.ts does not have. A note comes back with the zeros that pad it.
 */
export function decodeActions(source: Uint8Array, start = 0, end = source.length, depth = 0): Action[] {
  const bytes = asBuffer(source);
  if (depth > deepest) throw new VocabularyError(`actions within more than ${deepest} others are none of ours`);
  need(bytes, start, end - start, 'actions');
  const actions: Action[] = [];
  for (let at = start; at < end; ) {
    if (at + 8 > end) throw new ProtocolError(`action cut short at ${at}`);
    const length = bytes.readUInt16BE(at + 2);
    if (length < 8 || length % 8 !== 0 || at + length > end) {
      throw new ProtocolError(`action of ${length} bytes at ${at}`);
    }
    actions.push(decodeAction(bytes, at, length, depth));
    at += length;
  }
  return actions;
}

/** Open vSwitch takes more, but each costs it and us a call within a call. */
const deepest = 16;

function decodeAction(bytes: Buffer, at: number, length: number, depth: number): Action {
  const type = bytes.readUInt16BE(at);
  switch (type) {
    case actionType.output:
      return decodeOutput(bytes, at, length);
    case actionType.group:
      exactly(length, 8, 'group');
      return { type: 'group', group: bytes.readUInt32BE(at + 4) };
    case actionType.meter:
      exactly(length, 8, 'meter');
      return { type: 'meter', meter: bytes.readUInt32BE(at + 4) };
    case actionType.decNwTtl:
      exactly(length, 8, 'dec_ttl');
      return { type: 'decTtl' };
    case setFieldType:
      return decodeSetField(bytes, at, length);
    case copyFieldType:
      return decodeMove(bytes, at, length);
    case actionType.experimenter:
      return decodeNicira(bytes, at, length, depth);
    default:
      throw new VocabularyError(`action type ${type} is none of ours`);
  }
}

function decodeOutput(bytes: Buffer, at: number, length: number): Action {
  exactly(length, 16, 'output');
  const port = bytes.readUInt32BE(at + 4);
  // The length means something to the controller's port only.
  if (port === reservedPort.controller && bytes.readUInt16BE(at + 8) !== wholeFrame) {
    throw new VocabularyError('output of a part of the frame to the controller is none of ours');
  }
  return { type: 'output', port };
}

function exactly(length: number, wanted: number, what: string): void {
  if (length !== wanted) throw new ProtocolError(`${what} action of ${length} bytes, ${wanted} wanted`);
}

function decodeNicira(bytes: Buffer, at: number, length: number, depth: number): Action {
  if (length < 16) throw new ProtocolError(`experimenter action of ${length} bytes, at least 16 wanted`);
  const vendor = bytes.readUInt32BE(at + 4);
  const subtype = bytes.readUInt16BE(at + 8);
  if (vendor !== niciraVendor) {
    throw new VocabularyError(`action of experimenter 0x${vendor.toString(16)} is none of ours`);
  }
  switch (subtype) {
    case niciraSubtype.note:
      return { type: 'note', data: new Uint8Array(bytes.subarray(at + noteHead, at + length)) };
    case niciraSubtype.resubmitTable:
      return decodeResubmit(bytes, at, length);
    case niciraSubtype.outputReg: {
      exactly(length, 24, 'output_reg');
      const packed = bytes.readUInt16BE(at + 10);
      return { type: 'outputReg', source: decodeSubfield(bytes.readUInt32BE(at + 12), packed >> 6, (packed & 63) + 1) };
    }
    case niciraSubtype.conjunction:
      exactly(length, 16, 'conjunction');
      return {
        type: 'conjunction',
        id: bytes.readUInt32BE(at + 12),
        clause: bytes[at + 10]! + 1,
        clauses: bytes[at + 11]!,
      };
    case portBundleSubtype.output:
    case portBundleSubtype.load:
      return decodePortBundle(bytes, at, length);
    case controllerSubtype:
      return decodeController(bytes, at, length);
    case niciraSubtype.checkPktLarger:
      exactly(length, 24, 'check_pkt_larger');
      return {
        type: 'checkPktLarger',
        length: bytes.readUInt16BE(at + 10),
        target: decodeSubfield(bytes.readUInt32BE(at + 14), bytes.readUInt16BE(at + 12), 1),
      };
    case niciraSubtype.stackPush:
      return { type: 'push', source: decodeStack(bytes, at, length) };
    case niciraSubtype.stackPop:
      return { type: 'pop', target: decodeStack(bytes, at, length) };
    case niciraSubtype.clone:
      return { type: 'clone', actions: decodeActions(bytes, at + cloneHead, at + length, depth + 1) };
    case ctSubtype:
      return decodeConntrack(bytes, at, length);
    case niciraSubtype.ctClear:
      exactly(length, 16, 'ct_clear');
      return { type: 'ctClear' };
    default:
      throw new VocabularyError(`Nicira action ${subtype} is none of ours`);
  }
}

function decodeStack(bytes: Buffer, at: number, length: number): Subfield {
  exactly(length, 24, 'stack');
  return decodeSubfield(bytes.readUInt32BE(at + 12), bytes.readUInt16BE(at + 10), bytes.readUInt16BE(at + 16));
}

function decodeResubmit(bytes: Buffer, at: number, length: number): Action {
  exactly(length, 16, 'resubmit');
  const port = fromLegacyPort(bytes.readUInt16BE(at + 10));
  const table = bytes[at + 12]!;
  if (table > highestTable) throw new VocabularyError('resubmit to the same table is none of ours');
  return port === reservedPort.inPort ? { type: 'resubmit', table } : { type: 'resubmit', table, port };
}
