/**
 * What a hypervisor's database tells of its tunnels and MTUs. It is selected when somebody asks, not watched: BFD's and the
 * interfaces' status change all the time, and nothing is planned by them.
 */
import { isIPv6 } from 'node:net';
import type { MappingHealth, SwitchHealth, TunnelHealth } from '../../../src/drivers/switch-plugin.ts';
import { ProtocolError } from '../ovsdb/errors.ts';
import { type Operation, select } from '../ovsdb/operations.ts';
import { mapOf, optional, scalar, type ValueOf } from '../ovsdb/schema.ts';
import { isObject } from '../ovsdb/types.ts';
import { parseValue } from '../ovsdb/value.ts';
import type { Encapsulation } from './encapsulation.ts';
import { bridgeMappingsOf } from './facts.ts';
import { whyNot } from './patch-ports.ts';
import { isOurs } from './schema.ts';
import type { Topology } from './topology.ts';
import { peerOf } from './tunnel-ports.ts';

/** Columns of Interface (ovs-vswitchd.conf.db(5)). */
const columns = {
  _uuid: scalar('uuid'),
  name: scalar('string'),
  mtu: optional('integer'),
  options: mapOf('string', 'string'),
  status: mapOf('string', 'string'),
  bfd_status: mapOf('string', 'string'),
  error: optional('string'),
  external_ids: mapOf('string', 'string'),
} as const;

type Row = { [Column in keyof typeof columns]: ValueOf<(typeof columns)[Column]> };

export type HealthOptions = {
  topology: Topology;
  encapsulation: Encapsulation;
  transact(operations: Operation[]): Promise<{ rows?: Record<string, unknown>[] }[]>;
};

/** @throws OvsdbError, ConnectionClosedError, ProtocolError */
export async function readHealth({ topology, encapsulation, transact }: HealthOptions): Promise<SwitchHealth> {
  const [result] = await transact([select('Interface', [], Object.keys(columns))]);
  const rows = (result?.rows ?? []).map(rowOf);
  const root = topology.root;
  const health: SwitchHealth = {
    tunnels: [],
    errors: [],
    configured: root !== undefined && root.cur_cfg >= root.next_cfg,
    vmMtu: undefined,
    underlay: [],
    overhead: encapsulation.overhead(''),
    mappings: mappingsOf(topology),
  };
  const mtus = new Map(rows.map(({ name, mtu }) => [name, mtu]));
  const leaving = new Set<string>();
  for (const row of rows) {
    const port = topology.portOf(row._uuid);
    if (port === undefined || !topology.onIntegrationBridge(port.uuid)) continue;
    const peer = isOurs(port) ? peerOf(port) : undefined;
    if (peer !== undefined) {
      health.tunnels.push(tunnelOf(row, peer));
      const egress = row.status.get('tunnel_egress_iface');
      if (egress) leaving.add(egress);
      const remote = row.options.get('remote_ip') ?? '';
      if (isIPv6(remote)) health.overhead = Math.max(health.overhead, encapsulation.overhead(remote));
      continue;
    }
    if (row.error !== undefined) health.errors.push({ interface: row.name, error: row.error });
    const isVms = row.external_ids.has('iface-id') || row.external_ids.has('xs-vif-uuid');
    if (isVms && row.mtu !== undefined) health.vmMtu = Math.max(health.vmMtu ?? 0, row.mtu);
  }
  health.underlay = [...leaving].sort().map((name) => ({ interface: name, mtu: mtus.get(name) }));
  return health;
}

function mappingsOf(topology: Topology): MappingHealth[] {
  const { root, integrationBridge } = topology;
  // Until it is made nothing can be said.
  if (!root || !integrationBridge) return [];
  return Object.entries(bridgeMappingsOf(root.external_ids)).map(([physicalNetwork, bridge]) => {
    return { physicalNetwork, bridge, hindrance: whyNot(topology.bridgeByName(bridge), integrationBridge) };
  });
}

function tunnelOf({ name, error, bfd_status: bfd }: Row, peer: number): TunnelHealth {
  const state = bfd.get('state');
  return {
    peer,
    interface: name,
    error,
    bfd:
      state === undefined
        ? undefined
        : {
            state,
            remoteState: bfd.get('remote_state') ?? '',
            diagnostic: bfd.get('diagnostic') ?? '',
            ...(bfd.has('forwarding') ? { forwarding: bfd.get('forwarding') === 'true' } : {}),
          },
  };
}

/** @throws ProtocolError where it is not such a row */
function rowOf(json: Record<string, unknown>): Row {
  if (!isObject(json)) throw new ProtocolError('select answered with something that is no row');
  const row: Record<string, unknown> = {};
  for (const [name, column] of Object.entries(columns)) row[name] = parseValue(column, json[name]);
  return row as Row;
}
