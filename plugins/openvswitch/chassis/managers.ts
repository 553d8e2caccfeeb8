/** The Manager row that leads to us: how soon, and how patiently, its hypervisor calls again. */
import { is, type Operation, update } from '../ovsdb/operations.ts';
import type { JsonRow } from '../ovsdb/types.ts';
import { OVSDB_PORT } from './listen.ts';
import { INACTIVITY_PROBE, MAX_BACKOFF } from './plan.ts';
import type { Cache, RootRow } from './schema.ts';
import { plainAddress } from './trust.ts';

/** Where a hypervisor reached us. */
export type LocalEnd = { kind: 'tcp'; address: string; port: number } | { kind: 'unix'; path: string };

/** @returns only what differs. Rows that lead elsewhere are somebody else's. */
export function planManagers(cache: Cache, root: RootRow, local: LocalEnd): Operation[] {
  const rows = [...root.manager_options]
    .map((rowUuid) => cache.row('Manager', rowUuid))
    .filter((row) => row !== undefined);
  const exact = rows.filter((row) => leadsTo(row.target, local));
  // By a name, or through address translation: then it is the only one that calls out.
  const callers = rows.filter((row) => !/^p(tcp|ssl|unix):/.test(row.target));
  const ours = exact.length > 0 ? exact : callers.length === 1 ? callers : [];
  const operations: Operation[] = [];
  for (const row of ours) {
    const columns: JsonRow = {};
    if (row.max_backoff !== MAX_BACKOFF) columns.max_backoff = MAX_BACKOFF;
    if (row.inactivity_probe !== INACTIVITY_PROBE) columns.inactivity_probe = INACTIVITY_PROBE;
    if (Object.keys(columns).length > 0) operations.push(update('Manager', is(row.uuid), columns));
  }
  return operations;
}

/** Active connection methods are tcp:HOST[:PORT] and unix:FILE (ovsdb(7)); an IPv6 HOST stands in brackets. */
function leadsTo(target: string, local: LocalEnd): boolean {
  if (local.kind === 'unix') return target === `unix:${local.path}`;
  const parts = /^(?:tcp|ssl):(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(target);
  if (!parts) return false;
  return plainAddress(parts[1] ?? parts[2]!) === local.address && Number(parts[3] ?? OVSDB_PORT) === local.port;
}
