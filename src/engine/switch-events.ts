/** What switches tell, taken to where it belongs: the engine's queue, progress, status, the log. */
import type { Logger } from 'pino';
import type { PacketIn, SwitchEvents } from '../drivers/switch-plugin.ts';
import type { View } from '../intent/model.ts';
import { cookieResource } from '../pipeline/cookie.ts';
import type { Progress } from '../reconcile/progress.ts';
import type { Engine } from './engine.ts';
import type { Counters } from './metrics.ts';
import { hypervisorFields, objectFields } from './naming.ts';
import { purposeOf } from './purpose.ts';
import type { StatusBoard } from './status.ts';

/** Who takes packets that flows send to the controller, by the first byte of the userdata (src/pipeline/packet-in.ts). */
export type PacketTakers = ReadonlyMap<number, (hypervisor: number, packet: PacketIn) => void>;

export function switchEvents(
  view: View,
  engine: Engine,
  progress: Progress,
  status: StatusBoard,
  counters: Counters,
  log: Logger,
  packetTakers: PacketTakers = new Map(),
): SwitchEvents {
  const { fleet } = engine;
  const name = (h: number) => fleet.name(h);
  const about = (h: number) => hypervisorFields(fleet, h);
  /** Facts of an approved hypervisor or of one that waits. */
  const chassis = (systemId: string) => {
    const number = fleet.bySystemId(systemId)?.number;
    return { ...(number === undefined ? {} : about(number)), systemId };
  };
  const present = new Set<string>();
  return {
    chassis(facts) {
      const { systemId, hostname, peer } = facts;
      if (present.has(systemId)) log.debug({ ...chassis(systemId), hostname, peer }, 'a hypervisor tells other facts');
      else log.info({ ...chassis(systemId), hostname, peer }, 'a hypervisor is connected over OVSDB');
      present.add(systemId);
      engine.push({ type: 'chassis', facts });
    },
    chassisGone(systemId, reason) {
      present.delete(systemId);
      log.warn({ ...chassis(systemId), reason }, 'a hypervisor has gone');
      engine.push({ type: 'chassisGone', systemId, reason });
    },
    refused(peer, reason) {
      counters.refusedSessions++;
      log.warn({ peer, reason }, 'a session was refused');
    },
    interfaces: (hypervisor, interfaces) => engine.push({ type: 'interfaces', hypervisor, interfaces }),
    tunnels: (hypervisor, ofports) => engine.push({ type: 'tunnels', hypervisor, ofports }),
    patches: (hypervisor, ofports) => engine.push({ type: 'patches', hypervisor, ofports }),
    connected(hypervisor) {
      progress.connected(hypervisor, true);
      const programmed = progress.revisionOf(hypervisor);
      log.info({ ...about(hypervisor), programmed }, 'a switch is connected and in sync');
      status.connectionChanged(hypervisor);
      engine.push({ type: 'settle' });
    },
    disconnected(hypervisor, reason) {
      log.warn({ ...about(hypervisor), reason }, 'a switch is disconnected');
      progress.connected(hypervisor, false);
      status.connectionChanged(hypervisor);
    },
    acknowledged(hypervisor, sequence) {
      progress.acknowledged(hypervisor, sequence);
      if (engine.zones.hasRetired(hypervisor)) engine.push({ type: 'settle' });
    },
    rejected(rejection) {
      const { hypervisor, cookie, flow, error } = rejection;
      log.error(
        { hypervisor: name(hypervisor), ...objectFields(view, purposeOf(view, cookie).path), flow, error },
        'a switch refused a flow; its object is set aside there',
      );
      status.refused(cookieResource(cookie), rejection);
    },
    accepted(hypervisor, cookie) {
      log.info(
        { hypervisor: name(hypervisor), ...objectFields(view, purposeOf(view, cookie).path) },
        'a switch now takes what it refused before',
      );
      status.accepted(cookieResource(cookie), hypervisor);
    },
    drifted(hypervisor, counts) {
      const found = counts.missing + counts.extra + counts.different;
      counters.drift.set(name(hypervisor), (counters.drift.get(name(hypervisor)) ?? 0) + found);
      log.warn({ ...about(hypervisor), ...counts }, 'drift: a switch differs from what is meant though nobody asked');
    },
    packetIn(hypervisor, packet) {
      const { cookie, table, userdata } = packet;
      const take = packetTakers.get(userdata[0] ?? -1);
      if (take !== undefined) take(hypervisor, packet);
      else log.debug({ ...about(hypervisor), cookie: String(cookie), table }, 'a packet came that nobody takes');
    },
  };
}
