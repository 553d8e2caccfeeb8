/** How figures are summed up and printed, the same way in every benchmark. */

/** The value below which the share `q` (0 to 1) of the samples lies. */
export function quantile(samples: readonly number[], q: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
}

export function milliseconds(samples: readonly number[]): string {
  const [p50, p95, max] = [quantile(samples, 0.5), quantile(samples, 0.95), Math.max(...samples)];
  return `p50 ${p50.toFixed(2)} ms, p95 ${p95.toFixed(2)} ms, max ${max.toFixed(2)} ms (${samples.length} samples)`;
}
