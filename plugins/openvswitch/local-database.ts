/**
 * The database of the switch on this machine, for a program beside it: it watches tunnels and patches of the integration
 * bridge, and makes a port there of its own.
 */
import { connect } from 'node:net';
import type { LocalDatabase, LocalFacts } from '../../src/drivers/local-switch.ts';
import { DATABASE, isOurs, portNumberOf } from './chassis/schema.ts';
import { peerOf } from './chassis/tunnel-ports.ts';
import type { Log } from './log.ts';
import { DatabaseCache } from './ovsdb/cache.ts';
import { OvsdbConnection } from './ovsdb/client.ts';
import { insert, is, mutate, type Operation, putKeys } from './ovsdb/operations.ts';
import { mapOf, optional, scalar, setOf } from './ovsdb/schema.ts';
import { map, namedUuid, set, uuid } from './ovsdb/types.ts';

const watched = {
  Open_vSwitch: { external_ids: mapOf('string', 'string') },
  Bridge: { name: scalar('string'), ports: setOf('uuid') },
  Port: { name: scalar('string'), interfaces: setOf('uuid'), external_ids: mapOf('string', 'string') },
  Interface: {
    name: scalar('string'),
    external_ids: mapOf('string', 'string'),
    ofport: optional('integer'),
    bfd: mapOf('string', 'string'),
    bfd_status: mapOf('string', 'string'),
  },
} as const;

const PATCH = 'keyway-patch';
/** Of Interface.bfd, ovs-vswitchd.conf.db(5). */
const PATH_DOWN = 'cpath_down';
const SERVICE = 'keyway-service';
const GATEWAY_HOST = 'gateway-host';

/**
 * OpenFlow port that is asked for: flows name it, and a program that starts again while there is no controller must be behind
 * the same one. Far above what Open vSwitch gives by itself, which is the lowest that is free.
 */
const servicesOfport = 65_000;

/** Milliseconds from a loss to the next attempt; doubled with each that fails. */
const firstRetry = 100;
const lastRetry = 2_000;

/** Watches until it is closed, whenever the database is there. @param onChange undefined: it is not */
export function watchLocalDatabase(
  path: string,
  onChange: (facts: LocalFacts | undefined) => void,
  log: Log,
): LocalDatabase {
  const watch = new Watch(path, onChange, log);
  watch.start();
  return watch;
}

class Watch implements LocalDatabase {
  facts: LocalFacts | undefined;
  readonly #path: string;
  readonly #onChange: (facts: LocalFacts | undefined) => void;
  readonly #log: Log;
  #connection: OvsdbConnection | undefined;
  #cache = new DatabaseCache(watched);
  #retry = firstRetry;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;
  #told = '';
  /** Undefined until somebody has said. */
  #pathDown: boolean | undefined;
  #writingPath = false;
  #lastFailure = '';

  constructor(path: string, onChange: (facts: LocalFacts | undefined) => void, log: Log) {
    this.#path = path;
    this.#onChange = onChange;
    this.#log = log;
  }

