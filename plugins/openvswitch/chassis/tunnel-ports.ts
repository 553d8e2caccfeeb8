/**
 * The tunnel ports of one hypervisor: one per peer, on the integration bridge. Ports are looked at by name and only
 * when something about that name changed, so the work follows the change and not the number of peers.
 */
import type { HypervisorNumber, TunnelSpec } from '../../../src/drivers/switch-plugin.ts';
import { insert, is, type Mutation, mutate, type Operation, putKeys, update } from '../ovsdb/operations.ts';
import { type JsonRow, map, namedUuid, set, uuid } from '../ovsdb/types.ts';
import type { Encapsulation } from './encapsulation.ts';
import type { ChassisLog } from './options.ts';
import { isPatchName } from './patch-ports.ts';
import type { Plan } from './plan.ts';
import { type Cache, type InterfaceRow, isOurs, OWNER, type PortRow, portNumberOf } from './schema.ts';
import type { Topology } from './topology.ts';

const PEER = 'keyway-peer';

/**
 * Bidirectional Forwarding Detection (RFC 5880): it tells a dead tunnel, and it keeps the underlay's neighbour entries
 * warm, without which the first frame over a new tunnel is lost (measured: 0.6 to 1 s). The other end is taken to be gone
 * after three intervals without a word; the greater of what both ends ask for counts.
 */
function bfdOf({ fast = false }: TunnelSpec): Record<string, string> {
  const interval = fast ? '100' : '1000';
  return { enable: 'true', min_rx: interval, min_tx: interval };
}

/** What a gateway host's program writes while its switch has no flows: the other end is then not to send anything. */
const PATH_DOWN = 'cpath_down';

type Owned = { name: string; peer: HypervisorNumber | undefined; ofport: number | undefined };

/** Stable, and within the 15 characters Linux leaves an interface for any peer below 16^13. */
export function tunnelName(peer: HypervisorNumber): string {
  return `kw${peer.toString(16)}`;
}

