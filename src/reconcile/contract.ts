/** What the running system says of itself to those above it: the status of each object, and what the fabric looks like. */
import type { ChassisFacts, InstalledFlow } from '../drivers/switch-plugin.ts';
import type { Path, Resource, ResourceChange } from '../intent/model.ts';
import type { Flow } from '../pipeline/flow.ts';

export type State = 'pending' | 'programmed' | 'degraded' | 'failed' | 'deleting';

export type Condition = { type: string; status: 'True' | 'False' | 'Unknown'; reason: string; message: string };

export type Status = {
  state: State;
  /** Revision the compiler has seen. */
  observedRevision: number;
  /** Revision every connected switch concerned has acknowledged. */
  programmedRevision: number;
  conditions: Condition[];
};

export type WaitMode = 'programmed' | 'all';

/** How far switches are with what was asked for. Implemented by reconcile. */
export interface StatusSource {
  status(resource: Resource): Status;
  /** Resources being deleted that some switch has not confirmed yet: what they were. */
  deleting(path: Path): Resource | undefined;
  /**
   * Resolves true once every switch concerned (connected ones for `programmed`, all for `all`) has acknowledged the
   * revision, false after `timeout` milliseconds.
   */
  wait(revision: number, mode: WaitMode, timeout: number): Promise<boolean>;
  /** Called whenever the status of a resource has changed, for the event stream. Returns the unsubscriber. */
  onStatus(listener: (path: Path, status: Status) => void): () => void;
}

export type Binding = { hypervisor: string; interface: string; ofport: number; zone: number };

/** A VM interface as its hypervisor shows it. */
export type SeenInterface = { ifaceId: string; name: string; mac: string | undefined };

/** Who a flow serves. */
export type Purpose = {
  /** Stage of the pipeline, by its name. */
  stage: string;
  /** Path of the resource in intent, undefined for the base of the pipeline or what is gone. */
  path: Path | undefined;
  /** For people: `rule web-to-db of network shop of tenant acme`. */
  text: string;
};

export type DumpedFlow = {
  flow: Flow;
  text: string;
  tableName: string;
  purpose: Purpose;
  stats?: Pick<InstalledFlow, 'packets' | 'bytes' | 'duration'>;
};

export type Metric = {
  name: string;
  help: string;
  type: 'gauge' | 'counter';
  values: { labels?: Record<string, string>; value: number }[];
};

/** What a rule or policy decided, and what the connections it allowed have carried both ways since; each end counts. */
export type Hits = {
  packets: number;
  bytes: number;
  carried: { packets: number; bytes: number };
  /** Every switch concerned could be asked. */
  complete: boolean;
};

/** What the world looks like. Implemented by inventory and reconcile together. */
export interface Fabric {
  /** Hypervisors that are connected but not approved, with the name each would get. */
  pending(): { name: string; facts: ChassisFacts }[];
  chassis(hypervisor: Path): ChassisFacts | undefined;
  connected(hypervisor: Path): boolean;
  portsOn(hypervisor: Path): number;
  /** Interfaces the hypervisor shows with an iface-id that is no port's. O(those it shows). */
  unclaimed(hypervisor: Path): SeenInterface[];
  binding(port: Path): Binding | null;
  /** Datapath id as 16 hex digits. */
  datapathId(hypervisor: Resource<'hypervisor'>): string;
  /** Installed flows, read from the switch now, or the desired ones. @throws Problem hypervisor.not-connected */
  flows(hypervisor: Path, which: 'installed' | 'desired'): Promise<DumpedFlow[]>;
  drift(hypervisor: Path): Promise<{
    missing: DumpedFlow[];
    extra: DumpedFlow[];
    different: { desired: DumpedFlow; installed: DumpedFlow }[];
  }>;
  /** A cookie (0x…) or a flow in ovs-ofctl notation: what it does, in words, and whom it serves. */
  explain(text: string): Promise<{
    flow: string | undefined;
    stage: string;
    path: Path | undefined;
    text: string[];
    hypervisors: string[];
  }>;
  /** What the flows of a rule or policy have counted, read from the switches now. */
  hits(decider: Resource<'rule'> | Resource<'policy'>): Promise<Hits>;
  /** Ports by path, name, IP, MAC or ifaceId, of every tenant. */
  where(query: string): { port: Resource<'port'>; binding: Binding | null }[];
  /** Public addresses by path, name or address, of every tenant; `on`: hypervisors, the one in charge first. */
  wherePublic(query: string): { publicIp: Resource<'public-ip'>; on: string[] }[];
  /**
   * How many flows a change of intent would add, change and remove, per hypervisor name. Nothing is programmed.
   * `staged` is to be called while the changes are staged in the intent (Intent.transact's `whileStaged`), `result` after.
   */
  preview(): {
    staged(changes: readonly ResourceChange[]): void;
    result(): { hypervisor: string; added: number; changed: number; removed: number }[];
  };
  /** Metrics in addition to the process's own: name -> value, labels. */
  metrics(): Metric[] | Promise<Metric[]>;
  /** Ready once intent is loaded and the southbound listens. */
  ready(): { ready: boolean; reason: string };
}