  start(): void {
    const connection = new OvsdbConnection(connect(this.#path), { probeInterval: 5_000 });
    this.#connection = connection;
    this.#cache = new DatabaseCache(watched);
    connection.closed
      .then((reason) => this.#lost(reason))
      .catch((err: unknown) => this.#log.error({ err }, 'local database'));
    connection
      .monitor(DATABASE, this.#cache.watched, (tables, version) => {
        this.#cache.apply(tables, version);
        this.#retry = firstRetry;
        this.#lastFailure = '';
        this.#tell(this.#read());
        this.#keepPath();
      })
      // Its end is dealt with where it closes.
      .catch((error: unknown) => connection.close(error instanceof Error ? error.message : String(error)));
  }

  async attach(bridge: string, name: string): Promise<void> {
    const row = this.#bridgeOf(bridge);
    // Not `owner`: that is what the controller makes, and takes away when it is not wanted.
    const external_ids = map({ [SERVICE]: GATEWAY_HOST });
    await this.#transact([
      insert('Interface', { name, external_ids, ofport_request: servicesOfport }, 'services_interface'),
      insert('Port', { name, interfaces: set([namedUuid('services_interface')]), external_ids }, 'services_port'),
      mutate('Bridge', is(row), [['ports', 'insert', set([namedUuid('services_port')])]]),
    ]);
  }

  async detach(bridge: string, name: string): Promise<void> {
    const row = this.#bridgeOf(bridge);
    const ports = [...this.#portsOf(row)].filter((port) => port.name === name && isOfServices(port));
    if (ports.length === 0) return;
    const gone = set(ports.map((port) => uuid(port.uuid)));
    await this.#transact([mutate('Bridge', is(row), [['ports', 'delete', gone]])]);
  }

  setPathDown(down: boolean): void {
    this.#pathDown = down;
    this.#keepPath();
  }

  /** One write at a time: what it changes comes back as an update, and is looked at again. */
  #keepPath(): void {
    const down = this.#pathDown;
    if (down === undefined || this.#writingPath || this.#connection === undefined) return;
    const wanted = down ? 'true' : undefined;
    const operations: Operation[] = [];
    for (const row of this.#tunnelRows())
      if (row.bfd.get(PATH_DOWN) !== wanted)
        operations.push(
          down
            ? mutate('Interface', is(row.uuid), putKeys('bfd', { [PATH_DOWN]: 'true' }))
            : mutate('Interface', is(row.uuid), [['bfd', 'delete', set([PATH_DOWN])]]),
        );
    if (operations.length === 0) return;
    this.#writingPath = true;
    this.#transact(operations)
      .then(() =>
        this.#log.info({ tunnels: operations.length, down }, 'the other ends of tunnels are told of the path'),
      )
      .catch((err: unknown) => this.#log.warn({ err, down }, 'the other ends of tunnels are not told of the path'))
      .finally(() => {
        this.#writingPath = false;
        if (this.#pathDown !== down) this.#keepPath();
      });
  }

  *#tunnelRows() {
    const wanted = this.facts?.bridge;
    for (const bridge of this.#cache.table('Bridge').values()) {
      if (bridge.name !== wanted) continue;
      for (const port of this.#portsOf(bridge.uuid)) {
        const [first] = port.interfaces;
        const row = first === undefined ? undefined : this.#cache.row('Interface', first);
        if (row !== undefined && isOurs(port) && peerOf(port) !== undefined) yield row;
      }
    }
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#connection?.close('closed by us');
  }

  async #transact(operations: Operation[]): Promise<void> {
    if (this.#connection === undefined) throw new Error('the local database is not there');
    // What ovs-vsctl does too: ovs-vswitchd looks at the database when this number goes up.
    const [root] = this.#cache.table('Open_vSwitch').keys();
    const next = root === undefined ? [] : [mutate('Open_vSwitch', is(root), [['next_cfg', '+=', 1]])];
    await this.#connection.transact(DATABASE, [...operations, ...next]);
  }

  #bridgeOf(name: string): string {
    for (const row of this.#cache.table('Bridge').values()) if (row.name === name) return row.uuid;
    throw new Error(`there is no bridge ${name}`);
  }

  *#portsOf(bridge: string) {
    for (const port of this.#cache.row('Bridge', bridge)?.ports ?? []) {
      const row = this.#cache.row('Port', String(port));
      if (row !== undefined) yield row;
    }
  }

  #read(): LocalFacts {
    const [root] = this.#cache.table('Open_vSwitch').values();
    const wanted = root?.external_ids.get('keyway-bridge') ?? 'br-int';
    const facts = {
      systemId: root?.external_ids.get('system-id'),
      bridge: undefined as string | undefined,
      tunnels: new Map<number, boolean>(),
      patches: new Map<string, number>(),
      services: [] as string[],
    };
    for (const bridge of this.#cache.table('Bridge').values()) {
      if (bridge.name !== wanted) continue;
      facts.bridge = bridge.name;
      for (const port of this.#portsOf(bridge.uuid)) this.#readPort(port, facts);
    }
    return facts;
  }

  #readPort(
    port: { name: string; interfaces: ReadonlySet<string>; external_ids: ReadonlyMap<string, string> },
    facts: { tunnels: Map<number, boolean>; patches: Map<string, number>; services: string[] },
  ): void {
    if (isOfServices(port)) {
      facts.services.push(port.name);
      return;
    }
    if (!isOurs(port)) return;
    const [first] = port.interfaces;
    const row = first === undefined ? undefined : this.#cache.row('Interface', first);
    if (row === undefined) return;
    const peer = peerOf(port);
    const patch = port.external_ids.get(PATCH);
    const ofport = portNumberOf(row);
    // What Open vSwitch's own bundle action goes by: RFC 5880, ovs-vswitchd.conf.db(5) bfd_status:forwarding.
    if (peer !== undefined) facts.tunnels.set(peer, row.bfd_status.get('forwarding') === 'true');
    else if (patch !== undefined && ofport !== undefined) facts.patches.set(patch, ofport);
  }

  #tell(facts: LocalFacts | undefined): void {
    this.facts = facts;
    const text =
      facts === undefined ? '' : JSON.stringify({ ...facts, tunnels: [...facts.tunnels], patches: [...facts.patches] });
    if (text === this.#told) return;
    this.#told = text;
    this.#onChange(facts);
  }

  #lost(reason: string): void {
    this.#connection = undefined;
    if (this.#closed) return;
    if (this.#lastFailure !== reason) {
      this.#lastFailure = reason;
      this.#log.warn({ database: this.#path, reason }, 'the local database is away; it is tried again');
    }
    this.#tell(undefined);
    this.#timer = setTimeout(() => this.start(), this.#retry);
    this.#retry = Math.min(2 * this.#retry, lastRetry);
  }
}

function isOfServices({ external_ids }: { external_ids: ReadonlyMap<string, string> }): boolean {
  return external_ids.get(SERVICE) === GATEWAY_HOST;
}
