/** Switches as maps of units: what the engine sent, no more. For tests of the engine and compiler without Open vSwitch. */
import { encodeUnit } from '../../plugins/openvswitch/openflow/meter-record.ts';
import { decodeFlows } from '../../plugins/openvswitch/openflow/record.ts';
import { formatFlow, parseFlow } from '../../plugins/openvswitch/openflow/text.ts';
import { hashBytes } from '../../src/drivers/hash.ts';
import type {
  Admission,
  Drift,
  HeldUnits,
  HypervisorNumber,
  InterfaceFacts,
  Pass,
  PatchSpec,
  SwitchEvents,
  SwitchPlugin,
  TunnelSpec,
} from '../../src/drivers/switch-plugin.ts';
import type { Flow, Meter } from '../../src/pipeline/flow.ts';
import { tableName } from '../../src/pipeline/tables.ts';

/** OpenFlow port of a fake switch's patch: the number at the key's end stands for it. */
export const patchPort = (key: string): number => 2_000 + Number(/\d*$/.exec(key)![0]);

export class FakeSwitches implements SwitchPlugin {
  readonly overhead = 42;
  readonly units = new Map<HypervisorNumber, Map<string, Uint8Array>>();
  readonly admitted = new Map<HypervisorNumber, Admission>();
  readonly readied = new Set<HypervisorNumber>();
  readonly tunnels = new Map<HypervisorNumber, TunnelSpec[]>();
  readonly patches = new Map<HypervisorNumber, PatchSpec[]>();
  /** OpenFlow ports of the services of gateway hosts. */
  readonly services = new Map<HypervisorNumber, number>();
  readonly flushed: string[] = [];
  /** Passes applied since the start. */
  passes = 0;
  /** Acknowledge at once; else `acknowledge` is to be called. */
  prompt = true;
  #events: SwitchEvents | undefined;
  readonly #last = new Map<HypervisorNumber, number>();

  get events(): SwitchEvents {
    if (this.#events === undefined) throw new Error('not started');
    return this.#events;
  }

  encode(flows: readonly Flow[], meters?: readonly Meter[]): Uint8Array {
    return encodeUnit(flows, meters);
  }
  decode(flows: Uint8Array): Flow[] {
    return decodeFlows(flows);
  }
  format(flow: Flow): string {
    return formatFlow(flow, { tableName });
  }
  parse(text: string): Flow {
    return parseFlow(text);
  }
  start(events: SwitchEvents): Promise<{ managers: string[] }> {
    this.#events = events;
    return Promise.resolve({ managers: [] });
  }
  admit(admission: Admission): void {
    this.admitted.set(admission.hypervisor, admission);
  }
  dismiss(hypervisor: HypervisorNumber): void {
    this.admitted.delete(hypervisor);
    this.units.delete(hypervisor);
  }
  setTunnels(hypervisor: HypervisorNumber, tunnels: TunnelSpec[]): void {
    this.tunnels.set(hypervisor, tunnels);
    // The peer's number stands for the OpenFlow port.
    queueMicrotask(() => this.events.tunnels(hypervisor, new Map(tunnels.map((t) => [t.peer, 1_000 + t.peer]))));
  }
  setPatches(hypervisor: HypervisorNumber, patches: PatchSpec[]): void {
    this.patches.set(hypervisor, patches);
    const ofports = new Map(patches.map(({ key }) => [key, patchPort(key)]));
    const services = this.services.get(hypervisor);
    if (services !== undefined) ofports.set('services', services);
    queueMicrotask(() => this.events.patches(hypervisor, ofports));
  }
  ready(hypervisor: HypervisorNumber): void {
    this.readied.add(hypervisor);
    this.events.connected(hypervisor);
  }
  apply(pass: Pass): void {
    this.passes++;
    const touched = new Set<HypervisorNumber>();
    for (const { unit, on } of pass.remove) {
      for (const h of on) {
        if (this.units.get(h)?.delete(unit) !== true) throw new Error(`${unit} was never on ${h}`);
        touched.add(h);
      }
    }
    for (const { unit, on, flows } of pass.set) {
      for (const h of on) {
        const there = this.units.get(h) ?? new Map<string, Uint8Array>();
        there.set(unit, flows);
        this.units.set(h, there);
        touched.add(h);
      }
    }
    for (const h of touched) this.#last.set(h, pass.sequence);
    if (this.prompt) queueMicrotask(() => this.acknowledge(touched));
  }
  acknowledge(hypervisors: Iterable<HypervisorNumber> = this.#last.keys()): void {
    for (const h of hypervisors) this.events.acknowledged(h, this.#last.get(h) ?? 0);
  }
  flushZone(hypervisor: HypervisorNumber, zone: number): Promise<void> {
    this.flushed.push(`${hypervisor}/${zone}`);
    return Promise.resolve();
  }
  installed(): Promise<never> {
    return Promise.reject(new Error('a fake switch installs nothing'));
  }
  desired(hypervisor: HypervisorNumber): Promise<Flow[]> {
    return Promise.resolve(this.flowsOn(hypervisor));
  }
  /** What is sent to a fake switch is what it has. */
  drift(): Promise<Drift> {
    return Promise.resolve({ missing: [], extra: [], different: [] });
  }
  held(hypervisor: HypervisorNumber): Promise<HeldUnits> {
    const there = [...(this.units.get(hypervisor) ?? [])];
    const hashes = Float64Array.from(there, ([, bytes]) => hashBytes(bytes));
    // The answer of a thread comes a turn later at the least.
    return new Promise((resolve) => setImmediate(resolve, { units: there.map(([unit]) => unit), hashes }));
  }
  stop(): Promise<void> {
    return Promise.resolve();
  }

  flowsOn(hypervisor: HypervisorNumber): Flow[] {
    return [...(this.units.get(hypervisor)?.values() ?? [])].flatMap((bytes) => decodeFlows(bytes));
  }

  /** Every flow of every switch as text, sorted; the same match twice on one switch is an error. */
  texts(): string[] {
    const lines: string[] = [];
    for (const h of [...this.units.keys()].sort((a, b) => a - b)) {
      const keys = new Set<string>();
      for (const flow of this.flowsOn(h)) {
        const key = formatFlow({ ...flow, cookie: 0n, actions: [], goto: undefined });
        if (keys.has(key)) throw new Error(`claimed twice on ${h}: ${key}`);
        keys.add(key);
        lines.push(`${h}: ${formatFlow(flow)}`);
      }
    }
    return lines.sort();
  }

  /** A hypervisor connects and shows its interfaces. */
  connect(systemId: string, encapIp: string, bridgeMappings: Record<string, string> = {}): void {
    this.events.chassis({
      systemId,
      hostname: systemId,
      peer: 'unix',
      ovsVersion: '3.1.0',
      encapIp,
      bridgeMappings,
      datapathType: 'system',
    });
  }
  interfaces(hypervisor: HypervisorNumber, list: Omit<InterfaceFacts, 'mac'>[]): void {
    this.events.interfaces(
      hypervisor,
      list.map((i) => ({ ...i, mac: undefined })),
    );
  }
}
