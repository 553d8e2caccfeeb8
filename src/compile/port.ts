/** Units of a bound port: on its own hypervisor, on the others its network touches, and on those of peered networks. */
import type { HypervisorNumber } from '../drivers/switch-plugin.ts';
import type { Path } from '../intent/model.ts';
import { livePort } from '../pipeline/stages/liveness.ts';
import { lookupLocal, lookupRemote, lookupStandby } from '../pipeline/stages/lookup.ts';
import { answerNeighbours, keepSilentForAnnounced, keepSilentForOwn } from '../pipeline/stages/neighbour.ts';
import { portSecurity } from '../pipeline/stages/port-security.ts';
import type { RemotePort } from '../pipeline/stages/ports.ts';
import { limitToVm, portMeters } from '../pipeline/stages/qos.ts';
import { nextHops } from '../pipeline/stages/router.ts';
import { admitSource, lookupFromTunnel } from '../pipeline/stages/tunnel.ts';
import { type BoundPort, boundPort, classified, elsewhere, type Home, homesOf, isAt } from './bound.ts';
import { isProviderPort, providerPortUnits } from './provider-tier.ts';
import { qosOf } from './qos.ts';
import { isRouted, peersOf, reachOf, switchesOf } from './routing.ts';
import { servicesOfPort } from './services.ts';
import type { CompileState, Unit } from './state.ts';

export function portUnits(state: CompileState, path: Path): Unit[] {
  const { view } = state;
  const port = view.getAs('port', path);
  const bound = boundPort(state, port);
  if (port === undefined || bound === undefined) return [];
  if (isProviderPort(view, port)) return providerPortUnits(state, port, bound);
  // The same wherever the network is.
  const everywhere = [
    ...answerNeighbours({ ...bound, isRouter: false }),
    ...(isRouted(state, port.parent) ? nextHops(bound) : []),
  ];
  const units: Unit[] = [];
  const services = servicesOfPort(state, port, bound);
  const qos = qosOf(port.spec);
  const homes = homesOf(bound);
  for (const home of homes) {
    const { hypervisor, port: local, behind } = home;
    if (local.ofport === 0) continue;
    units.push({
      key: behind === undefined ? `port/${port.number}/local` : `port/${port.number}/standby`,
      on: [hypervisor],
      meters: portMeters(local, qos),
      flows: [
        ...classified(home, qos),
        ...limitToVm(local, qos),
        ...portSecurity(local),
        ...everywhere,
        ...keepSilentForOwn(local),
        ...keepSilentForAnnounced(local),
        ...(behind === undefined ? lookupLocal(local) : lookupStandby(local, behind)),
        ...lookupFromTunnel(local),
        ...homes.flatMap((other) => (other === home ? [] : admitSource(at(bound, other)))),
        livePort(local.number, local.zone, local.epoch),
        ...services.local,
      ],
    });
  }
  units.push(...services.units);
  const network = switchesOf(state, port.parent);
  const others = network.filter((h) => !isAt(bound, h));
  const admitted = homes.flatMap((home) => admitSource(at(bound, home)));
  const remote: RemotePort = { ...bound, ...elsewhere(bound) };
  if (others.length > 0) {
    units.push({
      key: `port/${port.number}/remote`,
      on: others,
      flows: [...lookupRemote(remote), ...admitted, ...everywhere],
    });
  }
  // Gateways that have no port of the network send to it and get from it, and answer nobody for it.
  const reach = reachOf(state, port.parent);
  const gateways = reach.filter((h) => !isAt(bound, h) && !network.includes(h));
  if (gateways.length > 0) {
    units.push({
      key: `port/${port.number}/gateway`,
      on: gateways,
      flows: [...lookupRemote(remote), ...admitted, ...nextHops(bound)],
    });
  }
  // The sender is on a switch of a peered network, and finds the port there; and the other way round, its packets are
  // admitted there.
  const beyond = new Set<HypervisorNumber>();
  for (const peer of peersOf(view, port.parent)) {
    for (const home of homes) {
      const on = switchesOf(state, peer.path).filter((h) => h !== home.hypervisor);
      for (const h of on) if (!reach.includes(h)) beyond.add(h);
      const key = `port/${port.number}/in/${peer.number}`;
      if (on.length > 0)
        units.push({
          key: home.behind === undefined ? key : `${key}/standby`,
          on,
          flows: admitSource(at(bound, home), peer.id),
        });
    }
  }
  if (beyond.size > 0)
    units.push({
      key: `port/${port.number}/beyond`,
      on: [...beyond].sort((a, b) => a - b),
      flows: [...lookupRemote(remote), ...nextHops(bound)],
    });
  return units;
}

/** As others see it at one of its homes. */
function at(port: BoundPort, { hypervisor }: Home): RemotePort {
  return { ...port, peer: hypervisor };
}
