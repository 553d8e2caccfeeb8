/** The plugin, thread and all, with what it tells recorded. */
import { type OpenVswitchOptions, OpenVswitchPlugin } from '../../plugins/openvswitch/plugin.ts';
import type { HypervisorNumber, Pass, SwitchEvents } from '../../src/drivers/switch-plugin.ts';
import type { Flow, Meter } from '../../src/pipeline/flow.ts';
import { until } from '../../src/sandbox/ephemeral.ts';

export type Told = {
  [Name in keyof SwitchEvents]: { name: Name; params: Parameters<SwitchEvents[Name]> };
}[keyof SwitchEvents];

export type Logged = { level: string; fields: object; message: string };

export class PluginUnderTest implements AsyncDisposable {
  readonly plugin: OpenVswitchPlugin;
  readonly told: Told[] = [];
  readonly logged: Logged[] = [];
  readonly fatal: Error[] = [];
  managers: string[] = [];
  readonly #next = new Map<string, (() => void)[]>();
  #sequence = 0;

  constructor(options: Partial<OpenVswitchOptions> = {}) {
    const at =
      (level: string) =>
      (fields: object, message: string): void => {
        this.logged.push({ level, fields, message });
      };
    this.plugin = new OpenVswitchPlugin({
      listenOvsdb: ['ptcp:0:127.0.0.1'],
      listenOpenflow: { host: '127.0.0.1', port: 0 },
      tunnelLocalIp: false,
      log: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') },
      logLevel: 'debug',
      onFatal: (error) => this.fatal.push(error),
      ...options,
    });
  }

  /** Admits hypervisors as they come: system-id `hvN` becomes number N with datapath id N + 0x100. */
  async start(): Promise<this> {
    const record =
      <Name extends keyof SwitchEvents>(name: Name) =>
      (...params: Parameters<SwitchEvents[Name]>): void => {
        this.told.push({ name, params } as Told);
        for (const resolve of this.#next.get(name)?.splice(0) ?? []) resolve();
      };
    const started = await this.plugin.start({
      chassis: (facts) => {
        record('chassis')(facts);
        const hypervisor = Number(facts.systemId.slice(2));
        this.plugin.admit({ hypervisor, systemId: facts.systemId, datapathId: BigInt(0x100 + hypervisor) });
      },
      chassisGone: record('chassisGone'),
      refused: record('refused'),
      interfaces: record('interfaces'),
      tunnels: record('tunnels'),
      patches: record('patches'),
      connected: record('connected'),
      disconnected: record('disconnected'),
      acknowledged: record('acknowledged'),
      rejected: record('rejected'),
      accepted: record('accepted'),
      drifted: record('drifted'),
      packetIn: record('packetIn'),
    });
    this.managers = started.managers;
    return this;
  }

  all<Name extends keyof SwitchEvents>(name: Name): Parameters<SwitchEvents[Name]>[] {
    return this.told
      .filter((event) => event.name === name)
      .map(({ params }) => params as Parameters<SwitchEvents[Name]>);
  }

  async seen(name: keyof SwitchEvents, count = 1, timeout?: number): Promise<void> {
    try {
      await until(`${count} × ${name}`, () => this.all(name).length >= count, timeout);
    } catch (error) {
      const log = this.logged.map((line) => `${line.level} ${line.message} ${inspect(line.fields)}`).join('\n');
      throw new Error(`${(error as Error).message}; told: ${inspect(this.told)}\n${log}`, { cause: error });
    }
  }

  /** The next event of this name, without polling. */
  next(name: keyof SwitchEvents): Promise<void> {
    return new Promise((resolve) => {
      const waiting = this.#next.get(name);
      if (waiting === undefined) this.#next.set(name, [resolve]);
      else waiting.push(resolve);
    });
  }

  /** One pass: sets units (undefined removes) on switches. @returns its number */
  apply(
    units: Record<string, readonly Flow[] | undefined>,
    on: HypervisorNumber[] = [1],
    meters: Record<string, readonly Meter[]> = {},
  ): number {
    const pass: Pass = { sequence: ++this.#sequence, set: [], remove: [] };
    for (const [unit, flows] of Object.entries(units)) {
      if (flows === undefined) pass.remove.push({ unit, on });
      else pass.set.push({ unit, on, flows: this.plugin.encode(flows, meters[unit]) });
    }
    this.plugin.apply(pass);
    return pass.sequence;
  }

  async acknowledged(sequence: number, hypervisor: HypervisorNumber = 1, timeout?: number): Promise<void> {
    const done = (): boolean =>
      this.all('acknowledged').some(([hv, number]) => hv === hypervisor && number >= sequence);
    try {
      await until(`acknowledgement of pass ${sequence}`, done, timeout);
    } catch (error) {
      const log = this.logged.map((line) => `${line.level} ${line.message} ${inspect(line.fields)}`).join('\n');
      throw new Error(`${(error as Error).message}; told: ${inspect(this.told)}\n${log}`, { cause: error });
    }
  }

  async program(
    units: Record<string, readonly Flow[] | undefined>,
    on: HypervisorNumber[] = [1],
    meters: Record<string, readonly Meter[]> = {},
  ): Promise<void> {
    const sequence = this.apply(units, on, meters);
    for (const hypervisor of on) await this.acknowledged(sequence, hypervisor);
  }

  async stats() {
    return (await this.plugin.stats()).switches[0]!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.plugin.stop();
  }
}

function inspect(value: unknown): string {
  return JSON.stringify(value, (_key, part) => {
    if (typeof part === 'bigint') return `${part}`;
    if (part instanceof Error) return part.stack;
    return part instanceof Map ? [...part] : (part as unknown);
  });
}
