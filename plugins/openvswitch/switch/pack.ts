/** A pass in one buffer: one transfer to another thread, however many units. */
import type { Pass } from '../../../src/drivers/switch-plugin.ts';
import type { PackedPass } from './southbound.ts';

export function pack({ sequence, set, remove }: Pass): PackedPass & { flows: Uint8Array<ArrayBuffer> } {
  const flows = new Uint8Array(set.reduce((sum, unit) => sum + unit.flows.length, 0));
  let at = 0;
  const packed = set.map(({ unit, on, flows: records }) => {
    const start = at;
    flows.set(records, start);
    at += records.length;
    return { unit, on, at: start, length: records.length };
  });
  return { sequence, flows, set: packed, remove };
}
