/** What Nicira's actions share (struct ext_action_header of lib/ofp-actions.c), and a check of arguments. */

import type { ByteWriter } from './bytes.ts';

/** Nicira's experimenter id, include/openflow/openflow-common.h. */
export const niciraVendor = 0x00002320;

/** Appends a Nicira action's header up to and with its subtype: 10 bytes. */
export function startNicira(target: ByteWriter, length: number, subtype: number): void {
  target.u32(0xffff0000 | length);
  target.u32(niciraVendor);
  target.u16(subtype);
}

/** Throws an Error unless `value` is a whole number of the range; returns it. */
export function whole(value: number, least: number, most: number, what: string): number {
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new Error(`${what}: ${value} is not a whole number from ${least} to ${most}`);
  }
  return value;
}
