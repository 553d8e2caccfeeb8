/**
 * A simulated hypervisor: ovsdb-server with its database, and as much of ovs-vswitchd as gives interfaces their OpenFlow
 * ports and connects the integration bridge to its controller. It calls its manager and controller until they answer.
 */
import { connect, type Socket } from 'node:net';
import { Database, type RowChange } from './database.ts';
import { FlowTable } from './flow-table.ts';
import { OpenflowSession, type SwitchState } from './openflow-session.ts';
import { OvsdbSession } from './ovsdb-session.ts';

export type HypervisorOptions = {
  systemId: string;
  encapIp: string;
  /** tcp:ADDRESS:PORT. */
  manager: string;
  /** Bridges it has for physical networks, which do nothing with what they get: `keyway-bridge-mappings`. */
  physical?: Readonly<Record<string, string>>;
};

/** Milliseconds between attempts, as Keyway sets max_backoff. */
const backoff = 1_000;

export class Hypervisor {
  readonly switch: SwitchState = {
    datapathId: 0n,
    flows: new FlowTable(),
    meters: new Map(),
    counters: { bundles: 0, flowMods: 0, refused: 0 },
    ports: () => this.#ofports(),
  };
  readonly #database = new Database();
  readonly #root: string;
  #nextPort = 1;
  #openflow: Caller | undefined;
  readonly #ovsdb: Caller;
  #reconfiguring = false;
  /** VIFs to be put on the integration bridge once it is there. */
  #unplugged: string[] = [];

  constructor({ systemId, encapIp, manager, physical = {} }: HypervisorOptions) {
    const database = this.#database;
    const mappings = Object.entries(physical)
      .map(([network, bridge]) => `${network}:${bridge}`)
      .join();
    this.#root = database.make('Open_vSwitch', {
      external_ids: new Map([
        ['system-id', systemId],
        ['hostname', systemId],
        ['keyway-encap-ip', encapIp],
        ['keyway-datapath-type', 'dummy'],
        ['keyway-bridge-mappings', mappings],
      ]),
      ovs_version: '3.1.0',
    });
    database.edit((write) => {
      write('Open_vSwitch', this.#root, {
        manager_options: new Set([database.make('Manager', { target: manager })]),
        bridges: new Set(
          [...new Set(Object.values(physical))].map((name) =>
            database.make('Bridge', { name, datapath_type: 'dummy' }),
          ),
        ),
      });
    });
    database.listeners.add((changes) => this.#changed(changes));
    this.#ovsdb = new Caller(manager, (socket) => new OvsdbSession(socket, database));
  }

  start(): void {
    this.#ovsdb.start();
  }

  stop(): void {
    this.#ovsdb.stop();
    this.#openflow?.stop();
  }

  /** Interfaces with these names and iface-ids, on the integration bridge as soon as there is one. */
  plug(ifaceIds: readonly string[]): void {
    this.#unplugged.push(...ifaceIds);
    this.#reconfigureSoon();
  }

  get interfaces(): number {
    return this.#database.rows('Interface').size;
  }

  #changed(changes: readonly RowChange[]): void {
    if (changes.some(({ table }) => table !== 'Manager')) this.#reconfigureSoon();
  }

  /** ovs-vswitchd looks at the database after the transaction, in its own time. */
  #reconfigureSoon(): void {
    if (this.#reconfiguring) return;
    this.#reconfiguring = true;
    setImmediate(() => {
      this.#reconfiguring = false;
      this.#reconfigure();
    });
  }

  #reconfigure(): void {
    const database = this.#database;
    const root = database.row('Open_vSwitch', this.#root)!;
    const bridge = database
      .rows('Bridge')
      .values()
      .find(({ cells }) => cells.name === 'br-int');
    if (bridge !== undefined) this.#plugWaiting(bridge.uuid);
    const next = root.cells.next_cfg;
    database.edit((write) => {
      // Which are on a bridge is told by their references: rows without any are gone.
      for (const row of database.rows('Interface').values())
        if (row.cells.ofport === undefined)
          write('Interface', row.uuid, { ofport: row.cells.type === 'internal' ? 65534 : this.#nextPort++ });
      if (root.cells.cur_cfg !== next) write('Open_vSwitch', this.#root, { cur_cfg: next });
    });
    if (bridge !== undefined) this.#connect(bridge.uuid);
  }

  *#ofports(): Iterable<number> {
    for (const { cells } of this.#database.rows('Interface').values())
      if (typeof cells.ofport === 'number') yield cells.ofport;
  }

  #plugWaiting(bridge: string): void {
    if (this.#unplugged.length === 0) return;
    const names = this.#unplugged;
    this.#unplugged = [];
    const database = this.#database;
    database.edit((write) => {
      const ports = new Set(database.row('Bridge', bridge)!.cells.ports as Set<string>);
      for (const name of names) {
        const row = database.make('Interface', { name, type: 'dummy', external_ids: new Map([['iface-id', name]]) });
        ports.add(database.make('Port', { name, interfaces: new Set([row]) }));
      }
      write('Bridge', bridge, { ports });
    });
  }

  /** To the controller that the bridge names, under the datapath id it was given. */
  #connect(bridge: string): void {
    const { cells } = this.#database.row('Bridge', bridge)!;
    const id = (cells.other_config as Map<string, string>).get('datapath-id');
    const [controller = ''] = cells.controller as Set<string>;
    const target = this.#database.row('Controller', controller)?.cells.target;
    if (id === undefined || typeof target !== 'string') return;
    this.switch.datapathId = BigInt(`0x${id}`);
    if (this.#openflow?.target === target) return;
    this.#openflow?.stop();
    this.#openflow = new Caller(target, (socket) => new OpenflowSession(socket, this.switch));
    this.#openflow.start();
  }
}

/** Keeps a connection open: when it ends another is tried. */
class Caller {
  readonly target: string;
  readonly #serve: (socket: Socket) => unknown;
  #socket: Socket | undefined;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(target: string, serve: (socket: Socket) => unknown) {
    this.target = target;
    this.#serve = serve;
  }

  start(): void {
    const [kind, host, port] = this.target.split(':');
    if (kind !== 'tcp' || host === undefined) throw new Error(`${this.target}: only tcp:ADDRESS:PORT is simulated`);
    const socket = connect({ host, port: Number(port), noDelay: true });
    this.#socket = socket;
    socket.once('connect', () => this.#serve(socket));
    // Why it ended does not matter: it is tried again.
    socket.on('error', () => {});
    socket.once('close', () => {
      if (!this.#stopped) this.#timer = setTimeout(() => this.start(), backoff);
    });
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#socket?.destroy();
  }
}
