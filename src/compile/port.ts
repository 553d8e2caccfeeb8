/** Units of a bound port: on its own hypervisor, on the others its network touches, and on those of peered networks. */
import type { HypervisorNumber } from '../drivers/switch-plugin.ts';
import type { Path } from '../intent/model.ts';
import { classifyPort } from '../pipeline/stages/classify.ts';
import { livePort } from '../pipeline/stages/liveness.ts';
import { lookupLocal, lookupRemote } from '../pipeline/stages/lookup.ts';
import { answerNeighbours, keepSilentForAnnounced, keepSilentForOwn } from '../pipeline/stages/neighbour.ts';
import { portSecurity } from '../pipeline/stages/port-security.ts';
import type { RemotePort } from '../pipeline/stages/ports.ts';
import { limitFromVm, limitToVm, portMeters } from '../pipeline/stages/qos.ts';
import { nextHops } from '../pipeline/stages/router.ts';
import { admitSource, lookupFromTunnel } from '../pipeline/stages/tunnel.ts';
import { boundPort } from './bound.ts';
import { qosOf } from './qos.ts';
import { isRouted, peersOf, reachOf, switchesOf } from './routing.ts';
import type { CompileState, Unit } from './state.ts';

export function portUnits(state: CompileState, path: Path): Unit[] {
  const { view } = state;
  const port = view.getAs('port', path);
  const bound = boundPort(state, port);
  if (port === undefined || bound === undefined) return [];
  // The same wherever the network is.
  const everywhere = [
    ...answerNeighbours({ ...bound, isRouter: false }),
    ...(isRouted(state, port.parent) ? nextHops(bound) : []),
  ];
  const units: Unit[] = [];
  if (bound.ofport > 0) {
    const qos = qosOf(port.spec);
    units.push({
      key: `port/${port.number}/local`,
      on: [bound.hypervisor],
      meters: portMeters(bound, qos),
      flows: [
        ...limitFromVm(classifyPort(bound), bound, qos),
        ...limitToVm(bound, qos),
        ...portSecurity(bound),
        ...everywhere,
        ...keepSilentForOwn(bound),
        ...keepSilentForAnnounced(bound),
        ...lookupLocal(bound),
        ...lookupFromTunnel(bound),
        livePort(bound.number, bound.zone, bound.epoch),
      ],
    });
  }
  const network = switchesOf(state, port.parent);
  const elsewhere = network.filter((h) => h !== bound.hypervisor);
  const remote: RemotePort = { ...bound, peer: bound.hypervisor };
  if (elsewhere.length > 0) {
    units.push({
      key: `port/${port.number}/remote`,
      on: elsewhere,
      flows: [...lookupRemote(remote), ...admitSource(remote), ...everywhere],
    });
  }
  // Gateways that have no port of the network send to it and get from it, and answer nobody for it.
  const reach = reachOf(state, port.parent);
  const gateways = reach.filter((h) => h !== bound.hypervisor && !network.includes(h));
  if (gateways.length > 0) {
    units.push({
      key: `port/${port.number}/gateway`,
      on: gateways,
      flows: [...lookupRemote(remote), ...admitSource(remote), ...nextHops(bound)],
    });
  }
  // The sender is on a switch of a peered network, and finds the port there; and the other way round, its packets are
  // admitted there.
  const beyond = new Set<HypervisorNumber>();
  for (const peer of peersOf(view, port.parent)) {
    const on = switchesOf(state, peer.path).filter((h) => h !== bound.hypervisor);
    for (const h of on) if (!reach.includes(h)) beyond.add(h);
    if (on.length > 0)
      units.push({ key: `port/${port.number}/in/${peer.number}`, on, flows: admitSource(remote, peer.id) });
  }
  if (beyond.size > 0)
    units.push({
      key: `port/${port.number}/beyond`,
      on: [...beyond].sort((a, b) => a - b),
      flows: [...lookupRemote(remote), ...nextHops(bound)],
    });
  return units;
}
