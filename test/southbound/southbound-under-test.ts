/** The southbound without its thread, with a chassis room that lets every switch in: for switches made for tests. */

import { encodeUnit } from '../../plugins/openvswitch/openflow/meter-record.ts';
import { pack } from '../../plugins/openvswitch/switch/pack.ts';
import { defaultSettings, type FlowEvents, type SwitchSettings } from '../../plugins/openvswitch/switch/settings.ts';
import { Southbound, type SwitchStats } from '../../plugins/openvswitch/switch/southbound.ts';
import type { HypervisorNumber, SwitchEvents } from '../../src/drivers/switch-plugin.ts';
import type { Flow, Meter } from '../../src/pipeline/flow.ts';
import { until } from '../../src/sandbox/ephemeral.ts';
import { FakeSwitch, type FakeSwitchOptions } from './fake-switch.ts';

type Events = FlowEvents & Pick<SwitchEvents, 'refused'>;
type Told = { [Name in keyof Events]: { name: Name; params: Parameters<Events[Name]> } }[keyof Events];

export class SouthboundUnderTest implements AsyncDisposable {
  readonly southbound: Southbound;
  readonly told: Told[] = [];
  readonly warnings: string[] = [];
  /** What peerOf answers. */
  readonly peers = new Map<bigint, string>();
  port = 0;
  readonly #fakes: FakeSwitch[] = [];
  #sequence = 0;

  constructor(settings: Partial<SwitchSettings> = {}) {
    const record =
      <Name extends keyof Events>(name: Name) =>
      (...params: Parameters<Events[Name]>): void => {
        this.told.push({ name, params } as Told);
      };
    const warn = (fields: object, message: string): void => {
      this.warnings.push(`${message} ${'err' in fields ? String(fields.err) : ''}`);
    };
    const ignore = (): void => {};
    this.southbound = new Southbound({
      openflow: { host: '127.0.0.1', port: 0 },
      trustedNetworks: [],
      insecure: false,
      settings: { ...defaultSettings, ...settings },
      makeChassis: (port) => {
        this.port = port;
        return {
          start: async () => ({ managers: [] }),
          admit: ignore,
          dismiss: ignore,
          setTunnels: ignore,
          setPatches: ignore,
          peerOf: (datapathId) => this.peers.get(datapathId),
          health: () => Promise.reject(new Error('there is no database')),
          stop: async () => {},
        };
      },
      events: {
        connected: record('connected'),
        disconnected: record('disconnected'),
        acknowledged: record('acknowledged'),
        rejected: record('rejected'),
        accepted: record('accepted'),
        drifted: record('drifted'),
        packetIn: record('packetIn'),
        refused: record('refused'),
      },
      log: { debug: ignore, info: ignore, warn, error: warn },
    });
  }

  async start(): Promise<this> {
    await this.southbound.start();
    return this;
  }

  /** Admits the hypervisor and, unless told not to, lets it be programmed. */
  admit(hypervisor: HypervisorNumber, { ready = true, peer = '127.0.0.1' } = {}): bigint {
    const datapathId = BigInt(0x100 + hypervisor);
    this.peers.set(datapathId, peer);
    this.southbound.admit({ hypervisor, systemId: `hv${hypervisor}`, datapathId });
    if (ready) this.southbound.ready(hypervisor);
    return datapathId;
  }

  /** A switch of an admitted hypervisor, not yet connected. */
  fake(hypervisor: HypervisorNumber, options: Partial<FakeSwitchOptions> = {}): FakeSwitch {
    const fake = new FakeSwitch({ port: this.port, datapathId: BigInt(0x100 + hypervisor), ...options });
    this.#fakes.push(fake);
    return fake;
  }

  /** @param meters of the units that have some */
  apply(
    units: Record<string, readonly Flow[] | undefined>,
    on: HypervisorNumber[] = [1],
    meters: Record<string, readonly Meter[]> = {},
  ): number {
    const set = Object.entries(units).filter((entry): entry is [string, readonly Flow[]] => entry[1] !== undefined);
    this.southbound.apply(
      pack({
        sequence: ++this.#sequence,
        set: set.map(([unit, flows]) => ({ unit, on, flows: encodeUnit(flows, meters[unit]) })),
        remove: Object.entries(units).flatMap(([unit, flows]) => (flows === undefined ? [{ unit, on }] : [])),
      }),
    );
    return this.#sequence;
  }

  all<Name extends keyof Events>(name: Name): Parameters<Events[Name]>[] {
    return this.told.filter((event) => event.name === name).map(({ params }) => params as Parameters<Events[Name]>);
  }

  async seen(name: keyof Events, count = 1, timeout?: number): Promise<void> {
    await this.#until(`${count} × ${name}`, () => this.all(name).length >= count, timeout);
  }

  async acknowledged(sequence: number, hypervisor: HypervisorNumber = 1): Promise<void> {
    await this.#until(`acknowledgement of pass ${sequence}`, () =>
      this.all('acknowledged').some(([hv, number]) => hv === hypervisor && number >= sequence),
    );
  }

  async program(
    units: Record<string, readonly Flow[] | undefined>,
    on: HypervisorNumber[] = [1],
    meters: Record<string, readonly Meter[]> = {},
  ): Promise<void> {
    const sequence = this.apply(units, on, meters);
    for (const hypervisor of on) await this.acknowledged(sequence, hypervisor);
  }

  stats(hypervisor: HypervisorNumber = 1): SwitchStats {
    return this.southbound.stats().switches.find((stats) => stats.hypervisor === hypervisor)!;
  }

  async #until(what: string, condition: () => boolean, timeout?: number): Promise<void> {
    try {
      await until(what, condition, timeout);
    } catch (error) {
      const told = this.told.map(({ name, params }) => `${name} ${params.map(String).join(' ')}`);
      throw new Error(`${(error as Error).message}\n${[...told, ...this.warnings].join('\n')}`, { cause: error });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const fake of this.#fakes) fake.socket?.destroy();
    await this.southbound.stop();
  }
}
