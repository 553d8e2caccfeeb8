import type { Match } from '../../../src/pipeline/flow.ts';
import type { ByteWriter } from './bytes.ts';

/** Appends a whole ofp_match (header, OXM fields, padding to 8 bytes); returns the bytes it took. */
export function encodeMatch(_target: ByteWriter, _match: Match): number {
  throw new Error('encodeMatch is being written');
}

/** Reads a whole ofp_match at `at`; `length` is the padded one. Throws ProtocolError. */
export function decodeMatch(_bytes: Uint8Array, _at: number): { match: Match; length: number } {
  throw new Error('decodeMatch is being written');
}