/** The hypervisor a tunnel of ours leads to. */
export function peerOf({ external_ids }: Pick<PortRow, 'external_ids'>): HypervisorNumber | undefined {
  const text = external_ids.get(PEER) ?? '';
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

export type TunnelPortsOptions = {
  cache: Cache;
  topology: Topology;
  encapsulation: Encapsulation;
  log: ChassisLog;
};

export class TunnelPorts {
  readonly #cache: Cache;
  readonly #topology: Topology;
  readonly #encapsulation: Encapsulation;
  readonly #log: ChassisLog;
  /** By name; undefined until somebody has said what is wanted. */
  #wanted: Map<string, TunnelSpec> | undefined;
  #localIp: string | undefined;
  #isGatewayHost = false;
  /** Ports we made, by UUID, as last seen. */
  readonly #owned = new Map<string, Owned>();
  /** Those of them that Open vSwitch gives no OpenFlow port. */
  readonly #portless = new Set<string>();
  /** Names to look at. Until something is wanted they gather here, those of an earlier run of the controller among them. */
  #dirty = new Set<string>();
  /** Names that something else has: said once. */
  readonly #blocked = new Set<string>();
  #changed = true;

  constructor({ cache, topology, encapsulation, log }: TunnelPortsOptions) {
    this.#cache = cache;
    this.#topology = topology;
    this.#encapsulation = encapsulation;
    this.#log = log;
  }

  /** The whole set. */
  want(specs: readonly TunnelSpec[]): void {
    const wanted = new Map(specs.map((spec) => [tunnelName(spec.peer), spec]));
    for (const name of this.#wanted?.keys() ?? []) if (!wanted.has(name)) this.#dirty.add(name);
    for (const [name, spec] of wanted) {
      const was = this.#wanted?.get(name);
      if (was?.remoteIp !== spec.remoteIp || was.fast !== spec.fast) this.#dirty.add(name);
    }
    this.#wanted = wanted;
  }

  /** @param localIp written to every tunnel; undefined leaves it to the hypervisor's routes. */
  setLocalIp(localIp: string | undefined): void {
    if (this.#localIp === localIp) return;
    this.#localIp = localIp;
    for (const name of this.#wanted?.keys() ?? []) this.#dirty.add(name);
  }

  /** On a gateway host its program says whether the path behind a tunnel is down; elsewhere nobody does. */
  setGatewayHost(isGatewayHost: boolean): void {
    if (this.#isGatewayHost === isGatewayHost) return;
    this.#isGatewayHost = isGatewayHost;
    for (const name of this.#wanted?.keys() ?? []) this.#dirty.add(name);
  }

  /** Looks at a port again, also one that is gone. */
  touchPort(row: PortRow): void {
    const before = this.#owned.get(row.uuid);
    const after = this.#look(row);
    if (before || after || this.#wanted?.has(row.name)) this.#dirty.add(row.name);
    if (before?.peer === after?.peer && before?.ofport === after?.ofport && !before === !after) return;
    if (after && after.ofport === undefined) this.#portless.add(row.uuid);
    else this.#portless.delete(row.uuid);
    if (after) this.#owned.set(row.uuid, after);
    else this.#owned.delete(row.uuid);
    this.#changed = true;
  }

  /** The same for an interface, whose port may be ours. */
  touchInterface(row: InterfaceRow): void {
    if (this.#wanted?.has(row.name)) this.#dirty.add(row.name);
    const port = this.#topology.portOf(row.uuid);
    if (port) this.touchPort(port);
  }

  /** Open vSwitch gives some tunnel no OpenFlow port. */
  get lacksPorts(): boolean {
    return this.#portless.size > 0;
  }

  /** @returns OpenFlow ports by peer if they have changed since they were last taken, or never were taken. */
  take(): Map<HypervisorNumber, number> | undefined {
    if (!this.#changed) return undefined;
    this.#changed = false;
    const ofports = new Map<HypervisorNumber, number>();
    for (const { name, peer, ofport } of this.#owned.values()) {
      if (peer === undefined || ofport === undefined) continue;
      if (!ofports.has(peer) || name === tunnelName(peer)) ofports.set(peer, ofport);
    }
    return ofports;
  }

  /** One transaction that makes, changes and removes whatever differs; undefined where nothing does. */
  plan(): Plan | undefined {
    const bridge = this.#topology.integrationBridge;
    if (!this.#wanted || !bridge || this.#dirty.size === 0) return undefined;
    const names = this.#dirty;
    this.#dirty = new Set();
    const operations: Operation[] = [];
    const made: string[] = [];
    const gone: string[] = [];
    for (const name of names) {
      const port = this.#topology.portByName(name);
      const spec = this.#wanted.get(name);
      if (!spec) {
        this.#blocked.delete(name);
        if (port && this.#owned.has(port.uuid)) gone.push(port.uuid);
      } else if (this.#isBlocked(name, port)) {
        // A change of what is in the way touches the name again.
      } else if (!port) {
        operations.push(...this.#make(name, spec, `port_${made.length}`));
        made.push(`port_${made.length}`);
      } else if (!this.#hasOneInterface(port)) {
        // Names of interfaces cannot be changed: away with it, and made anew once it is gone.
        gone.push(port.uuid);
      } else {
        operations.push(...this.#mend(port, spec));
      }
    }
    const mutations: Mutation[] = [];
    if (gone.length > 0) mutations.push(['ports', 'delete', set(gone.map(uuid))]);
    if (made.length > 0) mutations.push(['ports', 'insert', set(made.map(namedUuid))]);
    if (mutations.length > 0) operations.push(mutate('Bridge', is(bridge.uuid), mutations));
    if (operations.length === 0) return undefined;
    const failed = (): void => {
      for (const name of names) this.#dirty.add(name);
    };
    return {
      what: `tunnels: ${made.length} made, ${gone.length} removed, ${names.size} looked at`,
      operations,
      failed,
    };
  }

  /** Our own view of a port, if we made it and it is where we put it. The bridge's own port is no tunnel. */
  #look(row: PortRow): Owned | undefined {
    if (!isOurs(row) || isPatchName(row.name) || !this.#topology.onIntegrationBridge(row.uuid)) return undefined;
    if (this.#cache.row('Port', row.uuid) === undefined || row.name === this.#topology.integrationBridge?.name) {
      return undefined;
    }
    const present = this.#interfaceOf(row);
    return {
      name: row.name,
      peer: peerOf(row),
      ofport: present && portNumberOf(present),
    };
  }

  #interfaceOf(port: PortRow): InterfaceRow | undefined {
    const [first = ''] = port.interfaces;
    return this.#cache.row('Interface', first);
  }

  #hasOneInterface(port: PortRow): boolean {
    return port.interfaces.size === 1 && this.#interfaceOf(port)?.name === port.name;
  }

  /** Whether something that is not ours has the name. What stands on our bridge and was a tunnel of ours, we take back. */
  #isBlocked(name: string, port: PortRow | undefined): boolean {
    const free = port
      ? this.#topology.onIntegrationBridge(port.uuid) && (isOurs(port) || port.external_ids.has(PEER))
      : this.#topology.interfaceByName(name) === undefined;
    if (free) this.#blocked.delete(name);
    else if (!this.#blocked.has(name)) {
      this.#blocked.add(name);
      this.#log.error(
        { port: name },
        'a tunnel cannot be made: a port or interface of that name exists that is not ours',
      );
    }
    return !free;
  }

  #options(spec: TunnelSpec): Record<string, string> {
    return this.#encapsulation.options({ remoteIp: spec.remoteIp, localIp: this.#localIp });
  }

  #make(name: string, spec: TunnelSpec, rowName: string): Operation[] {
    const ids = map({ owner: OWNER, [PEER]: String(spec.peer) });
    const options = map(this.#options(spec));
    return [
      insert(
        'Interface',
        { name, type: this.#encapsulation.type, options, bfd: map(bfdOf(spec)), external_ids: ids },
        `${rowName}_interface`,
      ),
      insert('Port', { name, interfaces: namedUuid(`${rowName}_interface`), external_ids: ids }, rowName),
    ];
  }

  #mend(port: PortRow, spec: TunnelSpec): Operation[] {
    const operations: Operation[] = [];
    const row = this.#interfaceOf(port)!;
    const ids = Object.entries({ owner: OWNER, [PEER]: String(spec.peer) });
    for (const [table, marked] of [
      ['Port', port],
      ['Interface', row],
    ] as const) {
      const differing = ids.filter(([key, value]) => marked.external_ids.get(key) !== value);
      if (differing.length === 0) continue;
      operations.push(mutate(table, is(marked.uuid), putKeys('external_ids', Object.fromEntries(differing))));
    }
    const columns: JsonRow = {};
    if (row.type !== this.#encapsulation.type) columns.type = this.#encapsulation.type;
    // The columns of a tunnel of ours are ours whole: what was added by hand goes too.
    const options = Object.entries(this.#options(spec));
    if (!holds(row.options, options)) columns.options = map(options);
    const pathDown = this.#isGatewayHost ? row.bfd.get(PATH_DOWN) : undefined;
    const bfd = Object.entries({ ...bfdOf(spec), ...(pathDown === undefined ? {} : { [PATH_DOWN]: pathDown }) });
    if (!holds(row.bfd, bfd)) columns.bfd = map(bfd);
    if (Object.keys(columns).length > 0) operations.push(update('Interface', is(row.uuid), columns));
    return operations;
  }
}

function holds(column: ReadonlyMap<string, string>, entries: readonly [string, string][]): boolean {
  return column.size === entries.length && entries.every(([key, value]) => column.get(key) === value);
}
