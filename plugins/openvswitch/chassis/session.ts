/** One hypervisor's OVSDB session: what it tells, and, once admitted, what we keep right on it. */
import type {
  Admission,
  ChassisFacts,
  InterfaceFacts,
  PatchSpec,
  SwitchHealth,
  TunnelSpec,
} from '../../../src/drivers/switch-plugin.ts';
import { type Log, withFields } from '../log.ts';
import { DatabaseCache } from '../ovsdb/cache.ts';
import type { MonitorVersion, OvsdbConnection } from '../ovsdb/client.ts';
import { is, mutate, type Operation } from '../ovsdb/operations.ts';
import { AppliedWatch } from './applied.ts';
import type { Encapsulation } from './encapsulation.ts';
import { encapIpOf, factsOf, systemIdOf } from './facts.ts';
import { readHealth } from './health.ts';
import { planBridge } from './integration-bridge.ts';
import { type LocalEnd, planManagers } from './managers.ts';
import { PatchPorts } from './patch-ports.ts';
import type { Plan } from './plan.ts';
import { Reminder } from './reminder.ts';
import { type Cache, type Change, DATABASE, watchedTables } from './schema.ts';
import { Topology, type Touched } from './topology.ts';
import { TunnelPorts } from './tunnel-ports.ts';
import { VmInterfaces } from './vm-interfaces.ts';
import { Writer } from './writer.ts';

export type SessionEvents = {
  /** Known by its system-id, which stays the same as long as the session lives; and whenever its facts change. */
  facts(facts: ChassisFacts): void;
  interfaces(admission: Admission, interfaces: InterfaceFacts[]): void;
  tunnels(admission: Admission, ofports: Map<number, number>): void;
  patches(admission: Admission, ofports: Map<string, number>): void;
};

export type SessionOptions = {
  connection: OvsdbConnection;
  /** `tcp:ADDRESS` or `unix`. */
  peer: string;
  /** Where the hypervisor reached us. */
  local: LocalEnd;
  /** Controller target to write. */
  target: string;
  encapsulation: Encapsulation;
  tunnelLocalIp: boolean;
  events: SessionEvents;
  log: Log;
};

const NO_SYSTEM_ID = 'it has no system-id; on the hypervisor: ovs-vsctl set Open_vSwitch . external_ids:system-id=NAME';

const MAX_SYSTEM_ID = 255;

/** They change with every command given to ovs-vsctl. */
const CONFIGURATION_NUMBERS: ReadonlySet<string> = new Set(['next_cfg', 'cur_cfg']);

