/** A ChassisServer on a free port or a socket, everything it says kept, and ways to wait for it. */

import type { ChassisLog, ChassisOptions } from '../../plugins/openvswitch/chassis/options.ts';
import { ChassisServer } from '../../plugins/openvswitch/chassis/server.ts';
import type { Admission, ChassisFacts, HypervisorNumber, InterfaceFacts } from '../../src/drivers/switch-plugin.ts';
import { until } from '../../src/sandbox/ephemeral.ts';

export class Recorder {
  readonly chassis: ChassisFacts[] = [];
  readonly gone: { systemId: string; reason: string }[] = [];
  readonly refused: { peer: string; reason: string }[] = [];
  /** Every list, in the order they were told. */
  readonly interfaces: { hypervisor: HypervisorNumber; list: InterfaceFacts[] }[] = [];
  readonly tunnels: { hypervisor: HypervisorNumber; ofports: Map<HypervisorNumber, number> }[] = [];
  readonly patches: { hypervisor: HypervisorNumber; ofports: ReadonlyMap<string, number> }[] = [];
  readonly logged: { level: string; fields: object; message: string }[] = [];
  readonly server: ChassisServer;
  managers: string[] = [];

  constructor(options: Partial<ChassisOptions> = {}) {
    const level = (name: string) => (fields: object, message: string) => {
      this.logged.push({ level: name, fields, message });
    };
    const log: ChassisLog = { debug: level('debug'), info: level('info'), warn: level('warn'), error: level('error') };
    this.server = new ChassisServer({
      listen: ['ptcp:0:127.0.0.1'],
      trustedNetworks: [],
      insecure: false,
      openflowTarget: (address) => `tcp:${address ?? '127.0.0.1'}:6653`,
      encapsulation: 'gre',
      tunnelLocalIp: false,
      events: {
        chassis: (facts) => this.chassis.push(facts),
        chassisGone: (systemId, reason) => this.gone.push({ systemId, reason }),
        refused: (peer, reason) => this.refused.push({ peer, reason }),
        interfaces: (hypervisor, list) => this.interfaces.push({ hypervisor, list }),
        tunnels: (hypervisor, ofports) => this.tunnels.push({ hypervisor, ofports }),
        patches: (hypervisor, ofports) => this.patches.push({ hypervisor, ofports }),
      },
      log,
      ...options,
    });
  }

  static async start(options: Partial<ChassisOptions> = {}): Promise<Recorder> {
    const recorder = new Recorder(options);
    recorder.managers = (await recorder.server.start()).managers;
    return recorder;
  }

  get manager(): string {
    return this.managers[0]!;
  }

  /** The last list of VM interfaces, as `IFACE-ID@PORT`. */
  get bound(): string[] {
    return (this.interfaces.at(-1)?.list ?? []).map(({ ifaceId, name }) => `${ifaceId}@${name}`);
  }

  get ofports(): Map<HypervisorNumber, number> {
    return this.tunnels.at(-1)?.ofports ?? new Map();
  }

  /** The newest facts of a hypervisor, once there are any. */
  async known(systemId = 'hv1'): Promise<ChassisFacts> {
    const find = (): ChassisFacts | undefined => this.chassis.findLast((facts) => facts.systemId === systemId);
    await until(`${systemId} to be known`, () => find() !== undefined);
    return find()!;
  }

  complaints(): string[] {
    return this.logged.filter(({ level }) => level === 'error' || level === 'warn').map(({ message }) => message);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server.stop();
  }
}

export const admission: Admission = { hypervisor: 1, systemId: 'hv1', datapathId: 0x4b57_0000_0000_0001n };
export { until };
