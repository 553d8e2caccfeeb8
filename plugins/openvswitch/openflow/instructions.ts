import type { Action } from '../../../src/pipeline/flow.ts';
import type { ByteWriter } from './bytes.ts';

/** Appends apply_actions (none for an empty list) and goto_table. */
export function encodeInstructions(_target: ByteWriter, _actions: readonly Action[], _goto: number | undefined): void {
  throw new Error('encodeInstructions is being written');
}

/** Reads the instructions of `bytes[start, end)`. Throws ProtocolError. */
export function decodeInstructions(
  _bytes: Uint8Array,
  _start: number,
  _end: number,
): { actions: Action[]; goto?: number } {
  throw new Error('decodeInstructions is being written');
}
