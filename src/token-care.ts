/** Tokens whose time, tenant or hypervisor is over: revoked at the start, swept now and then. (The API revokes with each.) */
import type { Logger } from 'pino';
import type { Tokens } from './auth/tokens.ts';
import type { View } from './intent/model.ts';
import { formatPath } from './intent/path.ts';

/** Milliseconds between sweeps, and how long an expired token stays listed. */
const sweepInterval = 3_600_000;
const keptExpired = 7 * 86_400_000;

/** Returns what ends it. */
export async function careForTokens(tokens: Tokens, view: View, log: Logger): Promise<() => void> {
  // For a stop between the deletion of either and that of its tokens.
  await tokens.revokeOrphans((kind, name) => view.get(formatPath(kind, '', name)) !== undefined);
  const timer = setInterval(() => {
    tokens.sweep(keptExpired).catch((err: unknown) => log.error({ err }, 'expired tokens could not be swept'));
  }, sweepInterval);
  timer.unref();
  return () => clearInterval(timer);
}
