/** The program on gateway hosts: whether it is there, and whether it is told what to serve. */
import { serving } from '../../compile/serving.ts';
import { type HypervisorNumber, servicesPatch } from '../../drivers/switch-plugin.ts';
import type { Findings } from './findings.ts';
import { isConnected, type Patient } from './subjects.ts';

export function checkGatewayHosts(patient: Patient, findings: Findings): void {
  const { engine, gatewayServices } = patient;
  const { fleet, state } = engine;
  const check = 'gateway-host';
  for (const [h, networks] of servedBy(patient)) {
    const member = fleet.get(h);
    // That it is away is told elsewhere.
    if (member === undefined || !isConnected(patient, member)) continue;
    const { path } = member.resource;
    if (state.patch(h, servicesPatch) === undefined)
      findings.fail(
        check,
        path,
        `keyway gateway-host does not run there: ${networks} networks have no names and metadata, nor leases, from it`,
        'Install and start it: docs/gateway-host.md',
      );
    else if (!gatewayServices.follows(h))
      findings.warn(
        check,
        path,
        'keyway gateway-host there does not follow what it is to serve; it serves what it was told last',
        'See its log: its token, the address of the controller',
      );
    else findings.ok(check, path, 'it is told what it serves');
  }
}

/** How many networks each gateway is to serve. */
function servedBy({ view, engine }: Patient): Map<HypervisorNumber, number> {
  const counts = new Map<HypervisorNumber, number>();
  for (const tenant of view.children('tenant', ''))
    for (const network of view.children('network', tenant.path)) {
      if (serving(view, network) === 'nothing') continue;
      for (const h of engine.state.gateways(network.path)) counts.set(h, (counts.get(h) ?? 0) + 1);
    }
  return counts;
}
