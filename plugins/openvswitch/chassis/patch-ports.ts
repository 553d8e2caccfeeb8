/**
 * The patches of one hypervisor: pairs of ports (type patch, ovs-vswitchd.conf.db(5)) that join the integration bridge with
 * bridges that lead to physical networks. Over there they are access ports, so that within the integration bridge no
 * frame has a tag. Ports are looked at by name and only when something about that name, or its bridge, changed.
 */
import { createHash } from 'node:crypto';
import { type PatchSpec, servicesPatch } from '../../../src/drivers/switch-plugin.ts';
import { insert, is, type Mutation, mutate, type Operation, putKeys, update } from '../ovsdb/operations.ts';
import { type JsonRow, map, namedUuid, set, uuid } from '../ovsdb/types.ts';
import type { ChassisLog } from './options.ts';
import type { Plan } from './plan.ts';
import { type BridgeRow, type Cache, type InterfaceRow, isOurs, OWNER, type PortRow, portNumberOf } from './schema.ts';
import type { Topology } from './topology.ts';

const PATCH = 'keyway-patch';
const SERVICE = 'keyway-service';
const GATEWAY_HOST = 'gateway-host';

/** An access port of VLAN 0 takes and gives frames without a tag only. */
const NO_TAG = 0;

/** On the integration bridge, and on the other. */
type Names = { inner: string; outer: string };

/** Stable, and within 15 characters. No tunnel has a hyphen in its name. */
export function patchNames(key: string): Names {
  const hash = createHash('sha256').update(key).digest('hex').slice(0, 10);
  return { inner: `kw-${hash}-i`, outer: `kw-${hash}-o` };
}

export function isPatchName(name: string): boolean {
  return /^kw-[0-9a-f]{10}-[io]$/.test(name);
}

/** One end as it should be. */
type Wish = { key: string; bridge: BridgeRow; peer: string; tag: number | undefined };

/** One end as it is. */
type Owned = { name: string; key: string | undefined; ofport: number | undefined; onIntegrationBridge: boolean };

export type PatchPortsOptions = { cache: Cache; topology: Topology; log: ChassisLog };

export class PatchPorts {
  readonly #cache: Cache;
  readonly #topology: Topology;
  readonly #log: ChassisLog;
  /** By key; undefined until somebody has said what is wanted. */
  #wanted: Map<string, PatchSpec> | undefined;
  /** Whose name it is. */
  #keyOf = new Map<string, string>();
  /** Ports we made, by UUID, as last seen. */
  readonly #owned = new Map<string, Owned>();
  /** Interfaces of a gateway host's services, by UUID. */
  readonly #services = new Map<string, { name: string; ofport: number | undefined }>();
  /** Names to look at. Until something is wanted they gather here, those of an earlier run of the controller among them. */
  #dirty = new Set<string>();
  /** Why a name or key is not as it should be: said once. */
  readonly #hindered = new Map<string, string>();
  #changed = true;

  constructor({ cache, topology, log }: PatchPortsOptions) {
    this.#cache = cache;
    this.#topology = topology;
    this.#log = log;
  }

