import { fieldProblem } from '../problems.ts';

const unit: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Text of a duration for schemas: `500ms`, `10s`, `5m`. */
export const durationPattern = '^\\d{1,9}(ms|s|m|h|d)$';

/**
 * Milliseconds of a duration such as `500ms`, `10s`, `5m`, `12h`, `90d`.
 * @throws Problem request.invalid naming `field` when it is none, or not in 1 ms … `maximum`.
 */
export function parseDuration(text: string, field: string, maximum: number): number {
  const [, digits, suffix = ''] = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text) ?? [];
  const milliseconds = Number(digits) * (unit[suffix] ?? Number.NaN);
  if (!Number.isFinite(milliseconds))
    throw fieldProblem('request.invalid', field, `${text} is not a duration such as 500ms, 10s or 5m`);
  if (milliseconds < 1 || milliseconds > maximum)
    throw fieldProblem('request.invalid', field, `${text} is not between 1ms and ${formatDuration(maximum)}`);
  return milliseconds;
}

/** The duration in its largest whole unit. */
export function formatDuration(milliseconds: number): string {
  for (const suffix of ['d', 'h', 'm', 's'] as const)
    if (milliseconds % (unit[suffix] ?? 1) === 0) return `${milliseconds / (unit[suffix] ?? 1)}${suffix}`;
  return `${milliseconds}ms`;
}
