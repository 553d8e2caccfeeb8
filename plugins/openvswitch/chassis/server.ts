/** Where hypervisors call in over OVSDB: who may, who is who, and what each is told to become. */
import type { Socket } from 'node:net';
import type {
  Admission,
  ChassisFacts,
  HypervisorNumber,
  PatchSpec,
  SwitchHealth,
  TunnelSpec,
} from '../../../src/drivers/switch-plugin.ts';
import { Problem } from '../../../src/problems.ts';
import { OvsdbConnection } from '../ovsdb/client.ts';
import { ConnectionClosedError } from '../ovsdb/errors.ts';
import type { Encapsulation } from './encapsulation.ts';
import { gre } from './gre.ts';
import { type Listener, type ListenTarget, listen, parseListenTarget } from './listen.ts';
import type { LocalEnd } from './managers.ts';
import type { Chassis, ChassisOptions } from './options.ts';
import { ChassisSession } from './session.ts';
import { plainAddress, trusts } from './trust.ts';

const encapsulations: Record<ChassisOptions['encapsulation'], Encapsulation> = { gre };

/** Sessions that may be open without having said who they are. */
const MAX_UNKNOWN = 256;
/** Milliseconds a session has to show it is alive when another comes with its system-id. */
const RIVAL_PROBE = 5000;

export class ChassisServer implements Chassis {
  readonly #options: ChassisOptions;
  readonly #targets: ListenTarget[];
  readonly #trusts: (remoteAddress: string) => boolean;
  readonly #admissions = new Map<HypervisorNumber, Admission>();
  readonly #hypervisorOf = new Map<string, HypervisorNumber>();
  readonly #tunnels = new Map<HypervisorNumber, TunnelSpec[]>();
  readonly #patches = new Map<HypervisorNumber, PatchSpec[]>();
  /** By system-id. */
  readonly #sessions = new Map<string, ChassisSession>();
  /** Connections that have not said who they are. */
  readonly #unknown = new Set<OvsdbConnection>();
  #listeners: Listener[] = [];
  #stopped = false;

  /** @throws Error saying which option is wrong. */
  constructor(options: ChassisOptions) {
    this.#options = options;
    this.#targets = options.listen.map(parseListenTarget);
    this.#trusts = trusts(options);
  }

