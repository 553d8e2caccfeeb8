/**
 * Units of what a network is served by its gateways: DHCP, router advertisements, names, metadata. What of it, says serving.ts.
 */
import type { HypervisorNumber } from '../drivers/switch-plugin.ts';
import type { Path, Resource, View } from '../intent/model.ts';
import type { Flow } from '../pipeline/flow.ts';
import { answerNeighbours } from '../pipeline/stages/neighbour.ts';
import {
  admitAnswers,
  admitUnaddressed,
  answersFromTunnel,
  answerTo,
  askForAddress,
  identify,
  identities,
  keepGatewayMac,
  requestServices,
  type ServedNetwork,
  serviceAddress,
  servicesPort,
  sortRequests,
} from '../pipeline/stages/services.ts';
import type { BoundPort } from './bound.ts';
import { tierFacts } from './facts.ts';
import { switchesOf } from './routing.ts';
import { gatewayMacOf, serving } from './serving.ts';
import type { CompileState, Unit } from './state.ts';

/** Key of the port of a gateway host's services among its patches. */
const servicesPatch = 'services';

function servedNetwork({ view }: CompileState, path: Path): ServedNetwork | undefined {
  const network = view.getAs('network', path);
  const what = serving(view, network);
  if (network === undefined || what === 'nothing') return undefined;
  const { number, id } = network;
  return { number, network: id, gatewayMac: gatewayMacOf(network), addresses: what === 'addresses' };
}

export function servicesUnits(state: CompileState, path: Path): Unit[] {
  const { view } = state;
  const served = servedNetwork(state, path);
  const gateways = state.gateways(path);
  if (served === undefined || gateways.length === 0) return [];
  const key = `services/${served.number}`;
  const units: Unit[] = [{ key: `${key}/gateways`, on: ascending(gateways), ...sortRequests(served) }];
  const on = switchesOf(state, path);
  if (on.length === 0) return units;
  const flows = requestServices(served);
  for (const tier of [...view.children('tier', path)].sort((a, b) => a.number - b.number)) {
    const facts = tierFacts(view, tier);
    if (facts !== undefined)
      flows.push(...answerNeighbours({ ...facts, mac: facts.routerMac, ips: [serviceAddress], isRouter: false }));
  }
  units.push({ key, on, flows });
  for (const gateway of gateways) {
    const elsewhere = on.filter((h) => h !== gateway);
    if (elsewhere.length > 0)
      units.push({ key: `${key}/from/${gateway}`, on: elsewhere, flows: admitAnswers(served, gateway) });
  }
  return units;
}

/** What a bound port has of it: on its own switch, and in units of their own at the gateways of its network. */
export function servicesOfPort(
  state: CompileState,
  { parent, spec }: Resource<'port'>,
  bound: BoundPort,
): { local: Flow[]; units: Unit[] } {
  const local: Flow[] = [];
  const units: Unit[] = [];
  const served = servedNetwork(state, parent);
  const gateways = state.gateways(parent);
  if (served === undefined || gateways.length === 0) return { local, units };
  const { gatewayMac, addresses } = served;
  if (!bound.secured) local.push(keepGatewayMac(bound, gatewayMac));
  // Devices are told their addresses by who sets them up.
  if (spec.attachment !== undefined) return { local, units };
  const atGateways = standsAlone(state.view, bound.number) ? identify(bound, gatewayMac) : [];
  local.push(answersFromTunnel(bound, gatewayMac));
  if (addresses) local.push(...askForAddress(bound));
  if (gateways.includes(bound.hypervisor)) local.push(...atGateways, answerTo(bound, { ofport: bound.ofport }));
  const elsewhere = ascending(gateways.filter((h) => h !== bound.hypervisor));
  if (elsewhere.length > 0)
    units.push({
      key: `port/${bound.number}/served`,
      on: elsewhere,
      flows: [
        ...atGateways,
        answerTo(bound, { peer: bound.hypervisor }),
        ...(addresses ? admitUnaddressed(bound, bound.hypervisor) : []),
      ],
    });
  return { local, units };
}

/** The port of a gateway host behind which the services are. */
export function servicesPortUnits(state: CompileState, hypervisor: HypervisorNumber): Unit[] {
  const ofport = state.patch(hypervisor, servicesPatch);
  if (ofport === undefined || ofport === 0 || !state.hypervisors.has(hypervisor)) return [];
  return [{ key: `services-port/${hypervisor}`, on: [hypervisor], flows: servicesPort(ofport) }];
}

/** Of ports that the services could not tell apart only the oldest is served names and metadata. */
export function standsAlone(view: View, port: number): boolean {
  for (let older = port - identities; older > 0; older -= identities)
    if (view.byNumber(older)?.kind === 'port') return false;
  return true;
}

/** Ports that stand alone once this one is gone, perhaps. */
export function* nextOfIdentity(view: View, port: number): Iterable<Path> {
  for (let younger = port + identities; younger < 2 ** 40; younger += identities) {
    const resource = view.byNumber(younger);
    if (resource?.kind === 'port') yield resource.path;
  }
}

function ascending(hypervisors: readonly HypervisorNumber[]): HypervisorNumber[] {
  return [...hypervisors].sort((a, b) => a - b);
}
