/** What switches tell, taken to where it belongs: the engine's queue, progress, status, the log. */
import type { Logger } from 'pino';
import type { SwitchEvents } from '../drivers/switch-plugin.ts';
import type { View } from '../intent/model.ts';
import { cookieResource } from '../pipeline/cookie.ts';
import type { Progress } from '../reconcile/progress.ts';
import type { Engine } from './engine.ts';
import type { Counters } from './metrics.ts';
import { purposeOf } from './purpose.ts';
import type { StatusBoard } from './status.ts';

export function switchEvents(
  view: View,
  engine: Engine,
  progress: Progress,
  status: StatusBoard,
  counters: Counters,
  log: Logger,
): SwitchEvents {
  const name = (h: number) => engine.fleet.name(h);
  return {
    chassis(facts) {
      log.info(
        { systemId: facts.systemId, hostname: facts.hostname, peer: facts.peer },
        'a hypervisor is connected over OVSDB',
      );
      engine.push({ type: 'chassis', facts });
    },
    chassisGone(systemId, reason) {
      log.warn({ systemId, reason }, 'a hypervisor has gone');
      engine.push({ type: 'chassisGone', systemId, reason });
    },
    refused(peer, reason) {
      counters.refusedSessions++;
      log.warn({ peer, reason }, 'a session was refused');
    },
    interfaces: (hypervisor, interfaces) => engine.push({ type: 'interfaces', hypervisor, interfaces }),
    tunnels: (hypervisor, ofports) => engine.push({ type: 'tunnels', hypervisor, ofports }),
    connected(hypervisor) {
      log.info({ hypervisor: name(hypervisor) }, 'a switch is connected and in sync');
      progress.connected(hypervisor, true);
      status.connectionChanged(hypervisor);
      engine.push({ type: 'settle' });
    },
    disconnected(hypervisor, reason) {
      log.warn({ hypervisor: name(hypervisor), reason }, 'a switch is disconnected');
      progress.connected(hypervisor, false);
      status.connectionChanged(hypervisor);
    },
    acknowledged(hypervisor, sequence) {
      progress.acknowledged(hypervisor, sequence);
      if (engine.zones.hasRetired(hypervisor)) engine.push({ type: 'settle' });
    },
    rejected(rejection) {
      const { path } = purposeOf(view, rejection.cookie);
      log.error(
        { hypervisor: name(rejection.hypervisor), object: path, flow: rejection.flow, error: rejection.error },
        'a switch refused a flow; its object is set aside there',
      );
      status.refused(cookieResource(rejection.cookie), rejection);
    },
    accepted(hypervisor, cookie) {
      log.info(
        { hypervisor: name(hypervisor), object: purposeOf(view, cookie).path },
        'a switch now takes what it refused before',
      );
      status.accepted(cookieResource(cookie), hypervisor);
    },
    drifted(hypervisor, counts) {
      const found = counts.missing + counts.extra + counts.different;
      counters.drift.set(name(hypervisor), (counters.drift.get(name(hypervisor)) ?? 0) + found);
      log.warn(
        { hypervisor: name(hypervisor), ...counts },
        'drift: a switch differs from what is meant though nobody asked',
      );
    },
  };
}
