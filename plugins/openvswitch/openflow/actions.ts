import type { Action } from '../../../src/pipeline/flow.ts';
import type { ByteWriter } from './bytes.ts';

/** Appends an action list; throws an Error on an action OpenFlow cannot say. */
export function encodeActions(_target: ByteWriter, _actions: readonly Action[]): void {
  throw new Error('encodeActions is being written');
}

/** Reads the action list of `bytes[start, end)`. Throws ProtocolError. */
export function decodeActions(_bytes: Uint8Array, _start: number, _end: number): Action[] {
  throw new Error('decodeActions is being written');
}
