/** Units of a bound port: on its own hypervisor, and on the others its network touches. */
import type { Path } from '../intent/model.ts';
import { classifyPort } from '../pipeline/stages/classify.ts';
import { livePort } from '../pipeline/stages/liveness.ts';
import { lookupLocal, lookupRemote } from '../pipeline/stages/lookup.ts';
import { answerNeighbours, keepSilentForOwn } from '../pipeline/stages/neighbour.ts';
import { portSecurity } from '../pipeline/stages/port-security.ts';
import type { LocalPort, RemotePort } from '../pipeline/stages/ports.ts';
import { nextHops } from '../pipeline/stages/router.ts';
import { admitSource, lookupFromTunnel } from '../pipeline/stages/tunnel.ts';
import { portEpoch } from './epochs.ts';
import { portFacts } from './facts.ts';
import { isRouted, switchesOf } from './routing.ts';
import type { CompileState, Unit } from './state.ts';

export function portUnits(state: CompileState, path: Path): Unit[] {
  const { view, placement } = state;
  const bound = placement.get(path);
  const port = view.getAs('port', path);
  if (bound === undefined || port === undefined || !state.hypervisors.has(bound.hypervisor)) return [];
  const facts = portFacts(view, port);
  if (facts === undefined) return [];
  // The same wherever the network is.
  const everywhere = [
    ...answerNeighbours({ ...facts, isRouter: false }),
    ...(isRouted(view, port.parent) ? nextHops(facts) : []),
  ];
  const units: Unit[] = [];
  if (bound.ofport > 0) {
    const local: LocalPort = { ...facts, ofport: bound.ofport, zone: bound.zone, epoch: portEpoch(port) };
    units.push({
      key: `port/${port.number}/local`,
      on: [bound.hypervisor],
      flows: [
        classifyPort(local),
        ...portSecurity(local),
        ...everywhere,
        ...keepSilentForOwn(local),
        ...lookupLocal(local),
        ...lookupFromTunnel(local),
        livePort(local.number, local.zone, local.epoch),
      ],
    });
  }
  const elsewhere = switchesOf(state, port.parent).filter((h) => h !== bound.hypervisor);
  if (elsewhere.length > 0) {
    const remote: RemotePort = { ...facts, peer: bound.hypervisor };
    units.push({
      key: `port/${port.number}/remote`,
      on: elsewhere,
      flows: [...lookupRemote(remote), ...admitSource(remote), ...everywhere],
    });
  }
  return units;
}
