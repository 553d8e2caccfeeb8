/** Table Canary. */
import { cookie } from '../cookie.ts';
import type { Flow } from '../flow.ts';
import { tables } from '../tables.ts';

export function canary(): Flow {
  return { table: tables.Canary.id, priority: 0, cookie: cookie(tables.Canary.id, 0), match: {}, actions: [] };
}
