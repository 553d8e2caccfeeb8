/** `--wait` and `--timeout`, as the controller takes them. */
import type { Run } from '../command.ts';

/** Longest the CLI waits for switches unless told. */
export const defaultWait = 30_000;

/** Beyond the controller's own time-out, for the answer to travel. */
const grace = 5000;

/** Query and request time-out of a write; nothing when it does not wait. */
export function waitQuery(run: Run): { query?: Record<string, string>; timeout?: number } {
  const wait = run.args.value('wait');
  if (wait === undefined) return {};
  const limit = run.session.timeout() ?? defaultWait;
  return { query: { wait, timeout: `${limit}ms` }, timeout: limit + grace };
}
