/**
 * The 64-bit cookie of every flow: generation 12 | stage 8 | reserved 4 | resource number 40, most significant first.
 * From it any flow on any switch maps back to the stage that made it and to the resource it serves.
 */

/** Generation of the pipeline; rises when tables or registers change their meaning. 0 is never ours. */
export const generation = 2;

const resourceMask = (1n << 40n) - 1n;

/** @param resource resource number, 0 for flows that serve the pipeline itself */
export function cookie(stage: number, resource: number): bigint {
  return (BigInt(generation) << 52n) | (BigInt(stage) << 44n) | BigInt(resource);
}

export function cookieGeneration(value: bigint): number {
  return Number(value >> 52n);
}

/** The stage is the number of its first table. */
export function cookieStage(value: bigint): number {
  return Number((value >> 44n) & 0xffn);
}

export function cookieResource(value: bigint): number {
  return Number(value & resourceMask);
}
