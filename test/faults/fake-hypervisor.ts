/**
 * A hypervisor made for tests: an OVSDB session with a database of a few rows (RFC 7047), and a switch that fails as it is
 * told (test/southbound/fake-switch.ts). What is written to the database is taken note of, not carried out.
 */
import { connect, type Socket } from 'node:net';
import { until } from '../../src/sandbox/ephemeral.ts';
import { FakeSwitch, type FakeSwitchOptions } from '../southbound/fake-switch.ts';

export type FakeVif = { ifaceId: string; name: string; ofport: number };

/** A tunnel that is there already, since none is made. */
export type FakeTunnel = { peer: number; remoteIp: string; ofport: number };

export type FakeHypervisorOptions = {
  systemId: string;
  encapIp: string;
  vifs?: readonly FakeVif[];
  tunnels?: readonly FakeTunnel[];
  /** How its bytes go out over OVSDB; in one piece unless told. */
  writeDatabase?(socket: Socket, text: string): void;
} & Omit<FakeSwitchOptions, 'port' | 'datapathId'>;

type Request = { method?: string; params?: unknown[]; id?: unknown };

const id = (n: number): string => `00000000-0000-4000-8000-${n.toString(16).padStart(12, '0')}`;
const set = (uuids: string[]): unknown => ['set', uuids.map((uuid) => ['uuid', uuid])];
const map = (entries: Record<string, string>): unknown => ['map', Object.entries(entries)];

export class FakeHypervisor {
  readonly options: FakeHypervisorOptions;
  /** What was last written to the database: where the switch is to connect, and who it is to be. */
  target: { port: number; datapathId: bigint } | undefined;
  fake: FakeSwitch | undefined;
  /** Resolves when the OVSDB session has ended. */
  databaseClosed: Promise<void> = Promise.resolve();
  monitored = 0;
  #database: Socket | undefined;

  constructor(options: FakeHypervisorOptions) {
    this.options = options;
  }

  /** Calls in over OVSDB. @param manager as ovs-vsctl set-manager takes it. */
  async connectDatabase(manager: string): Promise<void> {
    const [, host, port] = /^tcp:(.+):(\d+)$/.exec(manager) ?? [];
    const socket = connect({ host: host!, port: Number(port) });
    this.#database = socket;
    let depth = 0;
    let text = '';
    socket.setNoDelay(true);
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      // No text we are sent has a brace in a string.
      for (const character of chunk) {
        text += character;
        if (character === '{') depth++;
        else if (character === '}' && --depth === 0) {
          this.#requested(socket, JSON.parse(text) as Request);
          text = '';
        }
      }
    });
    socket.on('error', () => {
      // The other side may reset what it refuses, or be killed; `databaseClosed` tells.
    });
    this.databaseClosed = new Promise((resolve) => socket.once('close', () => resolve()));
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
  }

  /** Connects the switch, once the database says where to. */
  async connectSwitch(): Promise<FakeSwitch> {
    await until(`the controller of ${this.options.systemId}`, () => this.target !== undefined);
    this.fake ??= new FakeSwitch({ ...this.options, ...this.target! });
    Object.assign(this.fake.options, this.target);
    await this.fake.connect();
    return this.fake;
  }

  async connect(manager: string): Promise<FakeSwitch> {
    await this.connectDatabase(manager);
    return this.connectSwitch();
  }

  drop(): void {
    this.#database?.destroy();
    this.fake?.socket?.destroy();
  }

  #send(socket: Socket, message: object): void {
    const text = JSON.stringify(message);
    if (this.options.writeDatabase === undefined) socket.write(text);
    else this.options.writeDatabase(socket, text);
  }

  #requested(socket: Socket, { method, params = [], id: number }: Request): void {
    if (number === undefined || number === null || method === undefined) return;
    const answer = (result: unknown): void => this.#send(socket, { id: number, result, error: null });
    if (method === 'monitor_cond') {
      this.monitored++;
      answer(this.#rows());
    } else if (method === 'transact') {
      const [, ...operations] = params as [string, ...{ op: string }[]];
      this.#written(JSON.stringify(operations));
      answer(operations.map(({ op }) => (op === 'insert' ? { uuid: ['uuid', id(999)] } : { count: 1 })));
    } else if (method === 'echo') answer(params);
    else this.#send(socket, { id: number, result: null, error: 'unknown method' });
  }

  #written(operations: string): void {
    const port = /"target":"tcp:[^"]*:(\d+)"/.exec(operations)?.[1];
    const datapathId = /"datapath-id","([0-9a-f]{16})"/.exec(operations)?.[1];
    if (port === undefined && datapathId === undefined) return;
    this.target = {
      port: port === undefined ? this.target!.port : Number(port),
      datapathId: datapathId === undefined ? this.target!.datapathId : BigInt(`0x${datapathId}`),
    };
  }

  /** `<table-updates2>` of the first contents. */
  #rows(): unknown {
    const { systemId, encapIp, vifs = [], tunnels = [] } = this.options;
    const [root, bridge, controller, local] = [id(1), id(2), id(3), id(4)] as const;
    const ports = [
      ...vifs.map(({ name, ifaceId, ofport }) => ({ name, ofport, external_ids: map({ 'iface-id': ifaceId }) })),
      ...tunnels.map(({ peer, remoteIp, ofport }) => ({
        name: `kw${peer.toString(16)}`,
        type: 'gre',
        options: map({ key: 'flow', remote_ip: remoteIp }),
        ofport,
        external_ids: map({ owner: 'keyway', 'keyway-peer': String(peer) }),
      })),
    ];
    const portOf = (n: number): string => id(100 + 2 * n);
    const interfaceOf = (n: number): string => id(101 + 2 * n);
    const initial = (row: object): object => ({ initial: row });
    const { target } = this;
    return {
      Open_vSwitch: {
        [root]: initial({
          external_ids: map({ 'system-id': systemId, hostname: systemId, 'keyway-encap-ip': encapIp }),
          ovs_version: '3.1.0',
          bridges: ['uuid', bridge],
          next_cfg: 1,
          cur_cfg: 1,
        }),
      },
      Bridge: {
        [bridge]: initial({
          name: 'br-int',
          ports: set([local, ...ports.map((_, n) => portOf(n))]),
          ...(target === undefined ? {} : { controller: ['uuid', controller] }),
          protocols: 'OpenFlow15',
          fail_mode: 'secure',
          other_config: map({
            'disable-in-band': 'true',
            ...(target === undefined ? {} : { 'datapath-id': target.datapathId.toString(16).padStart(16, '0') }),
          }),
        }),
      },
      Controller:
        target === undefined
          ? {}
          : {
              [controller]: initial({
                target: `tcp:127.0.0.1:${target.port}`,
                max_backoff: 1000,
                inactivity_probe: 60_000,
                connection_mode: 'out-of-band',
                external_ids: map({ owner: 'keyway' }),
              }),
            },
      Port: Object.fromEntries([
        [local, initial({ name: 'br-int', interfaces: ['uuid', id(5)] })],
        ...ports.map(({ name, external_ids }, n) => [
          portOf(n),
          initial({
            name,
            interfaces: ['uuid', interfaceOf(n)],
            external_ids: n < vifs.length ? map({}) : external_ids,
          }),
        ]),
      ]),
      Interface: Object.fromEntries([
        [id(5), initial({ name: 'br-int', type: 'internal', ofport: 65_534 })],
        ...ports.map((row, n) => [interfaceOf(n), initial(row)]),
      ]),
    };
  }
}