  async start(): Promise<{ managers: string[] }> {
    try {
      for (const target of this.#targets) {
        const failed = (error: Error): void => this.#options.log.error({ err: error }, 'a connection was not accepted');
        this.#listeners.push(await listen(target, (socket) => this.#accept(socket, target), failed));
      }
    } catch (error) {
      await this.stop();
      throw error;
    }
    return { managers: this.#listeners.flatMap((listener) => listener.managers) };
  }

  admit(admission: Admission): void {
    const { hypervisor, systemId } = admission;
    const before = this.#admissions.get(hypervisor);
    if (before && before.systemId !== systemId) this.dismiss(hypervisor);
    const holder = this.#hypervisorOf.get(systemId);
    if (holder !== undefined && holder !== hypervisor) this.dismiss(holder);
    this.#admissions.set(hypervisor, admission);
    this.#hypervisorOf.set(systemId, hypervisor);
    const session = this.#sessions.get(systemId);
    if (session) this.#applyAdmission(session, admission);
  }

  dismiss(hypervisor: HypervisorNumber): void {
    const admission = this.#admissions.get(hypervisor);
    if (!admission) return;
    this.#admissions.delete(hypervisor);
    this.#hypervisorOf.delete(admission.systemId);
    this.#tunnels.delete(hypervisor);
    this.#patches.delete(hypervisor);
    this.#sessions.get(admission.systemId)?.connection.close('dismissed');
  }

  setTunnels(hypervisor: HypervisorNumber, tunnels: TunnelSpec[]): void {
    this.#tunnels.set(hypervisor, tunnels);
    const admission = this.#admissions.get(hypervisor);
    if (admission) this.#sessions.get(admission.systemId)?.setTunnels(tunnels);
  }

  setPatches(hypervisor: HypervisorNumber, patches: PatchSpec[]): void {
    this.#patches.set(hypervisor, patches);
    const admission = this.#admissions.get(hypervisor);
    if (admission) this.#sessions.get(admission.systemId)?.setPatches(patches);
  }

  peerOf(datapathId: bigint): string | undefined {
    for (const session of this.#sessions.values()) {
      if (session.datapathId !== datapathId || session.connection.isClosed) continue;
      return session.peer === 'unix' ? 'unix' : session.peer.slice('tcp:'.length);
    }
    return undefined;
  }

  async health(hypervisor: HypervisorNumber): Promise<SwitchHealth> {
    const systemId = this.#admissions.get(hypervisor)?.systemId ?? '';
    const session = this.#sessions.get(systemId);
    const away = (why: string) => new Problem('hypervisor.not-connected', `hypervisor ${hypervisor}: ${why}`);
    if (session === undefined) throw away('there is no OVSDB session');
    try {
      return await session.health();
    } catch (error) {
      throw error instanceof ConnectionClosedError ? away(error.message) : error;
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const listener of this.#listeners) listener.close();
    this.#listeners = [];
    const connections = [...this.#unknown, ...[...this.#sessions.values()].map((session) => session.connection)];
    for (const connection of connections) connection.close('the controller stops');
    await Promise.all(connections.map((connection) => connection.closed));
  }

  #accept(socket: Socket, target: ListenTarget): void {
    const remote = socket.remoteAddress;
    // Gone again already: there is nobody to talk to.
    if (this.#stopped || (target.kind === 'tcp' && remote === undefined)) {
      socket.destroy();
      return;
    }
    const peer = target.kind === 'unix' ? 'unix' : `tcp:${plainAddress(remote!)}`;
    const refusal = this.#refusal(remote, target);
    if (refusal) {
      socket.destroy();
      this.#refused(peer, refusal);
      return;
    }
    this.#open(socket, peer, localEnd(socket, target));
  }

  /** Why a connection is not even listened to. */
  #refusal(remote: string | undefined, target: ListenTarget): string | undefined {
    if (target.kind === 'tcp' && !this.#trusts(remote!)) {
      return 'plain tcp from beyond loopback is refused, because anybody on the way could change it; put its network into trustedNetworks, or set insecure: true';
    }
    if (this.#unknown.size >= MAX_UNKNOWN) return `${MAX_UNKNOWN} sessions are open that have not said who they are`;
    return undefined;
  }

  #open(socket: Socket, peer: string, local: LocalEnd): void {
    const { log, probeInterval, identifyTimeout = 10_000, tunnelLocalIp = true, events } = this.#options;
    const connection = new OvsdbConnection(socket, { probeInterval });
    this.#unknown.add(connection);
    const impatience = setTimeout(() => connection.close('it did not show its Open_vSwitch table'), identifyTimeout);
    const session = new ChassisSession({
      connection,
      peer,
      local,
      target: this.#options.openflowTarget(local.kind === 'tcp' ? local.address : undefined),
      encapsulation: encapsulations[this.#options.encapsulation],
      tunnelLocalIp,
      log,
      events: {
        facts: (facts) => {
          clearTimeout(impatience);
          this.#known(session, facts);
        },
        interfaces: ({ hypervisor }, interfaces) => events.interfaces(hypervisor, interfaces),
        patches: ({ hypervisor }, ofports) => events.patches(hypervisor, ofports),
        tunnels: ({ hypervisor }, ofports) => events.tunnels(hypervisor, ofports),
      },
    });
    void connection.closed.then((reason) => {
      clearTimeout(impatience);
      this.#ended(session, reason);
    });
    session.start().catch((error: Error) => connection.close(error.message));
  }

  /** A hypervisor has said who it is, or its facts changed. */
  #known(session: ChassisSession, facts: ChassisFacts): void {
    const { systemId } = facts;
    const living = this.#sessions.get(systemId);
    if (living && living !== session) {
      // Half-open after a reboot, perhaps: if it does not answer, the next attempt finds the place free.
      living.connection.probe(Math.min(RIVAL_PROBE, this.#options.probeInterval ?? RIVAL_PROBE));
      session.connection.close(
        `system-id ${systemId} has a live session from ${living.peer}; if these are two hosts, give one another system-id`,
      );
      return;
    }
    this.#unknown.delete(session.connection);
    this.#sessions.set(systemId, session);
    this.#options.events.chassis(facts);
    if (living) return;
    const hypervisor = this.#hypervisorOf.get(systemId);
    const who = hypervisor === undefined ? {} : { hypervisor };
    this.#options.log.debug({ ...who, systemId, peer: session.peer }, 'an OVSDB session is up');
    const admission = hypervisor === undefined ? undefined : this.#admissions.get(hypervisor);
    if (admission) this.#applyAdmission(session, admission);
  }

  #applyAdmission(session: ChassisSession, admission: Admission): void {
    const tunnels = this.#tunnels.get(admission.hypervisor);
    if (tunnels) session.setTunnels(tunnels);
    const patches = this.#patches.get(admission.hypervisor);
    if (patches) session.setPatches(patches);
    session.admit(admission);
  }

  #ended(session: ChassisSession, reason: string): void {
    const { connection, systemId, peer } = session;
    const { events, log } = this.#options;
    this.#unknown.delete(connection);
    if (this.#sessions.get(systemId) === session) {
      this.#sessions.delete(systemId);
      log.debug({ systemId, peer, reason }, 'an OVSDB session has ended');
      events.chassisGone(systemId, reason);
    } else if (connection.endedByPeer || this.#stopped) {
      log.debug({ peer, reason }, 'a session ended before it said who it is');
    } else {
      this.#refused(peer, reason);
    }
  }

  #refused(peer: string, reason: string): void {
    this.#options.log.debug({ peer, reason }, 'an OVSDB session was refused');
    this.#options.events.refused(peer, reason);
  }
}

function localEnd(socket: Socket, target: ListenTarget): LocalEnd {
  if (target.kind === 'unix') return target;
  return {
    kind: 'tcp',
    address: plainAddress(socket.localAddress ?? target.address),
    port: socket.localPort ?? target.port,
  };
}
