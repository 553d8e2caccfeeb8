/** Units of a bound port: on its own hypervisor, and on the others its network touches. */
import type { Path } from '../intent/model.ts';
import { parentPath } from '../inventory/paths.ts';
import { answerArp, keepSilentForOwn } from '../pipeline/stages/arp-responder.ts';
import { classifyPort } from '../pipeline/stages/classify.ts';
import { lookupLocal, lookupRemote } from '../pipeline/stages/lookup.ts';
import { portSecurity } from '../pipeline/stages/port-security.ts';
import type { LocalPort, PortFacts, RemotePort } from '../pipeline/stages/ports.ts';
import { admitSource, lookupFromTunnel } from '../pipeline/stages/tunnel.ts';
import { ipv4, mac } from './addresses.ts';
import type { CompileState, Unit } from './state.ts';

export function portUnits(state: CompileState, path: Path): Unit[] {
  const { view, placement } = state;
  const bound = placement.get(path);
  const port = view.getAs('port', path);
  if (bound === undefined || port === undefined || !state.hypervisors.has(bound.hypervisor)) return [];
  const network = view.getAs('network', port.parent);
  const tier = view.getAs('tier', `${port.parent}/tiers/${port.spec.tier}`);
  const tenant = view.getAs('tenant', parentPath(port.parent));
  // A missing reference fails closed.
  if (network === undefined || tier === undefined || tenant === undefined) return [];
  const facts: PortFacts = {
    number: port.number,
    mac: mac(port.spec.mac),
    ips: port.spec.ips.map(ipv4),
    key: tenant.id,
    network: network.id,
    tier: tier.id,
  };
  const units: Unit[] = [];
  if (bound.ofport > 0) {
    const local: LocalPort = { ...facts, ofport: bound.ofport, zone: bound.zone };
    units.push({
      key: `port/${port.number}/local`,
      on: [bound.hypervisor],
      flows: [
        classifyPort(local),
        ...portSecurity(local),
        ...answerArp(facts),
        ...keepSilentForOwn(local),
        ...lookupLocal(local),
        ...lookupFromTunnel(local),
      ],
    });
  }
  const elsewhere = placement
    .hostsOfNetwork(port.parent)
    .filter((h) => h !== bound.hypervisor && state.hypervisors.has(h));
  if (elsewhere.length > 0) {
    const remote: RemotePort = { ...facts, peer: bound.hypervisor };
    units.push({
      key: `port/${port.number}/remote`,
      on: elsewhere,
      flows: [...lookupRemote(remote), ...admitSource(remote), ...answerArp(facts)],
    });
  }
  return units;
}
