/** What we watch of a hypervisor's database (ovs-vswitchd.conf.db(5)), and nothing else. */
import { highestPort } from '../openflow/ports.ts';
import type { DatabaseCache, RowChange } from '../ovsdb/cache.ts';
import { mapOf, optional, type Row, scalar, setOf } from '../ovsdb/schema.ts';

export const DATABASE = 'Open_vSwitch';

export const watchedTables = {
  Open_vSwitch: {
    external_ids: mapOf('string', 'string'),
    ovs_version: optional('string'),
    bridges: setOf('uuid'),
    manager_options: setOf('uuid'),
    next_cfg: scalar('integer'),
    cur_cfg: scalar('integer'),
  },
  Bridge: {
    name: scalar('string'),
    datapath_type: scalar('string'),
    ports: setOf('uuid'),
    controller: setOf('uuid'),
    protocols: setOf('string'),
    fail_mode: optional('string'),
    other_config: mapOf('string', 'string'),
  },
  Port: {
    name: scalar('string'),
    interfaces: setOf('uuid'),
    tag: optional('integer'),
    trunks: setOf('integer'),
    vlan_mode: optional('string'),
    external_ids: mapOf('string', 'string'),
  },
  Interface: {
    name: scalar('string'),
    type: scalar('string'),
    options: mapOf('string', 'string'),
    bfd: mapOf('string', 'string'),
    external_ids: mapOf('string', 'string'),
    ofport: optional('integer'),
    error: optional('string'),
  },
  Controller: {
    target: scalar('string'),
    max_backoff: optional('integer'),
    inactivity_probe: optional('integer'),
    connection_mode: optional('string'),
    external_ids: mapOf('string', 'string'),
  },
  Manager: {
    target: scalar('string'),
    max_backoff: optional('integer'),
    inactivity_probe: optional('integer'),
  },
} as const;

export type Cache = DatabaseCache<typeof watchedTables>;
export type Change = RowChange<typeof watchedTables>;
export type RootRow = Row<(typeof watchedTables)['Open_vSwitch']>;
export type BridgeRow = Row<(typeof watchedTables)['Bridge']>;
export type PortRow = Row<(typeof watchedTables)['Port']>;
export type InterfaceRow = Row<(typeof watchedTables)['Interface']>;
export type ControllerRow = Row<(typeof watchedTables)['Controller']>;

/** Written to `external_ids:owner` of every row we make. */
export const OWNER = 'keyway';

export function isOurs(row: { readonly external_ids: ReadonlyMap<string, string> }): boolean {
  return row.external_ids.get('owner') === OWNER;
}

/** The interface's OpenFlow port. Undefined while it has none (-1: it could not be opened), and for a number that is no port's. */
export function portNumberOf({ ofport = 0 }: Pick<InterfaceRow, 'ofport'>): number | undefined {
  return ofport > 0 && ofport <= highestPort ? ofport : undefined;
}
