/** `?wait=programmed|all&timeout=10s`: the answer comes once switches have acknowledged the write. */
import Type, { type Static } from 'typebox';
import { Problem } from '../problems.ts';
import type { StatusSource } from './context.ts';
import { durationPattern, parseDuration } from './duration.ts';

const longest = 5 * 60_000;
const usual = '10s';

export const waitParameters = {
  wait: Type.Optional(
    Type.Union([Type.Literal('programmed'), Type.Literal('all')], {
      description:
        'Answer once every switch concerned has acknowledged the write: the connected ones (programmed), or all of them',
    }),
  ),
  timeout: Type.Optional(
    Type.String({
      pattern: durationPattern,
      default: usual,
      description: 'How long to wait: 500ms, 10s, 5m at most. The write stands when it runs out',
    }),
  ),
};

const WaitQuery = Type.Object(waitParameters);
export type Wait = Static<typeof WaitQuery>;

/** Milliseconds to wait; to be read before the write, so that a bad one changes nothing. @throws Problem request.invalid */
export function timeoutOf({ timeout = usual }: Wait, field: string): number {
  return parseDuration(timeout, field, longest);
}

/** @throws Problem wait.timeout; the write stands */
export async function waitFor(status: StatusSource, revision: number, { wait }: Wait, timeout: number): Promise<void> {
  if (wait === undefined) return;
  if (await status.wait(revision, wait, timeout)) return;
  throw new Problem(
    'wait.timeout',
    `Revision ${revision} is written and stands; not every switch has acknowledged it within ${timeout} ms`,
  );
}
