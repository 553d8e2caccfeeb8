/** Instructions (OpenFlow 1.5.1 section 7.2.5): apply_actions and goto_table, in Open vSwitch's order. */

import type { Action } from '../../../src/pipeline/flow.ts';
import { decodeActions, encodeActions } from './actions.ts';
import { asBuffer, type ByteWriter, need } from './bytes.ts';
import { ProtocolError, VocabularyError } from './errors.ts';
import { whole } from './nicira.ts';
import type { PacketKind } from './prerequisites.ts';

const instruction = { gotoTable: 1, applyActions: 4 } as const;

/** Open vSwitch's highest table; 255 means all tables. */
export const highestTable = 253;

/** Appends apply_actions (none for an empty list) and goto_table. Throws an Error as encodeActions does. */
export function encodeInstructions(
  target: ByteWriter,
  actions: readonly Action[],
  goto: number | undefined,
  kind?: PacketKind,
): void {
  if (actions.length > 0) {
    checkConjunctions(actions, goto);
    const start = target.length;
    target.u32(instruction.applyActions << 16);
    target.u32(0);
    encodeActions(target, actions, kind);
    const length = target.length - start;
    if (length > 0xffff) throw new Error(`actions of ${length} bytes do not fit an instruction`);
    target.setU16(start + 2, length);
  }
  if (goto === undefined) return;
  target.u32((instruction.gotoTable << 16) | 8);
  target.u32(whole(goto, 0, highestTable, 'goto') << 24);
}

/** A clause of a conjunction does nothing else; Open vSwitch refuses it otherwise (NXBAC_BAD_CONJUNCTION). */
function checkConjunctions(actions: readonly Action[], goto: number | undefined): void {
  let conjunctions = 0;
  let others = goto === undefined ? 0 : 1;
  for (const { type } of actions) {
    if (type === 'conjunction') conjunctions++;
    else if (type !== 'note') others++;
  }
  if (conjunctions > 0 && others > 0)
    throw new Error('conjunction goes with note only, not with other actions or goto');
}

/** Reads the instructions of `source[start, end)`. Throws ProtocolError, VocabularyError where they are not ours. */
export function decodeInstructions(
  source: Uint8Array,
  start = 0,
  end = source.length,
): { actions: Action[]; goto?: number } {
  const bytes = asBuffer(source);
  need(bytes, start, end - start, 'instructions');
  let actions: Action[] | undefined;
  let goto: number | undefined;
  for (let at = start; at < end; ) {
    if (at + 8 > end) throw new ProtocolError(`instruction cut short at ${at}`);
    const type = bytes.readUInt16BE(at);
    const length = bytes.readUInt16BE(at + 2);
    if (length < 8 || length % 8 !== 0 || at + length > end) {
      throw new ProtocolError(`instruction of ${length} bytes at ${at}`);
    }
    if (type === instruction.applyActions && actions === undefined) {
      actions = decodeActions(bytes, at + 8, at + length);
    } else if (type === instruction.gotoTable && goto === undefined) {
      goto = bytes[at + 4]!;
    } else if (type === instruction.applyActions || type === instruction.gotoTable) {
      throw new ProtocolError(`instruction ${type} twice`);
    } else {
      throw new VocabularyError(`instruction ${type} is none of ours`);
    }
    at += length;
  }
  return goto === undefined ? { actions: actions ?? [] } : { actions: actions ?? [], goto };
}
