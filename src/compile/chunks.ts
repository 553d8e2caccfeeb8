/**
 * Many flows as several units, so that where one of them changes, one unit is sent and compared, and not all. In which unit
 * a flow is follows from its match and from how many there are, to the next power of two.
 */
import type { HypervisorNumber } from '../drivers/switch-plugin.ts';
import type { Flow, Match, MatchValue, Scalar } from '../pipeline/flow.ts';
import type { Unit } from './state.ts';

/** Flows of a unit, about; fewer than twice that are one unit. */
const perUnit = 64;

const mostUnits = 256;

/** @param key of the unit where it is one; else `KEY/NUMBER` */
export function chunked(key: string, on: HypervisorNumber[], flows: Flow[]): Unit[] {
  if (flows.length === 0) return [];
  if (flows.length < 2 * perUnit) return [{ key, on, flows }];
  const count = Math.min(mostUnits, 2 ** Math.ceil(Math.log2(flows.length / perUnit)));
  const chunks = Array.from({ length: count }, (): Flow[] => []);
  for (const flow of flows) chunks[spread(flow.match) & (count - 1)]!.push(flow);
  return chunks.flatMap((chunk, number) => (chunk.length === 0 ? [] : [{ key: `${key}/${number}`, on, flows: chunk }]));
}

/** 32 bits, whatever order the fields are in. */
function spread(match: Match): number {
  let sum = 0;
  for (const value of Object.values(match) as MatchValue[])
    sum = (sum + (typeof value === 'object' ? mixed(value.value) ^ mixed(value.mask) : mixed(value))) | 0;
  return sum ^ (sum >>> 16);
}

/** MurmurHash3's finaliser over the lower 32 bits, in which addresses of a network differ. */
function mixed(value: Scalar): number {
  let h = typeof value === 'bigint' ? Number(BigInt.asUintN(32, value)) : value;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