export class ChassisSession {
  readonly connection: OvsdbConnection;
  readonly #options: SessionOptions;
  readonly #log: Log;
  readonly #cache: Cache = new DatabaseCache(watchedTables);
  readonly #topology = new Topology(this.#cache);
  readonly #interfaces = new VmInterfaces(this.#topology);
  readonly #tunnels: TunnelPorts;
  readonly #patches: PatchPorts;
  readonly #writer: Writer;
  readonly #applied: AppliedWatch;
  readonly #reminder = new Reminder(() => {
    this.#remind = true;
    this.#writer.wake();
  });
  #facts: ChassisFacts | undefined;
  #admission: Admission | undefined;
  #datapathIdSent: bigint | undefined;
  /** Bridge, controller or manager may differ from what they should be. */
  #bridgeDirty = false;
  /** next_cfg is to be written though nothing else is. */
  #remind = false;

  constructor(options: SessionOptions) {
    const { connection, encapsulation } = options;
    const log = withFields(options.log, () => this.#who());
    this.#options = options;
    this.#log = log;
    this.connection = connection;
    this.#tunnels = new TunnelPorts({ cache: this.#cache, topology: this.#topology, encapsulation, log });
    this.#patches = new PatchPorts({ cache: this.#cache, topology: this.#topology, log });
    this.#applied = new AppliedWatch(log);
    this.#writer = new Writer({
      plan: () => this.#plan(),
      transact: (operations) => connection.transact(DATABASE, operations),
      log,
    });
    void connection.closed.then(() => {
      this.#writer.stop();
      this.#applied.stop();
      this.#reminder.stop();
    });
  }

  /** Empty until the hypervisor is known. */
  get systemId(): string {
    return this.#facts?.systemId ?? '';
  }

  get peer(): string {
    return this.#options.peer;
  }

  /** The datapath id we have set, or are setting in this moment, on its integration bridge. */
  get datapathId(): bigint | undefined {
    return this.#datapathIdSent;
  }

  /** For the log. */
  #who(): object {
    return {
      ...(this.#admission === undefined ? {} : { hypervisor: this.#admission.hypervisor }),
      ...(this.#facts === undefined ? {} : { systemId: this.#facts.systemId }),
      peer: this.peer,
    };
  }

  /** Reads, and writes nothing. @throws OvsdbError, ConnectionClosedError */
  async start(): Promise<void> {
    await this.connection.monitor(DATABASE, this.#cache.watched, (tables, version) => this.#updated(tables, version));
  }

  /** From here on the hypervisor is written to. */
  admit(admission: Admission): void {
    const before = this.#admission;
    if (before?.hypervisor === admission.hypervisor && before.datapathId === admission.datapathId) return;
    this.#admission = admission;
    this.#bridgeDirty = true;
    this.#tell();
    this.#writer.renew();
  }

  setTunnels(specs: readonly TunnelSpec[]): void {
    this.#tunnels.want(specs);
    if (this.#admission) this.#writer.renew();
  }

  setPatches(specs: readonly PatchSpec[]): void {
    this.#patches.want(specs);
    if (this.#admission) this.#writer.renew();
  }

  /** Reads, and writes nothing. @throws OvsdbError, ConnectionClosedError, ProtocolError */
  health(): Promise<SwitchHealth> {
    const transact = (operations: Operation[]) => this.connection.transact(DATABASE, operations);
    return readHealth({ topology: this.#topology, encapsulation: this.#options.encapsulation, transact });
  }

  #updated(tables: Record<string, unknown>, version: MonitorVersion): void {
    const changes = this.#cache.apply(tables, version);
    const touched = this.#topology.update(changes);
    const root = this.#topology.root;
    const systemId = root ? systemIdOf(root.external_ids) : '';
    if (!root || systemId === '') throw new Error(NO_SYSTEM_ID);
    if (systemId.length > MAX_SYSTEM_ID) throw new Error(`its system-id is longer than ${MAX_SYSTEM_ID} characters`);
    if (this.#facts && this.#facts.systemId !== systemId) {
      throw new Error(`its system-id changed from ${this.#facts.systemId} to ${systemId}`);
    }
    this.#touch(touched);
    this.#logErrors(changes);
    const concerned = changes.some(concernsBridge);
    if (concerned) {
      if (this.#options.tunnelLocalIp) this.#tunnels.setLocalIp(encapIpOf(root.external_ids));
      const facts = factsOf(root, this.#topology.integrationBridge?.datapath_type, this.#options.peer);
      if (!this.#facts || !sameFacts(facts, this.#facts)) {
        this.#facts = facts;
        this.#options.events.facts(facts);
        // It may have been refused: another session has its system-id.
        if (this.connection.isClosed) return;
      }
    }
    if (!this.#admission) return;
    this.#applied.see(root);
    this.#bridgeDirty ||= concerned;
    this.#tell();
    this.#writer.wake();
  }

  /** Looks again at what was touched; at everything where another bridge is the integration bridge now. */
  #touch(touched: Touched): void {
    if (touched.integrationBridge) {
      // Every port has an interface, and is looked at with it.
      for (const row of this.#cache.table('Interface').values()) touched.interfaces.set(row.uuid, row);
    }
    for (const name of touched.bridges) this.#patches.touchBridge(name);
    for (const port of touched.ports.values()) {
      this.#tunnels.touchPort(port);
      this.#patches.touchPort(port);
    }
    for (const row of touched.interfaces.values()) {
      this.#tunnels.touchInterface(row);
      this.#patches.touchInterface(row);
      this.#interfaces.touch(row);
    }
    this.#tunnels.setGatewayHost(this.#patches.isGatewayHost);
  }

  #logErrors(changes: readonly Change[]): void {
    for (const change of changes) {
      if (change.table !== 'Interface' || change.kind === 'delete' || !change.columns.has('error')) continue;
      const { uuid, name, error } = change.row;
      const port = this.#topology.portOf(uuid);
      if (error === undefined || !port || !this.#topology.onIntegrationBridge(port.uuid)) continue;
      this.#log.warn({ interface: name, error }, 'Open vSwitch reports an error on an interface');
    }
  }

  #tell(): void {
    const admission = this.#admission;
    if (!admission) return;
    const interfaces = this.#interfaces.take();
    if (interfaces) this.#options.events.interfaces(admission, interfaces);
    const ofports = this.#tunnels.take();
    if (ofports) this.#options.events.tunnels(admission, ofports);
    const patches = this.#patches.take();
    if (patches) this.#options.events.patches(admission, patches);
    this.#reminder.see(this.#tunnels.lacksPorts || this.#patches.lacksPorts);
  }

  #plan(): Plan | undefined {
    const admission = this.#admission;
    const root = this.#topology.root;
    if (!admission || !root) return undefined;
    const plan = this.#planBridge(admission) ?? this.#tunnels.plan() ?? this.#patches.plan() ?? this.#planReminder();
    // As ovs-vsctl does, so that cur_cfg tells when ovs-vswitchd has taken it.
    plan?.operations.push(mutate('Open_vSwitch', is(root.uuid), [['next_cfg', '+=', 1]]));
    return plan;
  }

  #planReminder(): Plan | undefined {
    if (!this.#remind) return undefined;
    this.#remind = false;
    const failed = (): void => {
      this.#remind = true;
    };
    return { what: 'a tunnel or patch lacks its OpenFlow port, look again', operations: [], failed };
  }

  #planBridge(admission: Admission): Plan | undefined {
    if (!this.#bridgeDirty) return undefined;
    const wish = { datapathId: admission.datapathId, target: this.#options.target };
    const operations: Operation[] = planBridge(this.#cache, this.#topology, wish);
    operations.push(...planManagers(this.#cache, this.#topology.root!, this.#options.local));
    this.#bridgeDirty = false;
    this.#datapathIdSent = admission.datapathId;
    if (operations.length === 0) return undefined;
    const failed = (): void => {
      this.#bridgeDirty = true;
    };
    return { what: `bridge ${this.#topology.integrationBridgeName}, its controller and manager`, operations, failed };
  }
}

/** Whether what we say of a hypervisor, or write on its bridge, controller and manager, may differ after this change. */
function concernsBridge(change: Change): boolean {
  switch (change.table) {
    case 'Bridge':
      // Ports come and go all the time, and are looked at one by one.
      return change.kind !== 'modify' || change.columns.size > 1 || !change.columns.has('ports');
    case 'Open_vSwitch':
      return !change.columns.isSubsetOf(CONFIGURATION_NUMBERS);
    case 'Controller':
    case 'Manager':
      return true;
    default:
      return false;
  }
}

function sameFacts(a: ChassisFacts, b: ChassisFacts): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
