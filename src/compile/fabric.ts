/** Units of the fabric itself: the base of the pipeline, tunnels, and the keys a peer may send. */
import type { HypervisorNumber } from '../drivers/switch-plugin.ts';
import type { Path } from '../intent/model.ts';
import { canary } from '../pipeline/stages/canary.ts';
import { trackConnections } from '../pipeline/stages/conntrack.ts';
import { pastGateway } from '../pipeline/stages/gateway.ts';
import { afterPolicies } from '../pipeline/stages/judge.ts';
import { translateAddresses } from '../pipeline/stages/nat.ts';
import { completeAdverts } from '../pipeline/stages/neighbour.ts';
import { localOutput } from '../pipeline/stages/output.ts';
import { guards } from '../pipeline/stages/port-security.ts';
import { endProbes, probeMeter } from '../pipeline/stages/probe.ts';
import { provider } from '../pipeline/stages/provider.ts';
import { judgeInReverse } from '../pipeline/stages/reverse.ts';
import { pastRouter } from '../pipeline/stages/router.ts';
import { refuseOtherAnswers } from '../pipeline/stages/services.ts';
import { notSteered, skipConntrack } from '../pipeline/stages/steering.ts';
import { admitKey, tunnelPort } from '../pipeline/stages/tunnel.ts';
import { takeOver } from '../pipeline/stages/vlan.ts';
import { chooseGateway } from '../pipeline/stages/way-out.ts';
import type { CompileState, Unit } from './state.ts';

export function baseUnit(state: CompileState): Unit[] {
  const on = [...state.hypervisors.keys()].sort((a, b) => a - b);
  const flows = [
    ...guards(),
    ...completeAdverts(),
    ...pastGateway(),
    ...trackConnections(),
    ...judgeInReverse(),
    afterPolicies(),
    notSteered(),
    ...skipConntrack(),
    ...pastRouter(),
    localOutput(),
    ...chooseGateway(),
    refuseOtherAnswers(),
    takeOver(),
    ...translateAddresses(),
    ...provider(),
    canary(),
  ];
  if (on.length === 0) return [];
  return [
    { key: 'base', on, flows },
    // Apart, so that a switch that takes no such meter is in order but for probes.
    { key: 'probe', on, flows: endProbes(), meters: [probeMeter] },
  ];
}

export function tunnelUnit(state: CompileState, from: HypervisorNumber, to: HypervisorNumber): Unit[] {
  const ofport = state.tunnel(from, to);
  const resource = state.hypervisors.get(to);
  if (ofport === undefined || resource === undefined || !state.hypervisors.has(from)) return [];
  if (!state.placement.arePeers(from, to)) return [];
  return [{ key: `tunnel/${from}/${to}`, on: [from], flows: tunnelPort(to, ofport, resource) }];
}

export function admitUnits(state: CompileState, tenant: Path): Unit[] {
  const owner = state.view.getAs('tenant', tenant);
  if (owner === undefined) return [];
  const hosts = state.placement.hostsOfTenant(tenant).filter((h) => state.hypervisors.has(h));
  if (hosts.length < 2) return [];
  return hosts.map((peer) => ({
    key: `admit/${owner.number}/${peer}`,
    on: hosts.filter((h) => h !== peer),
    flows: [admitKey(peer, owner.id, owner.number)],
  }));
}
