/** The integration bridge and its controller: what is to be written so that it is as we need it. */
import { insert, is, type Mutation, mutate, type Operation, putKeys, update, wait } from '../ovsdb/operations.ts';
import { type JsonRow, map, namedUuid, set, uuid } from '../ovsdb/types.ts';
import { datapathTypeOf } from './facts.ts';
import { INACTIVITY_PROBE, MAX_BACKOFF } from './plan.ts';
import { type BridgeRow, type Cache, type ControllerRow, isOurs, OWNER } from './schema.ts';
import type { Topology } from './topology.ts';

export type BridgeWish = {
  datapathId: bigint;
  /** Controller target, e.g. tcp:10.0.0.1:6653. */
  target: string;
};

/** Column datapath_id and other_config:datapath-id take 16 hexadecimal digits (ovs-vswitchd.conf.db(5)). */
export function datapathIdText(datapathId: bigint): string {
  return datapathId.toString(16).padStart(16, '0');
}

/** @returns only what differs; nothing where the bridge is as wished. @throws Error when its name is taken. */
export function planBridge(cache: Cache, topology: Topology, wish: BridgeWish): Operation[] {
  const bridge = topology.integrationBridge;
  return bridge ? mend(cache, bridge, wish) : make(topology, wish);
}

function wishedConfig(wish: BridgeWish): Record<string, string> {
  return { 'disable-in-band': 'true', 'datapath-id': datapathIdText(wish.datapathId) };
}

function wishedController(): JsonRow {
  return { max_backoff: MAX_BACKOFF, inactivity_probe: INACTIVITY_PROBE, connection_mode: 'out-of-band' };
}

function newController(wish: BridgeWish, name: string): Operation {
  return insert(
    'Controller',
    { target: wish.target, ...wishedController(), external_ids: map({ owner: OWNER }) },
    name,
  );
}

function make(topology: Topology, wish: BridgeWish): Operation[] {
  const root = topology.root;
  if (!root) return [];
  const name = topology.integrationBridgeName;
  if (topology.portByName(name) || topology.interfaceByName(name)) {
    throw new Error(`the integration bridge cannot be made: a port or interface named ${name} exists already`);
  }
  const owner = map({ owner: OWNER });
  return [
    // Another may make it in this very moment.
    wait('Bridge', [['name', '==', name]], ['name'], '==', []),
    insert('Interface', { name, type: 'internal', external_ids: owner }, 'local_interface'),
    insert('Port', { name, interfaces: namedUuid('local_interface'), external_ids: owner }, 'local_port'),
    newController(wish, 'controller'),
    insert(
      'Bridge',
      {
        name,
        datapath_type: datapathTypeOf(root.external_ids),
        fail_mode: 'secure',
        protocols: 'OpenFlow15',
        other_config: map(wishedConfig(wish)),
        ports: namedUuid('local_port'),
        controller: namedUuid('controller'),
        external_ids: owner,
      },
      'bridge',
    ),
    mutate('Open_vSwitch', is(root.uuid), [['bridges', 'insert', namedUuid('bridge')]]),
  ];
}

function mend(cache: Cache, bridge: BridgeRow, wish: BridgeWish): Operation[] {
  const operations: Operation[] = [];
  const columns: JsonRow = {};
  if (bridge.fail_mode !== 'secure') columns.fail_mode = 'secure';
  if (bridge.protocols.size !== 1 || !bridge.protocols.has('OpenFlow15')) columns.protocols = 'OpenFlow15';
  if (Object.keys(columns).length > 0) operations.push(update('Bridge', is(bridge.uuid), columns));

  const mutations: Mutation[] = [];
  const config = Object.entries(wishedConfig(wish)).filter(([key, value]) => bridge.other_config.get(key) !== value);
  if (config.length > 0) mutations.push(...putKeys('other_config', Object.fromEntries(config)));

  const controllers = [...bridge.controller]
    .map((rowUuid) => cache.row('Controller', rowUuid))
    .filter((row) => row !== undefined);
  const ours = chooseController(controllers, wish.target);
  // The bridge is ours whole: a second controller would undo what we do.
  const others = [...bridge.controller].filter((rowUuid) => rowUuid !== ours?.uuid);
  if (others.length > 0) mutations.push(['controller', 'delete', set(others.map(uuid))]);
  if (ours) operations.push(...mendController(ours, wish));
  else {
    operations.push(newController(wish, 'controller'));
    mutations.push(['controller', 'insert', namedUuid('controller')]);
  }
  if (mutations.length > 0) operations.push(mutate('Bridge', is(bridge.uuid), mutations));
  return operations;
}

/** The row that leads to us, else one we made when we were elsewhere. */
function chooseController(rows: ControllerRow[], target: string): ControllerRow | undefined {
  return rows.find((row) => row.target === target) ?? rows.find(isOurs);
}

function mendController(row: ControllerRow, wish: BridgeWish): Operation[] {
  const wished: JsonRow = { target: wish.target, ...wishedController() };
  const current: Record<string, unknown> = row;
  const differing = Object.entries(wished).filter(([column, value]) => current[column] !== value);
  const operations: Operation[] = [];
  if (differing.length > 0) operations.push(update('Controller', is(row.uuid), Object.fromEntries(differing)));
  if (!isOurs(row)) operations.push(mutate('Controller', is(row.uuid), putKeys('external_ids', { owner: OWNER })));
  return operations;
}
