/** How figures are summed up and printed, the same way in every benchmark. */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';

/** The value below which the share `q` (0 to 1) of the samples lies. */
export function quantile(samples: readonly number[], q: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN;
}

export function milliseconds(samples: readonly number[]): string {
  const [p50, p95, p99] = [0.5, 0.95, 0.99].map((q) => quantile(samples, q).toFixed(2));
  const max = Math.max(...samples).toFixed(2);
  return `p50 ${p50} ms, p95 ${p95} ms, p99 ${p99} ms, max ${max} ms (${samples.length} samples)`;
}

export function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1e6)} MB`;
}

/** Milliseconds the work took. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** What to know of the machine beside every figure: a loaded one measures its load. */
export function machine(): string {
  const [load] = readFileSync('/proc/loadavg', 'utf8').split(' ');
  const kibibytes = Number(/^MemTotal:\s+(\d+)/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1]);
  return `${availableParallelism()} cores, ${megabytes(kibibytes * 1024)}, load ${load}, Node ${process.version}, ${new Date().toISOString().slice(0, 16)}Z`;
}

/** The command line's whole numbers; the defaults, in order, for those that were left out. */
export function numbers(...defaults: number[]): number[] {
  return options([], ...defaults).numbers;
}

/** The same, and which of the options (`--flat`) were given. */
export function options<Name extends string>(
  names: readonly Name[],
  ...defaults: number[]
): { numbers: number[]; given: ReadonlySet<Name> } {
  const words = process.argv.slice(2);
  const given = new Set(names.filter((name) => words.includes(name)));
  const rest = words.filter((word) => !given.has(word as Name));
  const values = rest.map(Number);
  if (!values.every(Number.isInteger)) {
    const also = names.length === 0 ? '' : `, and of options: ${names.join(' ')}`;
    throw new Error(`${rest.join(' ')}: whole numbers are wanted${also}`);
  }
  return { numbers: [...values, ...defaults.slice(values.length)], given };
}

/** Lines of equal columns, the first row being the head. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