  /** The whole set. */
  want(specs: readonly PatchSpec[]): void {
    const before = this.#wanted;
    const wanted = new Map(specs.map((spec) => [spec.key, spec]));
    for (const key of before?.keys() ?? []) if (!wanted.has(key)) this.#lookAgain(key);
    for (const [key, { bridge, vlan }] of wanted) {
      const was = before?.get(key);
      if (was === undefined || was.bridge !== bridge || was.vlan !== vlan) this.#lookAgain(key);
    }
    this.#wanted = wanted;
    this.#keyOf = new Map(
      [...wanted.keys()].flatMap((key) => Object.values(patchNames(key)).map((name) => [name, key])),
    );
  }

  #lookAgain(key: string): void {
    const { inner, outer } = patchNames(key);
    this.#dirty.add(inner);
    this.#dirty.add(outer);
  }

  /** A bridge of this name has come or gone, or has another datapath now. */
  touchBridge(name: string): void {
    const all = name === this.#topology.integrationBridgeName;
    for (const { key, bridge } of this.#wanted?.values() ?? []) if (all || bridge === name) this.#lookAgain(key);
  }

  /** Looks at a port again, also one that is gone. */
  touchPort(row: PortRow): void {
    if (!isPatchName(row.name)) return;
    const before = this.#owned.get(row.uuid);
    const after = this.#look(row);
    if (before || after || this.#keyOf.has(row.name)) this.#dirty.add(row.name);
    if (before === after || (before && after && same(before, after))) return;
    if (after) this.#owned.set(row.uuid, after);
    else this.#owned.delete(row.uuid);
    this.#changed = true;
  }

  /** The same for an interface, whose port may be ours, or which may be that of services. */
  touchInterface(row: InterfaceRow): void {
    const port = this.#topology.portOf(row.uuid);
    if (isPatchName(row.name)) {
      if (this.#keyOf.has(row.name)) this.#dirty.add(row.name);
      if (port) this.touchPort(port);
      return;
    }
    const before = this.#services.get(row.uuid);
    const after = this.#isOfServices(row, port) ? { name: row.name, ofport: portNumberOf(row) } : undefined;
    if (before?.ofport !== after?.ofport) this.#changed = true;
    if (after) this.#services.set(row.uuid, after);
    else this.#services.delete(row.uuid);
  }

  #isOfServices(row: InterfaceRow, port: PortRow | undefined): boolean {
    return (
      row.external_ids.get(SERVICE) === GATEWAY_HOST &&
      this.#cache.row('Interface', row.uuid) !== undefined &&
      port !== undefined &&
      this.#topology.onIntegrationBridge(port.uuid)
    );
  }

  /** The program of a gateway host has a port here. */
  get isGatewayHost(): boolean {
    return this.#services.size > 0;
  }

  /** Open vSwitch gives some end no OpenFlow port. */
  get lacksPorts(): boolean {
    return this.#owned.values().some(({ ofport }) => ofport === undefined);
  }

  /**
   * @returns OpenFlow ports by key if they have changed since they were last taken, or never were taken. A patch is told
   * of once both its ends are there.
   */
  take(): Map<string, number> | undefined {
    if (!this.#changed) return undefined;
    this.#changed = false;
    const ends = new Map(this.#owned.values().map((end) => [end.name, end]));
    const ofports = new Map<string, number>();
    for (const { name, key, ofport, onIntegrationBridge } of ends.values()) {
      if (key === undefined || ofport === undefined || !onIntegrationBridge) continue;
      const { inner, outer } = patchNames(key);
      if (name === inner && ends.get(outer)?.ofport !== undefined) ofports.set(key, ofport);
    }
    const services = [...this.#services.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    const ofServices = services.find(({ ofport }) => ofport !== undefined)?.ofport;
    if (ofServices !== undefined) ofports.set(servicesPatch, ofServices);
    return ofports;
  }

  /** One transaction that makes, changes and removes whatever differs; undefined where nothing does. */
  plan(): Plan | undefined {
    if (!this.#wanted || !this.#topology.integrationBridge || this.#dirty.size === 0) return undefined;
    const names = this.#dirty;
    this.#dirty = new Set();
    const operations: Operation[] = [];
    const made: { bridge: string; row: string }[] = [];
    const gone: { bridge: string; port: string }[] = [];
    for (const name of names) {
      const wish = this.#wish(name);
      const port = this.#topology.portByName(name);
      const on = port && this.#topology.bridgeOf(port.uuid);
      if (!wish) {
        this.#hindered.delete(name);
        if (port && on && isOurs(port)) gone.push({ bridge: on.uuid, port: port.uuid });
      } else if (this.#isTaken(name, port)) {
        // A change of what is in the way touches the name again.
      } else if (!port) {
        const row = `port_${made.length}`;
        operations.push(...make(name, wish, row));
        made.push({ bridge: wish.bridge.uuid, row });
      } else if (on && (on.uuid !== wish.bridge.uuid || !this.#hasOneInterface(port))) {
        // Away with it, and made anew where it belongs once it is gone.
        gone.push({ bridge: on.uuid, port: port.uuid });
      } else {
        operations.push(...this.#mend(port, wish));
      }
    }
    for (const bridge of new Set([...gone, ...made].map((end) => end.bridge))) {
      const mutations: Mutation[] = [];
      const going = gone.filter((end) => end.bridge === bridge);
      const coming = made.filter((end) => end.bridge === bridge);
      if (going.length > 0) mutations.push(['ports', 'delete', set(going.map(({ port }) => uuid(port)))]);
      if (coming.length > 0) mutations.push(['ports', 'insert', set(coming.map(({ row }) => namedUuid(row)))]);
      operations.push(mutate('Bridge', is(bridge), mutations));
    }
    if (operations.length === 0) return undefined;
    const failed = (): void => {
      for (const name of names) this.#dirty.add(name);
    };
    return {
      what: `patches: ${made.length} ends made, ${gone.length} removed, ${names.size} looked at`,
      operations,
      failed,
    };
  }

  /** What the end of this name should be; undefined where there should be none, its other bridge missing among the reasons. */
  #wish(name: string): Wish | undefined {
    const spec = this.#wanted?.get(this.#keyOf.get(name) ?? '');
    const integration = this.#topology.integrationBridge;
    if (!spec || !integration) return undefined;
    const { key } = spec;
    const bridge = this.#topology.bridgeByName(spec.bridge);
    const why = whyNot(bridge, integration);
    if (!bridge || why !== undefined) {
      if (this.#hindered.get(key) !== why) {
        this.#log.warn({ patch: key, bridge: spec.bridge }, `a physical network cannot be joined: ${why ?? ''}`);
      }
      this.#hindered.set(key, why ?? '');
      return undefined;
    }
    this.#hindered.delete(key);
    const { inner, outer } = patchNames(key);
    if (name === inner) return { key, bridge: integration, peer: outer, tag: undefined };
    return { key, bridge, peer: inner, tag: spec.vlan ?? NO_TAG };
  }

  /** Our own view of a port, if we made it. */
  #look(row: PortRow): Owned | undefined {
    if (!isOurs(row) || this.#cache.row('Port', row.uuid) === undefined) return undefined;
    const present = this.#interfaceOf(row);
    return {
      name: row.name,
      key: row.external_ids.get(PATCH),
      ofport: present && portNumberOf(present),
      onIntegrationBridge: this.#topology.onIntegrationBridge(row.uuid),
    };
  }

  #interfaceOf(port: PortRow): InterfaceRow | undefined {
    const [first = ''] = port.interfaces;
    return this.#cache.row('Interface', first);
  }

  #hasOneInterface(port: PortRow): boolean {
    return port.interfaces.size === 1 && this.#interfaceOf(port)?.name === port.name;
  }

  /** Whether something that is not ours has the name. What was a patch of ours we take back. */
  #isTaken(name: string, port: PortRow | undefined): boolean {
    const free = port
      ? isOurs(port) || port.external_ids.has(PATCH)
      : this.#topology.interfaceByName(name) === undefined;
    if (free) this.#hindered.delete(name);
    else if (!this.#hindered.has(name)) {
      this.#hindered.set(name, 'taken');
      this.#log.error(
        { port: name },
        'a patch cannot be made: a port or interface of that name exists that is not ours',
      );
    }
    return !free;
  }

  #mend(port: PortRow, wish: Wish): Operation[] {
    const operations: Operation[] = [];
    const row = this.#interfaceOf(port)!;
    const ids = Object.entries(idsOf(wish));
    for (const [table, marked] of [
      ['Port', port],
      ['Interface', row],
    ] as const) {
      const differing = ids.filter(([key, value]) => marked.external_ids.get(key) !== value);
      if (differing.length === 0) continue;
      operations.push(mutate(table, is(marked.uuid), putKeys('external_ids', Object.fromEntries(differing))));
    }
    const columns: JsonRow = {};
    if (row.type !== 'patch') columns.type = 'patch';
    if (row.options.size !== 1 || row.options.get('peer') !== wish.peer) columns.options = map({ peer: wish.peer });
    if (Object.keys(columns).length > 0) operations.push(update('Interface', is(row.uuid), columns));
    if (port.tag !== wish.tag || port.vlan_mode !== undefined || port.trunks.size > 0) {
      operations.push(update('Port', is(port.uuid), { tag: tagOf(wish), vlan_mode: set([]), trunks: set([]) }));
    }
    return operations;
  }
}

function same(a: Owned, b: Owned): boolean {
  return a.key === b.key && a.ofport === b.ofport && a.onIntegrationBridge === b.onIntegrationBridge;
}

/** What keeps a bridge from being joined with the integration bridge; undefined where nothing does. */
export function whyNot(bridge: BridgeRow | undefined, integration: BridgeRow): string | undefined {
  if (!bridge) return 'there is no such bridge';
  if (bridge === integration) return 'that is the integration bridge itself';
  // ovs-vswitchd.conf.db(5), Interface, Patch Options; an empty datapath_type is the kernel's.
  const [there, here] = [bridge, integration].map(({ datapath_type: type }) => type || 'system');
  return there === here ? undefined : `its datapath type is ${there}, the integration bridge's is ${here}`;
}

function idsOf({ key }: Wish): Record<string, string> {
  return { owner: OWNER, [PATCH]: key };
}

function tagOf({ tag }: Wish): JsonRow[string] {
  return tag === undefined ? set([]) : tag;
}

function make(name: string, wish: Wish, rowName: string): Operation[] {
  const ids = map(idsOf(wish));
  const interfaceRow = { name, type: 'patch', options: map({ peer: wish.peer }), external_ids: ids };
  const interfaces = namedUuid(`${rowName}_interface`);
  return [
    insert('Interface', interfaceRow, `${rowName}_interface`),
    insert('Port', { name, interfaces, tag: tagOf(wish), external_ids: ids }, rowName),
  ];
}
